//! A log that events go to, and how far it has come.

use crate::events::event::{EventId, NewEvent};
use crate::logs::records::NamedLog;
use crate::logs::{LogError, LogId, LogRoom, Row, RowBatch};

/// The last event of a log is among so many of its last lines: what else there may be are the room's own words.
const LOOK_BACK_MAX_LINES: u64 = 16;
/// More than these lines have.
const LOOK_BACK_MAX_BYTES: usize = 4 * 1024 * 1024;

/// A log of events.
#[derive(Debug)]
pub struct Target {
    log: LogId,
    /// How many rows it has.
    rows: u64,
    /// The last event in it.
    last: EventId,
}

impl Target {
    /// A project's, as it is now.
    pub async fn open(logs: &LogRoom, project: &str) -> Result<Self, LogError> {
        let log = NamedLog::events(project)?.log().clone();
        let rows = match logs.head(&log).await {
            Ok(head) => head.rows,
            Err(LogError::NotFound(_)) => return Ok(Self { log, rows: 0, last: EventId::default() }),
            Err(error) => return Err(error),
        };
        let lines = logs.last_lines(&log, LOOK_BACK_MAX_LINES, LOOK_BACK_MAX_BYTES).await?;
        let last = lines.data.split(|byte| *byte == b'\n').rev().find_map(EventId::of_record);
        Ok(Self { log, rows, last: last.unwrap_or_default() })
    }

    /// The last event in it.
    pub fn last(&self) -> EventId {
        self.last
    }

    /// What is in it is not of this outbox.
    pub fn begin_again(&mut self) {
        self.last = EventId::default();
    }

    /// Appends those that are not in it yet, in their order; when this returns they are durable. After an error it is to be
    /// opened again.
    pub async fn append(&mut self, logs: &LogRoom, events: &[(EventId, &NewEvent)]) -> Result<(), LogError> {
        let mut batch = logs.batch();
        let mut last = self.last;
        let before = self.last;
        for (id, event) in events.iter().filter(|(id, _)| *id > before) {
            let record = event.record(*id);
            if push(&mut batch, &record).is_err() {
                // It has as much as one append takes.
                let full = std::mem::replace(&mut batch, logs.batch());
                self.write(logs, full).await?;
                push(&mut batch, &record)?;
            }
            last = *id;
        }
        self.write(logs, batch).await?;
        self.last = last;
        Ok(())
    }

    async fn write(&mut self, logs: &LogRoom, batch: RowBatch) -> Result<(), LogError> {
        if batch.is_empty() {
            return Ok(());
        }
        let wanted = self.rows + batch.len() as u64;
        let rows = logs.append(&self.log, self.rows, batch, false).await?;
        if rows != wanted {
            // It was removed meanwhile, or somebody else wrote to it.
            return Err(LogError::Stale(self.log.clone()));
        }
        self.rows = rows;
        Ok(())
    }
}

/// Its time is the room's, so that the times of a log go up.
fn push(batch: &mut RowBatch, record: &str) -> Result<(), LogError> {
    batch.push(Row { time_ms: 0, stderr: false, text: record.as_bytes() })
}
