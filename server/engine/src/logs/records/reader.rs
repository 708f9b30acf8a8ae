//! Makes rows of lines. It knows nothing of where the lines come from.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{Error, Result};
use crate::logs::head::starts_row;
use crate::logs::{LogId, LogLines, flags, is_joined, line_words};

/// The longest row that is read as a record. What is longer (a line of a stream that never ends) is read as bytes.
pub const ROW_MAX_BYTES: usize = 8 * 1024 * 1024;

/// A row of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// Its number in the log, from 0.
    pub number: u64,
    /// Its bytes, as they were written.
    pub value: Bytes,
}

/// Puts lines together to rows, from some row on.
#[derive(Debug)]
pub struct RowReader {
    log: LogId,
    from: u64,
    /// The row that may still go on.
    open: Option<OpenRow>,
    ready: VecDeque<LogRow>,
}

#[derive(Debug)]
struct OpenRow {
    number: u64,
    first: Bytes,
    /// All of it, once it has more than one line.
    all: Option<BytesMut>,
    /// The end of its last line is the room's own.
    joined: bool,
}

impl RowReader {
    /// Rows of a log, those before `from` left out.
    pub fn new(log: LogId, from: u64) -> Self {
        Self { log, from, open: None, ready: VecDeque::new() }
    }

    /// Takes lines that follow those before.
    pub fn take(&mut self, lines: &LogLines) -> Result<()> {
        let mut number = lines.place.row;
        let mut at = 0;
        for (end, word) in memchr::memchr_iter(b'\n', &lines.data).zip(line_words(&lines.words)) {
            let line = at..end;
            at = end + 1;
            if word & flags::ROOM != 0 {
                continue;
            }
            if starts_row(word) {
                self.finish();
                if number >= self.from {
                    let first = lines.data.slice(line);
                    self.open = Some(OpenRow { number, first, all: None, joined: is_joined(word) });
                }
                number += 1;
            } else if let Some(open) = &mut self.open {
                open.go_on(&lines.data[line], is_joined(word));
                if open.all.as_ref().is_some_and(|all| all.len() > ROW_MAX_BYTES) {
                    return Err(too_long(&self.log, open.number));
                }
            }
        }
        Ok(())
    }

    /// The next row that is whole.
    pub fn next(&mut self) -> Option<LogRow> {
        self.ready.pop_front()
    }

    /// Whether a row may still go on, though its last line has an end: only who knows the log knows.
    pub fn is_in_doubt(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.joined)
    }

    /// The open row ends here.
    pub fn finish(&mut self) {
        self.ready.extend(self.open.take().map(OpenRow::whole));
    }

    /// The rest of the open row will never come.
    pub fn forget(&mut self) {
        self.open = None;
    }
}

impl OpenRow {
    fn go_on(&mut self, line: &[u8], joined: bool) {
        let first = &self.first;
        let all = self.all.get_or_insert_with(|| BytesMut::from(&first[..]));
        if !self.joined {
            all.put_u8(b'\n');
        }
        all.put_slice(line);
        self.joined = joined;
    }

    fn whole(self) -> LogRow {
        LogRow { number: self.number, value: self.all.map_or(self.first, BytesMut::freeze) }
    }
}

fn too_long(log: &LogId, number: u64) -> Error {
    Error::Precondition(format!(
        "record {number} of log {log} is longer than {ROW_MAX_BYTES} bytes, the limit of a record: read the log as bytes"
    ))
}
