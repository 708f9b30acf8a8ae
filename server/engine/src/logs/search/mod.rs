//! Search of a log of any size: for a text or a regular expression, with hits as they are found, and on with what comes.
//!
//! ```text
//! LogSearches::search -> Run: ranges -> blocks, read and scanned side by side -> Merge, in order -> LogSearch
//! ```
//!
//! A block (some 2 MiB of whole lines) is scanned at once, not line by line. A line that was split for its length is searched
//! as one, also over blocks; escape sequences are looked past. Memory is bounded whatever the log and whoever reads: so many
//! blocks are read at a time of all searches of a server, and of one search no more of them, each with a bounded part of its
//! hits, wait until the reader has taken those before. It knows the store's reads and the tail, and neither RPC nor who may search.

mod blocks;
mod merge;
mod pattern;
mod pieces;
mod places;
mod run;
mod scan;
mod teller;
mod visible;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{LogError, LogHead, LogId, LogRoom, LogTail, Missing, ReadFrom, Start};
use crate::error::{Error, Result};
pub use blocks::SEARCH_BLOCK_MAX_LINES;
use blocks::Source;
use pattern::Pattern;
pub use pattern::{SEARCH_PATTERN_MAX_BYTES, SEARCH_REGEX_MAX_BYTES};
use places::Places;
use run::Run;
use scan::Wanted;
pub use scan::{SEARCH_COLUMNS_MAX, SearchHit};
pub use teller::{SEARCH_PROGRESS_MS, SEARCH_READER_MAX_MS};

/// So many searches of a server go through what is there at a time; more are refused.
pub const SEARCHES_MAX: usize = 16;
/// So many of them are of one project, or of those who are of none.
pub const SEARCHES_PROJECT_MAX: usize = 8;
/// So many searches wait for what comes, besides.
pub const SEARCHES_FOLLOWING_MAX: usize = 256;
/// So many of them are of one project, or of those who are of none.
pub const SEARCHES_FOLLOWING_PROJECT_MAX: usize = 128;
/// So many blocks of all searches of a server are in memory at a time.
pub const SEARCH_BLOCKS_MAX: usize = 8;
/// The size of a block, about.
pub const SEARCH_BLOCK_BYTES: u64 = 2 * 1024 * 1024;
/// So many blocks of one search are read and searched at a time.
pub const SEARCH_BLOCKS_AHEAD: usize = 4;
/// A longer line is searched in parts of this size; what is found in one part is not looked for over its end.
pub const SEARCH_LINE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// With so many bytes of hits a block is put aside; its rest is searched when they were taken.
pub const SEARCH_FOUND_MAX_BYTES: usize = 1024 * 1024;
/// So many messages wait for a slow reader.
const NEWS_WAITING_MAX: usize = 1;

/// What to search a log for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    /// The text, or regular expression.
    pub pattern: String,
    /// It is a regular expression.
    pub regex: bool,
    /// Upper and lower case are different.
    pub case_sensitive: bool,
    /// Only lines from this one on.
    pub first_line: u64,
    /// Only lines before this one.
    pub end_line: Option<u64>,
    /// Only lines of this time or later, in Unix milliseconds; 0: all.
    pub since_ms: i64,
    /// List so many lines, only count the others.
    pub list_max: u64,
    /// List them with their text.
    pub with_text: bool,
    /// Go on with what comes.
    pub follow: bool,
}

/// What was found since the message before, and how far the search has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchNews {
    /// In the order of lines.
    pub hits: Vec<SearchHit>,
    /// How many lines were searched.
    pub lines_searched: u64,
    /// How many there are to be searched, as known by now.
    pub lines_total: u64,
    /// How many lines have the pattern, listed or not.
    pub matching_lines: u64,
    /// How often it was found.
    pub matches: u64,
    /// Not all of them are listed.
    pub truncated: bool,
    /// All that is there was searched. Without `follow`: the last message.
    pub done: bool,
}

/// How much is done at a time.
#[derive(Clone, Copy, Debug)]
pub struct SearchLimits {
    /// The size of a block, about.
    pub block_bytes: u64,
    /// So many blocks of one search at a time.
    pub blocks_ahead: usize,
    /// A longer line is searched in parts.
    pub line_bytes: usize,
    /// So many searches at a time.
    pub searches: usize,
    /// So many of one project.
    pub project_searches: usize,
    /// With so many bytes of hits a block is put aside.
    pub found_bytes: usize,
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self {
            block_bytes: SEARCH_BLOCK_BYTES,
            blocks_ahead: SEARCH_BLOCKS_AHEAD,
            line_bytes: SEARCH_LINE_MAX_BYTES,
            searches: SEARCHES_MAX,
            project_searches: SEARCHES_PROJECT_MAX,
            found_bytes: SEARCH_FOUND_MAX_BYTES,
        }
    }
}

