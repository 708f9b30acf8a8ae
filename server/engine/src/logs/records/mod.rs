//! Logs of records: a record is a row of exactly these bytes, its number is the row's. Records that are sent at the same
//! time become durable together; readers count rows where others count lines or bytes.
//!
//! ```text
//! Producer::send -> what waits for the log -> LogRoom::append_records -> tails wake -> RowTail
//! ```
//!
//! This module knows no RPC, and not who may read or write.

mod append;
mod id;
mod named;
mod producer;
mod reader;
mod source;
mod tail;
#[cfg(test)]
mod tests;

use super::{LogError, LogHead, LogId, LogRoom, Missing, ReadFrom, Start};
use crate::error::{Error, Result};
use producer::Producers;
use reader::RowReader;

pub use id::{DEFAULT_LOG, EVENTS_LOG, LOG_NAME_MAX_BYTES, NamedLog};
pub use named::NAMED_LOGS_MAX;
pub(super) use named::NamedLogs;
pub use producer::{PRODUCE_WAITING_MAX_BYTES, Producer, RECORD_MAX_BYTES, RECORD_MAX_LINE_ENDS, Sent};
pub use reader::{LogRow, ROW_MAX_BYTES};
pub use source::RecordSource;
pub use tail::{RowEvent, RowTail};

/// So much is read first, in hope that the record is short.
const FIRST_READ_BYTES: usize = 4 * 1024;
/// So much is read at once of a record that is long.
const READ_BYTES: usize = 256 * 1024;

/// The logs of records of a server, and the rows of its other logs. Cheap to clone.
#[derive(Clone)]
pub struct Records {
    room: LogRoom,
    producers: Producers,
}

impl Records {
    /// Over a log room.
    pub fn new(room: LogRoom) -> Self {
        Self { producers: Producers::new(room.clone()), room }
    }

    /// One who produces to this log. `Denied` where only the server may.
    pub fn producer(&self, log: &RecordSource) -> Result<Producer> {
        match log {
            RecordSource::Named(named) if named.is_read_only() => {
                Err(Error::Denied(format!("log: {} is written by the server only", named.name())))
            }
            RecordSource::Named(named) => Ok(self.producers.producer(named.log().clone())),
            RecordSource::Log(id) => {
                Err(Error::Denied(format!("log: {id} is an id, to read by; records are produced to the name of a log")))
            }
        }
    }

    /// The record with this number. `Range` where there is none: past the end, or taken by retention. A log that is not
    /// there is an empty one if it may come, as `missing` says.
    pub async fn read(&self, log: &LogId, number: u64, missing: Missing) -> Result<LogRow> {
        let head = match self.room.head(log).await {
            Ok(head) => head,
            Err(LogError::NotFound(_)) if missing == Missing::Wait => LogHead::default(),
            Err(error) => return Err(error.into()),
        };
        let rows = whole_rows(&head);
        if number >= rows {
            return Err(Error::Range(format!(
                "offset: {number} is past the end of log {log}, which has {rows} records"
            )));
        }
        let gone = |first: u64| {
            let message =
                format!("offset: record {number} of log {log} was removed by retention; the first is {first}");
            Err(Error::Range(message))
        };
        if number < head.first.row {
            return gone(head.first.row);
        }
        let mut reader = RowReader::new(log.clone(), number);
        let (mut from, mut most) = (ReadFrom::Row(number), FIRST_READ_BYTES);
        loop {
            let lines = self.room.inner.store.read(log, from, u64::MAX, most).await?;
            if lines.place.row > number && from_row(from) {
                // It was trimmed a moment ago.
                return gone(lines.place.row);
            }
            reader.take(&lines)?;
            if lines.lines() == 0 {
                reader.finish();
            }
            match reader.next() {
                Some(row) => return Ok(row),
                None if lines.lines() == 0 => return Err(Error::internal(format!("log {log} has no row {number}"))),
                None => (from, most) = (ReadFrom::Place(lines.end()), READ_BYTES),
            }
        }
    }

    /// Records from a number on, and then each as it comes. One that is not there yet is waited for; those that retention
    /// has taken are left out. `missing` says what to do when there is no such log.
    pub async fn tail(&self, log: &LogId, from: u64, missing: Missing) -> Result<RowTail> {
        Ok(RowTail::new(self.room.tail(log, Start::Row(from), missing).await?, from))
    }

    /// How many logs have records that wait for their append.
    pub fn busy_logs(&self) -> usize {
        self.producers.busy_logs()
    }
}

/// How many rows a log has that will not change: the last one of a stream may still go on.
fn whole_rows(head: &LogHead) -> u64 {
    head.stored_rows() - u64::from(head.unended && !head.complete)
}

fn from_row(from: ReadFrom) -> bool {
    matches!(from, ReadFrom::Row(_))
}
