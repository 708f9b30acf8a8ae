//! Puts what was found in blocks together, and the lines that were split over them. It knows nothing of how blocks are read.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::pieces::{Block, Unended, split_at};
use super::run::fault_of;
use super::scan::{Found, Wanted, scan_line, scan_lines};
use super::teller::Teller;
use crate::logs::{LogLines, LogPlace, LogTail, TailEvent};

/// Nobody listens any more.
pub struct Unheard;

/// A block that was searched but for its ends.
pub struct Searched {
    place: LogPlace,
    end: LogPlace,
    head: LogLines,
    found: Found,
    /// The lines that were not searched yet, for so much was found.
    rest: LogLines,
    tail: LogLines,
}

/// Searches a block but for its ends.
pub fn search_block(wanted: &Wanted, lines: LogLines) -> Searched {
    let (place, end) = (lines.place, lines.end());
    let Block { head, whole, tail } = Block::of(lines);
    let (found, rest) = scan_lines(wanted, whole);
    Searched { place, end, head, found, rest, tail }
}

/// Blocks in the order of the log.
pub struct Merge {
    /// Who is told.
    pub told: Teller,
    wanted: Arc<Wanted>,
    from: LogPlace,
    /// The line after the last one that was taken.
    next: LogPlace,
    unended: Option<Unended>,
    line_bytes: usize,
}

impl Merge {
    /// Begins at a place. A line of more than `line_bytes` is searched in parts.
    pub fn new(wanted: Arc<Wanted>, told: Teller, from: LogPlace, line_bytes: usize) -> Self {
        Self { told, wanted, from, next: from, unended: None, line_bytes }
    }

    /// The line after the last one that was taken.
    pub fn next_line(&self) -> u64 {
        self.next.line
    }

    /// Takes the next block.
    pub async fn take(&mut self, block: Searched) -> Result<(), Unheard> {
        let mut found = Found::default();
        if block.place.line > self.next.line {
            // Retention took what was between.
            found.add(self.flush().await);
        }
        found.add(self.pieces(&block.head).await);
        found.add(block.found);
        let mut rest = block.rest;
        while rest.lines() > 0 {
            // Not before the reader has taken what was found so far.
            self.next = rest.place;
            self.found(found).await?;
            let wanted = Arc::clone(&self.wanted);
            (found, rest) = match spawn_blocking(move || scan_lines(&wanted, rest)).await {
                Ok(searched) => searched,
                Err(fault) => return self.told.fail(fault_of(&fault)).await.and(Err(Unheard)),
            };
        }
        found.add(self.pieces(&block.tail).await);
        self.next = block.end;
        self.found(found).await
    }

    /// Takes what comes from `first_line` on, until the log is complete or `end_line` was reached.
    pub async fn follow(mut self, mut tail: LogTail, first_line: u64, end_line: u64) -> Result<(), Unheard> {
        loop {
            let event = tokio::select! {
                event = tail.next() => event,
                () = self.told.tick(), if self.told.is_new() => {
                    self.told.tell().await?;
                    continue;
                }
            };
            match event {
                Ok(TailEvent::Data(lines)) => {
                    let early = usize::try_from(first_line.saturating_sub(lines.place.line)).unwrap_or(usize::MAX);
                    let lines = split_at(lines, early).1;
                    let left = usize::try_from(end_line.saturating_sub(lines.place.line)).unwrap_or(usize::MAX);
                    let lines = if lines.lines() as usize > left { split_at(lines, left).0 } else { lines };
                    let wanted = Arc::clone(&self.wanted);
                    self.told.news.lines_total = tail.head().lines.min(end_line).saturating_sub(self.from.line);
                    match spawn_blocking(move || search_block(&wanted, lines)).await {
                        Ok(block) => self.take(block).await?,
                        Err(fault) => return self.told.fail(fault_of(&fault)).await,
                    }
                    if self.next.line >= end_line {
                        return self.end().await;
                    }
                }
                Ok(TailEvent::Gap(place)) => {
                    let found = self.flush().await;
                    self.next = place;
                    self.found(found).await?;
                    if place.line >= end_line {
                        return self.end().await;
                    }
                }
                Ok(TailEvent::End(_)) => return self.end().await,
                Err(error) => return self.told.fail(error).await,
            }
        }
    }

    /// All was searched.
    pub async fn end(mut self) -> Result<(), Unheard> {
        let found = self.flush().await;
        self.told.add(found);
        self.told.news.done = true;
        self.told.news.lines_searched = self.next.line - self.from.line;
        self.told.tell().await
    }

    /// Pieces of the line that has not ended, or of one that begins.
    async fn pieces(&mut self, pieces: &LogLines) -> Found {
        let whole = Unended::add(&mut self.unended, pieces);
        let too_long = self.unended.as_ref().is_some_and(|line| line.text.len() >= self.line_bytes);
        if whole || too_long { self.flush().await } else { Found::default() }
    }

    /// Searches the line that has not ended as it is.
    async fn flush(&mut self) -> Found {
        let Some(unended) = self.unended.take() else { return Found::default() };
        let wanted = Arc::clone(&self.wanted);
        let scanned = spawn_blocking(move || {
            let (line, word) = (unended.line, unended.word);
            scan_line(&wanted, line, word, &unended.into_line())
        });
        scanned.await.unwrap_or_else(|fault| {
            tracing::error!(%fault, "a line could not be searched");
            Found::default()
        })
    }

    async fn found(&mut self, found: Found) -> Result<(), Unheard> {
        let hits = self.told.add(found);
        let searched = self.unended.as_ref().map_or(self.next.line, |line| line.line);
        self.told.news.lines_searched = searched - self.from.line;
        if hits { self.told.tell().await } else { Ok(()) }
    }
}
