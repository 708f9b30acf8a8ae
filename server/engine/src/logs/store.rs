//! What the log room asks of a place that keeps logs. One implementation a back end, one suite for all of them
//! ([`super::conformance`]).

use async_trait::async_trait;
use bytes::Bytes;

use super::head::is_joined;
use super::{LINE_WORD_BYTES, LogError, LogHead, LogId, LogMark, line_words};

/// Keeps logs. It knows lines, bytes and how far a log has come; who may append what is [`super::LogRoom`]'s.
#[async_trait]
pub trait LogStore: Send + Sync + 'static {
    /// How far the log has come; `NotFound` if nothing was ever appended.
    async fn head(&self, id: &LogId) -> Result<LogHead, LogError>;

    /// Appends and returns the new head, when all of it is durable; before that no reader sees any of it. The first
    /// append makes the log. When it fails the log is as it was. `Stale` unless the log has `at_lines` lines and no
    /// other append is under way, `Closed` after the end. A call that is dropped half-way may or may not append.
    async fn append(&self, id: &LogId, append: LogAppend) -> Result<LogHead, LogError>;

    /// Whole lines from a place on: at most `max_lines` and `max_bytes`, but one line at least if there is one and
    /// `max_lines` is not 0. At the end: none, and the place of the end.
    async fn read(&self, id: &LogId, from: ReadFrom, max_lines: u64, max_bytes: usize) -> Result<LogLines, LogError>;

    /// Bytes from an offset on, at most `max_bytes`; fewer only at the end. Line ends of the room's own are left out and
    /// don't count (see [`super::flags::JOINED`]).
    async fn read_bytes(&self, id: &LogId, offset: u64, max_bytes: usize) -> Result<Bytes, LogError>;

    /// The first [`super::MARKS_MAX`] marks in the order of lines.
    async fn marks(&self, id: &LogId) -> Result<Vec<LogMark>, LogError>;

    /// Ids in their order, those after `after`, at most `limit`.
    async fn list(&self, after: Option<&LogId>, limit: usize) -> Result<Vec<LogId>, LogError>;

    /// Removes the log; `NotFound` if there is none.
    async fn delete(&self, id: &LogId) -> Result<(), LogError>;
}

/// What is appended in one go.
#[derive(Clone, Debug)]
pub struct LogAppend {
    /// How many lines the log must have before.
    pub at_lines: u64,
    /// Whole lines.
    pub text: Bytes,
    /// A word for each of them.
    pub words: Bytes,
    /// Rows that are acknowledged and not kept, as the log is full.
    pub dropped_rows: u64,
    /// Nothing comes after this.
    pub complete: bool,
}

/// Where to read from.
#[derive(Clone, Copy, Debug)]
pub enum ReadFrom {
    /// This line. One after the end means the end.
    Line(u64),
    /// The line that begins at this byte; `Invalid` if none does. The length of the log means its end.
    Offset(u64),
    /// The line with this byte in it, as [`LogStore::read_bytes`] counts them; past the last one, the end.
    Byte(u64),
    /// The line this row begins with.
    Row(u64),
    /// A place that an earlier read returned: nothing has to be looked up.
    Place(LogPlace),
}

/// The beginning of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPlace {
    /// The line, from 0.
    pub line: u64,
    /// Its first byte.
    pub offset: u64,
    /// How many line ends before it are the room's own (see [`super::flags::JOINED`]).
    pub joined: u64,
}

impl LogPlace {
    /// Its first byte for those who read bytes.
    pub fn stream_offset(&self) -> u64 {
        self.offset - self.joined
    }
}

/// Lines of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLines {
    /// Where they begin.
    pub place: LogPlace,
    /// The lines, each with its line end.
    pub data: Bytes,
    /// A little-endian 64-bit word for each.
    pub words: Bytes,
}

impl LogLines {
    /// How many they are.
    pub fn lines(&self) -> u64 {
        (self.words.len() / LINE_WORD_BYTES) as u64
    }

    /// Where the next line begins.
    pub fn end(&self) -> LogPlace {
        LogPlace {
            line: self.place.line + self.lines(),
            offset: self.place.offset + self.data.len() as u64,
            joined: self.place.joined + self.joined(),
        }
    }

    /// The bytes that were written: without the line ends that are the room's own.
    pub fn stream_bytes(&self) -> Bytes {
        let joined = self.joined();
        if joined == 0 {
            return self.data.clone();
        }
        let mut bytes = Vec::with_capacity(self.data.len() - joined as usize);
        let mut from = 0;
        for (end, word) in memchr::memchr_iter(b'\n', &self.data).zip(line_words(&self.words)) {
            let kept = if is_joined(word) { end } else { end + 1 };
            bytes.extend_from_slice(&self.data[from..kept]);
            from = end + 1;
        }
        bytes.into()
    }

    fn joined(&self) -> u64 {
        line_words(&self.words).filter(|word| is_joined(*word)).count() as u64
    }
}
