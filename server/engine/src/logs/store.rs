//! What the log room asks of a place that keeps logs. One implementation a back end, one suite for all of them
//! ([`super::conformance`]).

use async_trait::async_trait;
use bytes::Bytes;

use super::head::{is_joined, starts_row};
use super::{LINE_WORD_BYTES, LogError, LogHead, LogId, LogMark, line_words};

/// A survey of all logs goes by so many parts.
pub const SURVEY_SHARDS: u16 = 256;

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
    /// `max_lines` is not 0. At the end: none, and the place of the end. Of what retention has taken: what begins at
    /// [`LogHead::first`], as the place of the answer tells.
    async fn read(&self, id: &LogId, from: ReadFrom, max_lines: u64, max_bytes: usize) -> Result<LogLines, LogError>;

    /// Bytes from an offset on, at most `max_bytes`; fewer only at the end. Line ends of the room's own are left out and
    /// don't count (see [`super::flags::JOINED`]). `Gone` before [`LogHead::first`].
    async fn read_bytes(&self, id: &LogId, offset: u64, max_bytes: usize) -> Result<Bytes, LogError>;

    /// The first [`super::MARKS_MAX`] marks in the order of lines, less those that retention has taken.
    async fn marks(&self, id: &LogId) -> Result<Vec<LogMark>, LogError>;

    /// Ids in their order, those after `after`, at most `limit`.
    async fn list(&self, after: Option<&LogId>, limit: usize) -> Result<Vec<LogId>, LogError>;

    /// Removes the log; `NotFound` if there is none.
    async fn delete(&self, id: &LogId) -> Result<(), LogError>;

    /// Takes lines from the front of a log that is not complete, durably: those before this line at most, only as much
    /// as can be taken in one piece, and never all. The first that is left begins a row. `Stale` while something else
    /// happens to the log. A complete log stays as it is: it is deleted whole.
    async fn trim(&self, id: &LogId, before_line: u64) -> Result<LogHead, LogError>;

    /// What there is in one of [`SURVEY_SHARDS`] parts of the store, in no order. The logs of a run are all in one part
    /// ([`survey_shard`]).
    async fn survey(&self, shard: u16) -> Result<Vec<LogSummary>, LogError>;

    /// How many bytes all that is kept of the log takes, and whether it is kept compressed.
    async fn stored(&self, id: &LogId) -> Result<(u64, bool), LogError>;

    /// Why nothing can be appended to any log now, as far as the store knows without a try.
    fn fault(&self) -> Option<LogError> {
        None
    }
}

/// The part of a survey that a log is in. The logs of a run (the id up to its first dot) share one; where that is a single
/// letter it is a kind and no run, and its logs are spread one by one.
pub fn survey_shard(id: &LogId) -> u16 {
    let run = match id.as_str().split_once('.') {
        Some((run, _)) if run.len() > 1 => run,
        _ => id.as_str(),
    };
    // FNV-1a: any spread does.
    let hash = run.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 16) as u16 % SURVEY_SHARDS
}

/// A log in a survey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSummary {
    /// The log.
    pub id: LogId,
    /// How far it has come.
    pub head: LogHead,
    /// How many bytes all that is kept of it takes.
    pub stored_bytes: u64,
    /// It is kept compressed.
    pub compressed: bool,
}

/// What is appended in one go.
#[derive(Clone, Debug, Default)]
pub struct LogAppend {
    /// How many lines the log must have before.
    pub at_lines: u64,
    /// Whole lines.
    pub text: Bytes,
    /// A word for each of them.
    pub words: Bytes,
    /// Rows that are acknowledged and not kept, as the log is full.
    pub dropped_rows: u64,
    /// Bytes of a stream that are acknowledged and not kept, as the log is full.
    pub dropped_bytes: u64,
    /// How many bytes of the text, line ends included, are lines that are the room's own words.
    pub room_bytes: u64,
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
    /// The first line of this time, in Unix milliseconds, or a later one; the end if there is none yet. Times are nearly in
    /// order and are searched as if they were: where they go back it is one of the lines about there.
    Time(i64),
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
    /// How many rows begin before it.
    pub row: u64,
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
            row: self.place.row + line_words(&self.words).filter(|word| starts_row(*word)).count() as u64,
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
