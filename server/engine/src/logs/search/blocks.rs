//! Reads a log in blocks of whole lines. It knows places, and nothing of what is done with the lines.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::pieces::split_at;
use crate::logs::head::is_joined;
use crate::logs::{LogError, LogId, LogLines, LogPlace, LogStore, ReadFrom, line_words};

/// The most lines of one block: each has a word beside it.
pub const SEARCH_BLOCK_MAX_LINES: u64 = 128 * 1024;
/// How many pieces of a line are looked at in one read.
const PIECES_AT_ONCE: u64 = 64;
/// How many bytes of them.
const PIECES_AT_ONCE_BYTES: usize = 1024 * 1024;

/// A log to be read.
#[derive(Clone)]
pub struct Source {
    /// Where it is kept.
    pub store: Arc<dyn LogStore>,
    /// Which one.
    pub id: LogId,
}

impl Source {
    /// The place that these words mean.
    pub async fn find(&self, from: ReadFrom) -> Result<LogPlace, LogError> {
        Ok(self.store.read(&self.id, from, 0, 0).await?.place)
    }

    /// The first line from this one on that is no later piece of another.
    pub async fn begin_of_line(&self, mut line: u64) -> Result<LogPlace, LogError> {
        if line == 0 {
            return self.find(ReadFrom::Line(0)).await;
        }
        loop {
            let from = ReadFrom::Line(line - 1);
            let lines = self.store.read(&self.id, from, PIECES_AT_ONCE, PIECES_AT_ONCE_BYTES).await?;
            if lines.lines() == 0 || lines.place.line >= line {
                // The end of the log, or the first line that retention has left.
                return Ok(lines.place);
            }
            let last = line_words(&lines.words).position(|word| !is_joined(word));
            if let Some(last) = last {
                return Ok(split_at(lines, last + 1).0.end());
            }
            line = lines.end().line + 1;
        }
    }

    /// Where a block that begins here ends: at a line that begins about `block_bytes` later, one line later at least.
    pub async fn block_end(&self, from: LogPlace, end: LogPlace, block_bytes: u64) -> Result<LogPlace, LogError> {
        let mut to = end;
        if end.stream_offset() - from.stream_offset() > block_bytes {
            to = self.find(ReadFrom::Byte(from.stream_offset() + block_bytes)).await?;
        }
        if to.line > from.line + SEARCH_BLOCK_MAX_LINES {
            to = self.find(ReadFrom::Line(from.line + SEARCH_BLOCK_MAX_LINES)).await?;
        }
        if to.line <= from.line {
            to = self.store.read(&self.id, ReadFrom::Place(from), 1, 0).await?.end();
        }
        Ok(if to.line < end.line { to } else { end })
    }

    /// The lines from a place to before another, less what retention has taken by now.
    pub async fn block(&self, from: LogPlace, to: LogPlace) -> Result<LogLines, LogError> {
        let mut block = LogLines { place: from, ..LogLines::default() };
        while block.end().line < to.line {
            let at = block.end();
            let max_bytes = usize::try_from(to.offset.saturating_sub(at.offset)).unwrap_or(usize::MAX);
            let more = self.store.read(&self.id, ReadFrom::Place(at), to.line - at.line, max_bytes).await?;
            if more.lines() == 0 {
                break;
            }
            block = match more.place.line {
                line if line == at.line && block.lines() > 0 => joined(&block, &more),
                line if line >= to.line => break,
                // What came before is gone, and so is what follows it.
                line => split_at(more, (to.line - line) as usize).0,
            };
        }
        Ok(block)
    }
}

fn joined(first: &LogLines, more: &LogLines) -> LogLines {
    let both = |a: &Bytes, b: &Bytes| {
        let mut all = BytesMut::with_capacity(a.len() + b.len());
        all.extend_from_slice(a);
        all.extend_from_slice(b);
        all.freeze()
    };
    LogLines { place: first.place, data: both(&first.data, &more.data), words: both(&first.words, &more.words) }
}
