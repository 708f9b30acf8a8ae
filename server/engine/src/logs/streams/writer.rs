//! One writer's call: what it sends is gathered while the append before is on its way to the disk, so that small
//! messages make large appends; a line that has no end yet waits a moment for it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::StreamStatus;
use crate::error::{Error, Result};
use crate::logs::masks::{self, MASK_HOLD_MS};
use crate::logs::{LogError, LogHead, LogId, LogRoom};

/// How long a line without an end waits for it before readers see what there is, in milliseconds.
pub const STREAM_HOLD_MS: u64 = 40;
/// The most bytes of one append.
const APPEND_MAX_BYTES: usize = 1024 * 1024;
/// With this much waiting a writer takes no more.
const PENDING_MAX_BYTES: usize = 1024 * 1024;

/// Writes a stream. What it has taken is written even if it is dropped, but only [`Self::flush`] says so.
pub struct StreamWriter {
    room: LogRoom,
    log: LogId,
    /// How messages of this call say where they belong.
    counted: Option<Counted>,
    /// Where `pending` begins.
    at: u64,
    pending: BytesMut,
    held_since: Instant,
    flight: Option<JoinHandle<Result<LogHead, LogError>>>,
    head: LogHead,
    finish: bool,
}

/// The messages of a call.
#[derive(Clone, Copy)]
struct Counted {
    first: u64,
    messages: u64,
}

impl StreamWriter {
    pub(super) fn new(room: LogRoom, log: LogId) -> Self {
        Self {
            room,
            log,
            counted: None,
            at: 0,
            pending: BytesMut::new(),
            held_since: Instant::now(),
            flight: None,
            head: LogHead::default(),
            finish: false,
        }
    }

    /// Whether it takes more now; if not, call [`Self::advance`].
    pub fn wants_more(&self) -> bool {
        self.pending.len() < PENDING_MAX_BYTES && !self.finish
    }

    /// Takes a message of this call: bytes that begin at `offset` of the stream.
    ///
    /// The first message says where the call begins. A later one follows the one before: its offset is where that ended,
    /// or (there are clients that count messages) the first one's plus how many came since; both mean the same. Bytes
    /// before that are a repetition and must be the same as the first time; a gap is refused.
    pub async fn take(&mut self, offset: u64, bytes: &[u8], finish: bool) -> Result<()> {
        if self.finish {
            return Err(Error::invalid("finish_write", "a message follows the one with it"));
        }
        let end = self.at + self.pending.len() as u64;
        match &mut self.counted {
            None => {
                self.counted = Some(Counted { first: offset, messages: 1 });
                self.at = offset;
            }
            Some(counted) => {
                let by_messages = counted.first.checked_add(counted.messages);
                counted.messages += 1;
                if offset != end && Some(offset) != by_messages {
                    if offset > end {
                        let message = format!("{offset} leaves a gap; this call has come to {end}");
                        return Err(Error::invalid("write_offset", message));
                    }
                    return self.repeated(offset, bytes, finish).await;
                }
            }
        }
        if self.at.checked_add((self.pending.len() + bytes.len()) as u64).is_none_or(|end| end > i64::MAX as u64) {
            return Err(Error::invalid("write_offset", format!("{offset} is absurd")));
        }
        if self.pending.is_empty() {
            self.held_since = Instant::now();
        }
        self.pending.extend_from_slice(bytes);
        self.finish = finish;
        Ok(())
    }

    /// Goes on with what was taken: comes back when something of it is durable, and never if there is nothing to do.
    /// Nothing is lost when the future is dropped.
    pub async fn advance(&mut self) -> Result<()> {
        if self.flight.is_none() {
            let Some(count) = self.ready().await else { return std::future::pending().await };
            self.start(count);
        }
        self.land().await
    }

    /// Comes back when all that was taken is durable.
    pub async fn flush(&mut self) -> Result<StreamStatus> {
        self.land().await?;
        // Also when there are no bytes: they may be no bytes of a stream that is not there, or that must be so long.
        loop {
            self.start(self.pending.len());
            self.land().await?;
            if self.pending.is_empty() {
                break;
            }
        }
        Ok(StreamStatus { committed: self.head.written_bytes(), complete: self.head.complete })
    }

    /// Bytes that were sent before: what is new of them is appended.
    async fn repeated(&mut self, offset: u64, bytes: &[u8], finish: bool) -> Result<()> {
        let end = self.at + self.pending.len() as u64;
        self.flush().await?;
        self.head = self.room.append_bytes(&self.log, offset, Bytes::copy_from_slice(bytes), finish).await?;
        self.at = end.max(offset + bytes.len() as u64);
        self.finish = finish;
        Ok(())
    }

    /// How much to append next, once it is time; none if there is nothing.
    async fn ready(&self) -> Option<usize> {
        if self.pending.is_empty() {
            return None;
        }
        let lines = memchr::memrchr(b'\n', &self.pending).map_or(0, |at| at + 1);
        if self.finish || self.pending.len() >= PENDING_MAX_BYTES {
            return Some(self.pending.len());
        }
        if lines == 0 {
            tokio::time::sleep_until(self.held_since + Duration::from_millis(STREAM_HOLD_MS)).await;
            let ripe = masks::ripe(self.room.masks().current().as_deref(), &self.pending);
            if ripe > 0 {
                return Some(ripe);
            }
            tokio::time::sleep_until(self.held_since + Duration::from_millis(MASK_HOLD_MS)).await;
            return Some(self.pending.len());
        }
        Some(lines)
    }

    fn start(&mut self, count: usize) {
        let mut count = count.min(APPEND_MAX_BYTES);
        if count < self.pending.len() {
            count = masks::cut(self.room.masks().current().as_deref(), &self.pending, count);
        }
        let bytes = self.pending.split_to(count).freeze();
        let finish = self.finish && self.pending.is_empty();
        let (room, log, at) = (self.room.clone(), self.log.clone(), self.at);
        self.at += bytes.len() as u64;
        self.held_since = Instant::now();
        self.flight = Some(tokio::spawn(async move { room.append_bytes(&log, at, bytes, finish).await }));
    }

    /// Waits for the append that is on its way.
    async fn land(&mut self) -> Result<()> {
        let Some(flight) = &mut self.flight else { return Ok(()) };
        let landed = flight.await;
        self.flight = None;
        let landed = landed.unwrap_or_else(|fault| Err(LogError::Io(fault.to_string())));
        if landed.is_err() {
            // What follows would leave a gap.
            self.pending.clear();
        }
        self.head = landed?;
        Ok(())
    }
}

impl Drop for StreamWriter {
    /// A writer that was cut off: readers see the last it said, also when that is half a line.
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.pending).freeze();
        if bytes.is_empty() {
            return;
        }
        let (room, log, at, flight) = (self.room.clone(), self.log.clone(), self.at, self.flight.take());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Some(flight) = flight {
                // If it failed, this one is refused as a gap.
                let _ = flight.await;
            }
            if let Err(error) = room.append_bytes(&log, at, bytes, false).await {
                tracing::debug!(%log, %error, "the last bytes of a writer that was cut off were not kept");
            }
        });
    }
}
