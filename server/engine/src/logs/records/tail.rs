//! Whole rows of a log as they come: a [`LogTail`] that counts rows in place of lines.

use super::reader::{LogRow, RowReader};
use crate::error::Result;
use crate::logs::{LogHead, LogTail, TailEvent};

/// What a tail of rows brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowEvent {
    /// A row, with its number. Numbers follow one another, but where retention has taken some.
    Row(LogRow),
    /// The log is complete and all of it was read.
    End(LogHead),
}

/// A reader that follows a log by rows.
pub struct RowTail {
    tail: LogTail,
    reader: RowReader,
    end: Option<LogHead>,
}

impl RowTail {
    /// Over a tail that begins at row `from` or before; rows before it are left out.
    pub fn new(tail: LogTail, from: u64) -> Self {
        let reader = RowReader::new(tail.id().clone(), from);
        Self { tail, reader, end: None }
    }

    /// The next row as soon as it is whole, or the end. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<RowEvent> {
        loop {
            if let Some(row) = self.reader.next() {
                return Ok(RowEvent::Row(row));
            }
            if let Some(head) = self.end {
                return Ok(RowEvent::End(head));
            }
            // Rows are appended whole: at the end of an append the last one is.
            if self.reader.is_in_doubt() && self.tail.is_at_an_end().await? {
                self.reader.finish();
                continue;
            }
            match self.tail.next().await? {
                TailEvent::Data(lines) => self.reader.take(&lines)?,
                TailEvent::Gap(_) => self.reader.forget(),
                TailEvent::End(head) => {
                    self.reader.finish();
                    self.end = Some(head);
                }
            }
        }
    }
}
