//! Records of named logs go from the front, when they are old or when there are too many bytes of them.

use super::reaper::{Pass, Reaper, usage_of};
use super::{LogKind, LogOf};
use crate::error::Result;
use crate::logs::project::ProjectHash;
use crate::logs::{LogHead, LogId, LogSummary, ReadFrom};

impl Reaper {
    /// Takes from the front of a named log what is no longer to be kept, as far as its store can take it, and counts it.
    pub(super) async fn trim(&self, of: &LogOf, id: &LogId, log: &LogSummary, pass: &mut Pass) -> Result<()> {
        let mut log = log.clone();
        let before_line = self.first_kept_line(id, &log.head, pass.now_ms).await?;
        if before_line > log.head.first.line && !log.head.complete {
            let head = self.room.trim(id, before_line).await?;
            let records = head.first.row - log.head.first.row;
            if head.first.line > log.head.first.line {
                let (stored_bytes, _) = self.room.stored(id).await?;
                let freed = log.stored_bytes.saturating_sub(stored_bytes);
                pass.sweep.removed_records += records;
                pass.sweep.freed_bytes += freed;
                log.stored_bytes = stored_bytes;
                self.tell_trimmed(of, records, freed).await;
            }
            log.head = head;
        }
        let project = of.project().unwrap_or_else(|| ProjectHash::of(""));
        pass.usage.add(project, LogKind::Records, usage_of(&log));
        Ok(())
    }

    /// The first line that is young enough and among the last bytes that are kept.
    async fn first_kept_line(&self, id: &LogId, head: &LogHead, now_ms: i64) -> Result<u64> {
        let retention = &self.retention;
        let mut line = head.first.line;
        if retention.records_age_ms > 0 {
            let oldest_ms = now_ms.saturating_sub_unsigned(retention.records_age_ms);
            // All of it may be that old.
            line = line.max(if head.last_ms < oldest_ms {
                head.lines
            } else {
                self.line_at(id, ReadFrom::Time(oldest_ms)).await?
            });
        }
        let kept_bytes = head.stream_bytes() - head.first.stream_offset();
        if retention.records_max_bytes > 0 && kept_bytes > retention.records_max_bytes {
            let first_byte = head.stream_bytes() - retention.records_max_bytes;
            line = line.max(self.line_at(id, ReadFrom::Byte(first_byte)).await?);
        }
        Ok(line)
    }

    async fn line_at(&self, id: &LogId, from: ReadFrom) -> Result<u64> {
        Ok(self.room.inner.store.read(id, from, 0, 0).await?.place.line)
    }
}
