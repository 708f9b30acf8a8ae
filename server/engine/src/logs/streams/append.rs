//! Bytes on their way into a log: where they belong, what of them is there already, and that it is the same.

use bytes::Bytes;

use super::lines::lines;
use crate::logs::live::LiveLog;
use crate::logs::masks::same_bytes;
use crate::logs::notice;
use crate::logs::room::Inner;
use crate::logs::{LogAppend, LogError, LogHead, LogId, LogRoom};

/// So many bytes are compared at a time.
const COMPARE_BYTES: usize = 256 * 1024;

impl LogRoom {
    /// Appends bytes that begin at `offset` of the stream; `finish` ends it. What is there already must be the same. What
    /// does not fit is acknowledged and dropped. Who writes faster than the log may grow waits here. Goes on to its end
    /// when the caller goes away.
    pub(crate) async fn append_bytes(
        &self,
        id: &LogId,
        offset: u64,
        bytes: Bytes,
        finish: bool,
    ) -> Result<LogHead, LogError> {
        self.inner.rates.admit(id).await;
        let (inner, live) = (self.inner.clone(), self.inner.lives.get(id));
        let task = tokio::spawn(async move { inner.append_bytes(&live, offset, bytes, finish).await });
        task.await.unwrap_or_else(|fault| Err(LogError::Io(format!("appending to log {id} failed: {fault}"))))
    }

    /// Makes an empty log; one that is there stays as it is.
    pub(super) async fn create(&self, id: &LogId) -> Result<LogHead, LogError> {
        self.append_bytes(id, 0, Bytes::new(), false).await
    }
}

impl Inner {
    async fn append_bytes(&self, live: &LiveLog, offset: u64, bytes: Bytes, finish: bool) -> Result<LogHead, LogError> {
        let _turn = live.turn().await;
        let known = self.known_head(live).await?;
        let head = known.unwrap_or_default();
        let len = head.written_bytes();
        if offset > len {
            let message = format!("{offset} is past what is there, {len}; go on from what QueryWriteStatus says");
            return Err(LogError::invalid("write_offset", message));
        }
        let again = usize::try_from(len - offset).map_or(bytes.len(), |again| again.min(bytes.len()));
        // What retention has taken is not there to compare with, nor is what was dropped.
        let within = |end: u64| usize::try_from(end.saturating_sub(offset)).map_or(again, |end| end.min(again));
        let (gone, kept) = (within(head.first.stream_offset()), within(len - head.dropped_bytes));
        self.compare_bytes(live, offset + gone as u64, &bytes[gone.min(kept)..kept]).await?;
        let full = head.dropped_bytes > 0;
        let fresh = if full {
            bytes.slice(again..)
        } else {
            self.covered_bytes(live, &head, offset, bytes.clone(), again).await?
        };
        let past_end = offset + (bytes.len() as u64) < len;
        if head.complete && !fresh.is_empty() {
            return Err(LogError::Closed(live.id.clone()));
        }
        if finish && past_end {
            let message = format!("would end the stream at {}, but there are {len} bytes", offset + bytes.len() as u64);
            return Err(LogError::invalid("finish_write", message));
        }
        if fresh.is_empty() && known.is_some() && (!finish || head.complete) {
            return Ok(head);
        }
        let append = if full {
            LogAppend { at_lines: head.lines, dropped_bytes: fresh.len() as u64, ..LogAppend::default() }
        } else {
            self.fit_bytes(&head, &fresh)
        };
        self.write(live, head, LogAppend { complete: finish, ..append }).await
    }

    /// What of these bytes fits into the log: whole lines where there are some. When it is not all, a last line says so.
    fn fit_bytes(&self, head: &LogHead, fresh: &[u8]) -> LogAppend {
        let now_ms = self.clock.now_ms();
        let max_bytes = self.limits.log_max_bytes;
        let room = max_bytes.saturating_sub(head.bytes - head.first.offset);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let mut count = fresh.len();
        let (text, words) = loop {
            let (text, words) = lines(&fresh[..count], head.unended, now_ms);
            let over = text.len().saturating_sub(room);
            if over == 0 {
                break (text, words);
            }
            // Line ends of the room's own count too: it may take another round.
            count -= over.min(count);
            count = memchr::memrchr(b'\n', &fresh[..count]).map_or(count, |end| end + 1);
        };
        let dropped_bytes = (fresh.len() - count) as u64;
        let append = LogAppend { at_lines: head.lines, text, words, dropped_bytes, ..LogAppend::default() };
        if dropped_bytes == 0 { append } else { append.with_notice(head, &notice::full(max_bytes), now_ms) }
    }

    async fn compare_bytes(&self, live: &LiveLog, offset: u64, sent: &[u8]) -> Result<(), LogError> {
        let mut at = offset;
        for sent in sent.chunks(COMPARE_BYTES) {
            let stored = self.store.read_bytes(&live.id, at, sent.len()).await?;
            let same = same_bytes(&stored, sent, self.masks.current().is_some());
            if same < sent.len() {
                return Err(LogError::OtherBytes { id: live.id.clone(), offset: at + same as u64 });
            }
            at += sent.len() as u64;
        }
        Ok(())
    }
}
