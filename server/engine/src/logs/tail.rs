//! A tail: reads a log at its reader's pace and waits for more at its end. The store is the log; what wakes a tail is
//! only a hint, so a slow reader loses nothing and costs no memory.

use std::sync::{Arc, PoisonError};

use tokio::sync::watch;

use super::live::{Incarnation, Known, LiveLog};
use super::room::Inner;
use super::{LogError, LogHead, LogId, LogLines, LogPlace, ReadFrom};

/// The most bytes of one chunk (a single line may be longer only if this is made less than a line).
pub const FOLLOW_CHUNK_MAX_BYTES: usize = 256 * 1024;

/// Where a tail begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this byte, which must begin a line or be the end of the log.
    Offset(u64),
    /// At the line with this byte of the stream in it; past the last byte, at the end.
    Byte(u64),
    /// At the last so many lines; 0: only what is new.
    LastLines(u64),
    /// At the first line of this time, in Unix milliseconds, or a later one.
    Since(i64),
    /// At the line this row begins with; past the last one, at the end.
    Row(u64),
}

/// What to do when there is no such log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Wait until there is one: its step is queued.
    Wait,
    /// `NotFound`.
    Refuse,
}

/// What a tail brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailEvent {
    /// Whole lines.
    Data(LogLines),
    /// Retention has taken what was to come next; it goes on here.
    Gap(LogPlace),
    /// The log is complete and all of it was read.
    End(LogHead),
}

/// A reader that follows a log.
pub struct LogTail {
    room: Arc<Inner>,
    live: Arc<LiveLog>,
    known: watch::Receiver<Known>,
    /// Whose bytes these are: those of another log of this id are none of its own.
    incarnation: Incarnation,
    place: LogPlace,
    head: LogHead,
}

impl LogTail {
    pub(super) async fn open(
        room: Arc<Inner>,
        live: Arc<LiveLog>,
        start: Start,
        missing: Missing,
    ) -> Result<Self, LogError> {
        let (known, incarnation) = (live.known.subscribe(), live.incarnation());
        let mut tail = Self { room, live, known, incarnation, place: LogPlace::default(), head: LogHead::default() };
        match (tail.look().await?, start) {
            (None, _) if missing == Missing::Refuse => {
                return Err(LogError::NotFound(tail.live.id.clone()));
            }
            (None, Start::Offset(0) | Start::Byte(_) | Start::LastLines(_) | Start::Since(_) | Start::Row(_)) => {}
            (None, Start::Offset(offset)) => {
                return Err(LogError::invalid(
                    "offset",
                    format!("{offset} is past the end of the log, which is empty"),
                ));
            }
            (Some(_), Start::Offset(offset)) => tail.place = tail.find(ReadFrom::Offset(offset)).await?,
            (Some(_), Start::Byte(byte)) => tail.place = tail.find(ReadFrom::Byte(byte)).await?,
            (Some(_), Start::Since(time_ms)) => tail.place = tail.find(ReadFrom::Time(time_ms)).await?,
            (Some(_), Start::Row(row)) => tail.place = tail.find(ReadFrom::Row(row)).await?,
            (Some(head), Start::LastLines(lines)) => {
                tail.place = match lines {
                    0 => head.end(),
                    _ => tail.find(ReadFrom::Line(head.lines.saturating_sub(lines))).await?,
                };
            }
        }
        Ok(tail)
    }

    /// The next lines, as soon as there are some, or the end. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<TailEvent, LogError> {
        loop {
            if let Some(head) = self.look().await? {
                if self.place.line < head.first.line {
                    self.place = head.first;
                    return Ok(TailEvent::Gap(self.place));
                }
                if self.place.line < head.lines {
                    let lines = self.read().await?;
                    if lines.place.line > self.place.line {
                        // It was trimmed since the head was known.
                        self.place = lines.place;
                        return Ok(TailEvent::Gap(self.place));
                    }
                    self.place = lines.end();
                    return Ok(TailEvent::Data(lines));
                }
                if head.complete {
                    return Ok(TailEvent::End(head));
                }
            }
            // The sender lives in `self.live`, so this waits for news and nothing else.
            let _ = self.known.changed().await;
        }
    }

    /// The log.
    pub fn id(&self) -> &LogId {
        &self.live.id
    }

    /// Whether an append ended where this tail has come to. What is appended in one go is whole there.
    pub(super) async fn is_at_an_end(&self) -> Result<bool, LogError> {
        if self.place.line <= self.head.lines {
            return Ok(self.place.line == self.head.lines);
        }
        // It has read more than there was when it looked last.
        Ok(self.room.store.head(&self.live.id).await?.lines == self.place.line)
    }

    /// How far the log had come when this tail looked last.
    pub fn head(&self) -> &LogHead {
        &self.head
    }

    /// Where the next lines begin: a tail opened at this offset goes on here.
    pub fn place(&self) -> LogPlace {
        self.place
    }

    /// How far the log has come; none if there is no such log yet.
    async fn look(&mut self) -> Result<Option<LogHead>, LogError> {
        loop {
            let known = *self.known.borrow_and_update();
            // After that: what was told of a next log was told after this one was removed.
            self.live.check(self.incarnation)?;
            match known {
                Known::Head(head) => {
                    self.head = head;
                    return Ok(Some(head));
                }
                Known::Missing => return Ok(None),
                Known::Unknown(_) => {
                    let told = match self.room.store.head(&self.live.id).await {
                        Ok(head) => Known::Head(head),
                        Err(LogError::NotFound(_)) => Known::Missing,
                        Err(error) => return Err(error),
                    };
                    self.live.learn(known, told);
                }
            }
        }
    }

    async fn find(&self, from: ReadFrom) -> Result<LogPlace, LogError> {
        let found = self.room.store.read(&self.live.id, from, 0, 0).await;
        self.live.check(self.incarnation)?;
        Ok(found?.place)
    }

    async fn read(&self) -> Result<LogLines, LogError> {
        let hot = self.live.hot.lock().unwrap_or_else(PoisonError::into_inner).read(self.place, FOLLOW_CHUNK_MAX_BYTES);
        let lines = match hot {
            Some(lines) => Ok(lines),
            None => {
                let from = ReadFrom::Place(self.place);
                self.room.store.read(&self.live.id, from, u64::MAX, FOLLOW_CHUNK_MAX_BYTES).await
            }
        };
        // It may have been removed and made again while it was read.
        self.live.check(self.incarnation)?;
        lines
    }
}