/// The searches of a server.
pub struct LogSearches {
    room: LogRoom,
    limits: SearchLimits,
    searching: Arc<Places>,
    following: Arc<Places>,
    blocks: Arc<Semaphore>,
}

impl LogSearches {
    /// In the logs of a room.
    pub fn new(room: LogRoom, limits: SearchLimits) -> Self {
        let searching = Places::new("are under way", limits.searches, limits.project_searches);
        let following = Places::new("wait for what comes", SEARCHES_FOLLOWING_MAX, SEARCHES_FOLLOWING_PROJECT_MAX);
        Self { room, limits, searching, following, blocks: Arc::new(Semaphore::new(SEARCH_BLOCKS_MAX)) }
    }

    /// Begins to search for someone of a project; "": of none. With `Missing::Wait` a log that is not there is empty, and
    /// is waited for if the search follows.
    pub async fn search(&self, id: &LogId, query: SearchQuery, missing: Missing, project: &str) -> Result<LogSearch> {
        let place = self.searching.take(project)?;
        let following = if query.follow { Some(self.following.take(project)?) } else { None };
        let SearchQuery { pattern, regex, case_sensitive, .. } = query.clone();
        // A large expression takes its time.
        let pattern = spawn_blocking(move || Pattern::new(&pattern, regex, case_sensitive)).await;
        let pattern = pattern.map_err(|fault| LogError::Io(format!("a pattern could not be compiled: {fault}")))??;
        let wanted = Arc::new(Wanted {
            pattern,
            with_text: query.with_text,
            since_ms: query.since_ms,
            found_bytes: self.limits.found_bytes,
            list_left: AtomicU64::new(query.list_max),
            stopped: AtomicBool::new(false),
            untaken: AtomicBool::new(false),
        });
        let source = Source { store: Arc::clone(&self.room.inner.store), id: id.clone() };
        let (tail, head) = self.open(id, query.follow, missing).await?;
        let mut run = Run {
            source,
            wanted: Arc::clone(&wanted),
            from: head.end(),
            to: head.end(),
            first_line: query.first_line,
            end_line: query.end_line,
            tail,
            limits: self.limits,
            blocks: Arc::clone(&self.blocks),
            place,
        };
        run.narrow(&head, &query).await?;
        let (sender, news) = mpsc::channel(NEWS_WAITING_MAX);
        let task = tokio::spawn(async move {
            run.run(sender).await;
            drop(following);
        });
        Ok(LogSearch { news, wanted, task })
    }

    /// What comes, if it is asked for, and how far the log has come.
    async fn open(&self, id: &LogId, follow: bool, missing: Missing) -> Result<(Option<LogTail>, LogHead)> {
        if follow {
            let tail = self.room.tail(id, Start::LastLines(0), missing).await?;
            let head = *tail.head();
            return Ok((Some(tail), head));
        }
        match self.room.head(id).await {
            Err(LogError::NotFound(_)) if missing == Missing::Wait => Ok((None, LogHead::default())),
            head => Ok((None, head?)),
        }
    }
}

impl Run {
    /// To the lines that were asked for.
    async fn narrow(&mut self, head: &LogHead, query: &SearchQuery) -> Result<()> {
        if head.lines == 0 {
            return Ok(());
        }
        let mut first = query.first_line.max(head.first.line).min(head.lines);
        if query.since_ms > 0 {
            first = first.max(self.source.find(ReadFrom::Time(query.since_ms)).await?.line);
        }
        self.from = self.source.begin_of_line(first).await?;
        if let Some(end_line) = query.end_line.filter(|end| *end < head.lines) {
            self.to = self.source.begin_of_line(end_line.max(head.first.line)).await?;
        }
        // (Lines may have come since the head was read.)
        if self.from.line > head.lines {
            self.from = head.end();
        }
        if self.to.line < self.from.line {
            self.to = self.from;
        }
        Ok(())
    }
}

/// A search under way. It ends when it is dropped.
pub struct LogSearch {
    news: mpsc::Receiver<std::result::Result<SearchNews, LogError>>,
    wanted: Arc<Wanted>,
    task: JoinHandle<()>,
}

impl LogSearch {
    /// What is new: hits as they are found, and while it searches how far it has come, at most [`SEARCH_PROGRESS_MS`] apart.
    /// Nothing after the last message. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<SearchNews>> {
        if let Some(news) = self.news.recv().await {
            return Some(news.map_err(Into::into));
        }
        // Told once.
        self.wanted.untaken.swap(false, Ordering::Relaxed).then(|| {
            let message = format!("nobody took what was found for {SEARCH_READER_MAX_MS} ms; search again");
            Err(Error::Exhausted(message))
        })
    }
}

impl Drop for LogSearch {
    fn drop(&mut self) {
        self.wanted.stopped.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

#[cfg(test)]
mod slow_reader_tests;
#[cfg(test)]
mod tests;
