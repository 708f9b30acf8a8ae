//! One search on its way: blocks of the log are read and searched side by side, and told of in order; then, if that was asked
//! for, what comes.

use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

use super::blocks::Source;
use super::merge::{Merge, Searched, Unheard, search_block};
use super::places::Place;
use super::scan::Wanted;
use super::teller::Teller;
use super::{SearchLimits, SearchNews};
use crate::logs::{LogError, LogPlace, LogTail};

/// A search that is to be run.
pub struct Run {
    /// The log.
    pub source: Source,
    /// What is looked for.
    pub wanted: Arc<Wanted>,
    /// From this line on.
    pub from: LogPlace,
    /// To before this one, in what is there already.
    pub to: LogPlace,
    /// No line before this one, also when it comes later.
    pub first_line: u64,
    /// The first line that is not to be searched, if there is one.
    pub end_line: Option<u64>,
    /// What comes after `to`.
    pub tail: Option<LogTail>,
    /// Sizes.
    pub limits: SearchLimits,
    /// Bounds how many blocks of the server are searched at a time.
    pub blocks: Arc<Semaphore>,
    /// Its place among the searches of the server.
    pub place: Place,
}

impl Run {
    /// Searches to the end, or until nobody listens.
    pub async fn run(self, sender: mpsc::Sender<Result<SearchNews, LogError>>) {
        // Nobody listens any more: then nobody misses it.
        let _: Result<(), Unheard> = self.search(sender).await;
    }

    async fn search(self, sender: mpsc::Sender<Result<SearchNews, LogError>>) -> Result<(), Unheard> {
        let Self { source, wanted, from, to, first_line, end_line, tail, limits, blocks, place } = self;
        let told = Teller::new(sender, Arc::clone(&wanted));
        let mut merge = Merge::new(Arc::clone(&wanted), told, from, limits.line_bytes);
        merge.told.news.lines_total = to.line.saturating_sub(from.line);
        let mut found = std::pin::pin!(blocks_of(source, wanted, (from, to), limits, blocks));
        loop {
            tokio::select! {
                block = found.next() => match block {
                    Some(Ok(block)) => merge.take(block).await?,
                    Some(Err(error)) => return merge.told.fail(error).await,
                    None => break,
                },
                () = merge.told.tick() => merge.told.tell().await?,
            }
        }
        match tail {
            Some(tail) if end_line.is_none_or(|end| merge.next_line() < end) => {
                // Who waits for what comes is in nobody's way.
                drop(place);
                merge.told.news.done = true;
                merge.told.tell().await?;
                merge.follow(tail, first_line, end_line.unwrap_or(u64::MAX)).await
            }
            _ => merge.end().await,
        }
    }
}

/// The blocks of a range in order; the next ones are searched already.
fn blocks_of(
    source: Source,
    wanted: Arc<Wanted>,
    (from, end): (LogPlace, LogPlace),
    limits: SearchLimits,
    permits: Arc<Semaphore>,
) -> impl Stream<Item = Result<Searched, LogError>> {
    let ahead = source.clone();
    let ranges = stream::try_unfold(from, move |from| {
        let source = ahead.clone();
        async move {
            if from.line >= end.line {
                return Ok(None);
            }
            let to = source.block_end(from, end, limits.block_bytes).await?;
            Ok::<_, LogError>(Some(((from, to), to)))
        }
    });
    let search = move |(from, to)| {
        let (source, wanted, permits) = (source.clone(), Arc::clone(&wanted), Arc::clone(&permits));
        // A task of its own: it goes on, and gives its permit back, when the reader of the search is slow.
        let task = Task(tokio::spawn(async move {
            let permit = permits.acquire_owned().await;
            let lines = source.block(from, to).await?;
            let search = move || {
                let searched = search_block(&wanted, lines);
                drop(permit);
                searched
            };
            spawn_blocking(search).await.map_err(|fault| fault_of(&fault))
        }));
        async move { task.end().await }
    };
    ranges.map_ok(search).try_buffered(limits.blocks_ahead)
}

/// A search that panicked.
pub fn fault_of(fault: &tokio::task::JoinError) -> LogError {
    LogError::Io(format!("a search failed: {fault}"))
}

/// Ends with who waits for it.
struct Task<T>(JoinHandle<Result<T, LogError>>);

impl<T> Task<T> {
    async fn end(mut self) -> Result<T, LogError> {
        (&mut self.0).await.unwrap_or_else(|fault| Err(fault_of(&fault)))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
