//! Reads a stream from a byte on, as it grows.

use bytes::Bytes;

use super::fallback::FillGuard;
use super::{LogStreams, StreamId};
use crate::error::{Error, Result};
use crate::logs::{LogError, LogTail, Missing, Start, TailEvent};

/// A reader that follows a stream.
pub struct ByteTail {
    tail: LogTail,
    fill: FillGuard,
    /// So many bytes of what comes are before the one that was asked for.
    skip: u64,
    left: Option<u64>,
}

impl ByteTail {
    pub(super) async fn open(streams: &LogStreams, stream: StreamId, offset: u64, limit: Option<u64>) -> Result<Self> {
        let fill = streams.attend(&stream).await?;
        let tail = streams.inner.room.tail(stream.log(), Start::Byte(offset), Missing::Wait).await?;
        Ok(Self { fill, ..Self::over(tail, offset, limit)? })
    }

    /// The bytes of any log, over a tail that was opened at this one ([`Start::Byte`]).
    pub fn over(tail: LogTail, offset: u64, limit: Option<u64>) -> Result<Self> {
        let (head, place) = (tail.head(), tail.place());
        if head.complete && offset > head.stream_bytes() {
            return Err(past_end(offset, head.stream_bytes()));
        }
        if offset < place.stream_offset() {
            return Err(LogError::Gone { id: tail.id().clone(), first: place }.into());
        }
        let skip = offset - place.stream_offset();
        Ok(Self { tail, fill: FillGuard::none(), skip, left: limit })
    }

    /// The next bytes as soon as there are some; none at the end. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            let event = tokio::select! {
                biased;
                event = self.tail.next() => event?,
                fault = self.fill.failed() => return Err(fault),
            };
            let mut bytes = match event {
                TailEvent::Data(lines) => lines.stream_bytes(),
                TailEvent::Gap(first) => return Err(LogError::Gone { id: self.tail.id().clone(), first }.into()),
                TailEvent::End(head) if self.skip > 0 => {
                    let end = head.stream_bytes();
                    return Err(past_end(end + self.skip, end));
                }
                TailEvent::End(_) => return Ok(None),
            };
            let skipped = usize::try_from(self.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
            self.skip -= skipped as u64;
            bytes = bytes.slice(skipped..);
            if let Some(left) = &mut self.left {
                bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= bytes.len() as u64;
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

fn past_end(offset: u64, end: u64) -> Error {
    Error::Range(format!("read_offset: {offset} is past the end of the log stream, {end}"))
}
