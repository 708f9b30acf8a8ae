//! Records on their way into a log: they go to its end, whatever that is.

use bytes::Bytes;

use crate::logs::live::LiveLog;
use crate::logs::room::Inner;
use crate::logs::{LogAppend, LogError, LogId, LogRoom, Row};

/// So often an append is tried again when something else happened to the log at the same time.
const STALE_RETRIES_MAX: u32 = 3;

impl LogRoom {
    /// Appends records in one go and returns the number of the first: they are durable. Goes on to its end when the caller
    /// goes away.
    pub async fn append_records(&self, id: &LogId, records: Vec<Bytes>) -> Result<u64, LogError> {
        self.inner.rates.admit(id).await;
        let (inner, live) = (self.inner.clone(), self.inner.lives.get(id));
        let task = tokio::spawn(async move {
            let mut tries = 0;
            loop {
                match inner.append_records(&live, &records).await {
                    Err(LogError::Stale(_)) if tries < STALE_RETRIES_MAX => tries += 1,
                    other => return other,
                }
            }
        });
        task.await.unwrap_or_else(|fault| Err(LogError::Io(format!("appending to log {id} failed: {fault}"))))
    }
}

impl Inner {
    async fn append_records(&self, live: &LiveLog, records: &[Bytes]) -> Result<u64, LogError> {
        let now_ms = self.clock.now_ms();
        let mut batch = self.batch(now_ms);
        for text in records {
            batch.push_record(Row { time_ms: now_ms, stderr: false, text })?;
        }
        let (text, words) = batch.into_lines(0, records.len());
        let _turn = live.turn().await;
        let known = self.known_head(live).await?;
        let new = match known {
            None if !records.is_empty() => self.named.admit(&*self.store, &live.id, self.limits.named_logs_max).await?,
            _ => None,
        };
        let head = known.unwrap_or_default();
        if head.complete {
            return Err(LogError::Closed(live.id.clone()));
        }
        // What retention has taken does not count.
        let kept = head.bytes - head.first.offset;
        let most = self.limits.log_max_bytes;
        if kept + text.len() as u64 > most {
            let message = format!("log {} has reached its limit of {most} bytes", live.id);
            return Err(LogError::Exhausted(message));
        }
        if !records.is_empty() {
            self.write(live, head, LogAppend { at_lines: head.lines, text, words, ..LogAppend::default() }).await?;
        }
        if let Some(new) = new {
            new.made();
        }
        Ok(head.rows)
    }
}
