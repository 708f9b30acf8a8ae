//! Bytes on their way into a log: where they belong, what of them is there already, and that it is the same.

use bytes::Bytes;

use super::lines::lines;
use crate::logs::live::LiveLog;
use crate::logs::room::Inner;
use crate::logs::{LogAppend, LogError, LogHead, LogId, LogRoom};

/// So many bytes are compared at a time.
const COMPARE_BYTES: usize = 256 * 1024;

impl LogRoom {
    /// Appends bytes that begin at `offset` of the stream; `finish` ends it. What is there already must be the same. Goes
    /// on to its end when the caller goes away.
    pub(crate) async fn append_bytes(
        &self,
        id: &LogId,
        offset: u64,
        bytes: Bytes,
        finish: bool,
    ) -> Result<LogHead, LogError> {
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
        let len = head.stream_bytes();
        if offset > len {
            let message = format!("{offset} is past what is there, {len}; go on from what QueryWriteStatus says");
            return Err(LogError::invalid("write_offset", message));
        }
        let again = usize::try_from(len - offset).map_or(bytes.len(), |again| again.min(bytes.len()));
        // What retention has taken is not there to compare with.
        let gone = usize::try_from(head.first.stream_offset().saturating_sub(offset)).unwrap_or(again).min(again);
        self.compare_bytes(live, offset + gone as u64, &bytes[gone..again]).await?;
        let fresh = &bytes[again..];
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
        let (text, words) = lines(fresh, head.unended, self.clock.now_ms());
        let most = self.limits.log_max_bytes;
        if head.bytes + text.len() as u64 > most {
            return Err(LogError::Exhausted(format!("log {} has reached its limit of {most} bytes", live.id)));
        }
        let append = LogAppend { at_lines: head.lines, text, words, complete: finish, ..LogAppend::default() };
        self.write(live, head, append).await
    }

    async fn compare_bytes(&self, live: &LiveLog, offset: u64, sent: &[u8]) -> Result<(), LogError> {
        let mut at = offset;
        for sent in sent.chunks(COMPARE_BYTES) {
            let stored = self.store.read_bytes(&live.id, at, sent.len()).await?;
            if stored != sent {
                let same = stored.iter().zip(sent).take_while(|(stored, sent)| stored == sent).count();
                return Err(LogError::OtherBytes { id: live.id.clone(), offset: at + same as u64 });
            }
            at += sent.len() as u64;
        }
        Ok(())
    }
}
