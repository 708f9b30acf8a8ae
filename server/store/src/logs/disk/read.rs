//! Reads a log's files: to a line by the index and a scan of less than 256 lines, then whole lines and their words.

use std::cell::Cell;
use std::io;

use bytes::Bytes;
use millrace_engine::logs::{
    LINE_WORD_BYTES, LogError, LogHead, LogLines, LogMark, LogPlace, MARKS_MAX, MarkKind, ReadFrom, is_joined, line_ms,
    line_words, starts_row,
};

use super::fault::log_error;
use super::files::{INDEX_ENTRY_BYTES, INDEX_EVERY_LINES, LogFiles, MARK_BYTES, index_entries, words_at};
use super::unjoined::unjoined;

/// A scan reads so much at a time.
const SCAN_BYTES: usize = 64 * 1024;

/// A log as it was when somebody began to read.
pub struct LogReader<'a> {
    /// Its files.
    pub files: &'a LogFiles,
    /// How far it had come.
    pub head: LogHead,
}

impl LogReader<'_> {
    /// As [`millrace_engine::logs::LogStore::read`].
    pub fn read(&self, from: ReadFrom, max_lines: u64, max_bytes: usize) -> Result<LogLines, LogError> {
        let place = match from {
            ReadFrom::Place(place) => Ok(if place.line < self.head.first.line { self.head.first } else { place }),
            ReadFrom::Line(line) => self.place_of_line(line),
            ReadFrom::Byte(byte) => self.place_of_byte(byte),
            ReadFrom::Row(row) => self.place_of_row(row),
            ReadFrom::Time(time_ms) => self.place_of_time(time_ms),
            ReadFrom::Offset(offset) => return self.read_offset(offset, max_lines, max_bytes),
        };
        place.and_then(|place| self.lines(place, max_lines, max_bytes)).map_err(|error| self.failed(&error))
    }

    /// As [`millrace_engine::logs::LogStore::read_bytes`].
    pub fn read_bytes(&self, offset: u64, max_bytes: usize) -> Result<Bytes, LogError> {
        let first = self.head.first;
        if offset < first.stream_offset() {
            return Err(LogError::Gone { id: self.files.id().clone(), first });
        }
        let len = self.head.stream_bytes().saturating_sub(offset).min(max_bytes as u64) as usize;
        let bytes = if self.head.joined_lines == 0 { self.text(offset, len) } else { self.unjoined(offset, len) };
        bytes.map(Bytes::from).map_err(|error| self.failed(&error))
    }

    /// As [`millrace_engine::logs::LogStore::marks`].
    pub fn marks(&self) -> Result<Vec<LogMark>, LogError> {
        let marks = self.marks_on_disk().map_err(|error| self.failed(&error))?;
        let marks =
            marks.into_iter().map(|mark| Some(LogMark { kind: MarkKind::from_number(mark & 0xFF)?, line: mark >> 8 }));
        marks
            .collect::<Option<Vec<_>>>()
            .map(|marks| marks.into_iter().filter(|mark| mark.line >= self.head.first.line).collect())
            .ok_or_else(|| LogError::Corrupt { id: self.files.id().clone(), message: "its marks can't be read".into() })
    }

    /// All marks that are listed: line << 8 | kind.
    pub(super) fn marks_on_disk(&self) -> io::Result<Vec<u64>> {
        let count = self.head.marks.min(MARKS_MAX) as usize;
        if count == 0 {
            return Ok(Vec::new());
        }
        let bytes = self.files.read_marks(count * MARK_BYTES)?;
        if bytes.len() < count * MARK_BYTES {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line_words(&bytes).collect())
    }

    fn read_offset(&self, offset: u64, max_lines: u64, max_bytes: usize) -> Result<LogLines, LogError> {
        match self.place_of_offset(offset) {
            Ok(Some(place)) => self.read(ReadFrom::Place(place), max_lines, max_bytes),
            Ok(None) => Err(LogError::invalid(
                "offset",
                format!("{offset} is not where a line begins, and not the end of the log, {}", self.head.bytes),
            )),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// So many bytes, all of them there, without the line ends that are not the writer's.
    fn unjoined(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if len == 0 {
            return Ok(Vec::new());
        }
        unjoined(self.place_of_byte(offset)?, offset, len, |place, bytes| self.lines(place, u64::MAX, bytes))
    }

    /// The first row that can be the first of the log when whole segments before this line are taken; none if none can.
    pub fn first_after_trim(&self, before_line: u64) -> Result<Option<LogPlace>, LogError> {
        self.trimmed_to(before_line).map_err(|error| self.failed(&error))
    }

    fn trimmed_to(&self, before_line: u64) -> io::Result<Option<LogPlace>> {
        if self.head.complete || self.head.lines == 0 {
            return Ok(None);
        }
        let size = self.files.segment_bytes();
        let target = self.place_of_line(before_line.min(self.head.lines - 1))?;
        let mut boundary = target.offset / size * size;
        while boundary > self.head.first.offset {
            let start = self.last_entry(|place| Ok(place.offset <= boundary))?;
            let place = self
                .scan(start, |place, word| place.line > target.line || place.offset >= boundary && starts_row(word))?;
            if place.line <= target.line {
                return Ok(Some(place));
            }
            boundary -= size;
        }
        Ok(None)
    }

    fn end(&self) -> LogPlace {
        self.head.end()
    }

    /// Whole lines from a place on.
    pub(super) fn lines(&self, place: LogPlace, max_lines: u64, max_bytes: usize) -> io::Result<LogLines> {
        let left = self.head.lines.saturating_sub(place.line);
        let max_lines = max_lines.min(left);
        if max_lines == 0 {
            return Ok(LogLines { place, ..LogLines::default() });
        }
        // Where the last wanted line ends at the latest, so that a read of few lines is a small read.
        let past = self.index_entry((place.line + max_lines).div_ceil(INDEX_EVERY_LINES))?;
        let most = past.map_or(self.head.bytes, |entry| entry.offset).saturating_sub(place.offset);
        let mut data = self.text(place.offset, most.min(max_bytes as u64) as usize)?;
        if memchr::memchr(b'\n', &data).is_none() {
            data = self.one_line(place.offset, data)?;
        }
        let mut count = 0;
        let mut end = 0;
        for at in memchr::memchr_iter(b'\n', &data).take(usize::try_from(max_lines).unwrap_or(usize::MAX)) {
            count += 1;
            end = at + 1;
        }
        data.truncate(end);
        let words = self.files.lines.read_up_to(words_at(place.line), count * LINE_WORD_BYTES)?;
        if words.len() != count * LINE_WORD_BYTES {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(LogLines { place, data: data.into(), words: words.into() })
    }

    /// Goes on reading until a line is whole.
    fn one_line(&self, offset: u64, mut data: Vec<u8>) -> io::Result<Vec<u8>> {
        loop {
            let at = offset + data.len() as u64;
            let more = self.text(at, self.head.bytes.saturating_sub(at).min(SCAN_BYTES as u64) as usize)?;
            let Some(end) = memchr::memchr(b'\n', &more) else {
                if more.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                data.extend_from_slice(&more);
                continue;
            };
            data.extend_from_slice(&more[..=end]);
            return Ok(data);
        }
    }

    fn place_of_line(&self, line: u64) -> io::Result<LogPlace> {
        if line >= self.head.lines {
            return Ok(self.end());
        }
        let start = self.index_entry(line / INDEX_EVERY_LINES)?.unwrap_or(self.head.first);
        let line = line.max(start.line);
        self.scan(start, |place, _| place.line == line)
    }

    /// The line with this byte of the stream in it.
    fn place_of_byte(&self, byte: u64) -> io::Result<LogPlace> {
        if byte >= self.head.stream_bytes() {
            return Ok(self.end());
        }
        let start = self.last_entry(|place| Ok(place.stream_offset() <= byte))?;
        // The line before the first that begins after it.
        let last = Cell::new(start);
        self.scan(start, |place, _| {
            let after = place.stream_offset() > byte;
            if !after {
                last.set(place);
            }
            after
        })?;
        Ok(last.get())
    }

    fn place_of_offset(&self, offset: u64) -> io::Result<Option<LogPlace>> {
        if offset >= self.head.bytes {
            return Ok((offset == self.head.bytes).then_some(self.end()));
        }
        let offset = offset.max(self.head.first.offset);
        let start = self.last_entry(|place| Ok(place.offset <= offset))?;
        let place = self.scan(start, |place, _| place.offset >= offset)?;
        Ok((place.offset == offset).then_some(place))
    }

    /// The line that begins this row.
    fn place_of_row(&self, row: u64) -> io::Result<LogPlace> {
        if row >= self.head.stored_rows() {
            return Ok(self.end());
        }
        let start = self.last_entry(|place| Ok(place.row <= row))?;
        self.scan(start, |place, word| place.row >= row && starts_row(word))
    }

    /// The first line of this time or a later one.
    fn place_of_time(&self, time_ms: i64) -> io::Result<LogPlace> {
        let start = self.last_entry(|place| Ok(line_ms(Words::default().word(self.files, place.line)?) < time_ms))?;
        self.scan(start, |_, word| line_ms(word) >= time_ms)
    }

    /// Goes from line to line until `found`, or the end. It is given where the line begins and its word.
    fn scan(&self, start: LogPlace, found: impl Fn(LogPlace, u64) -> bool) -> io::Result<LogPlace> {
        let mut place = start;
        let mut at = start.offset;
        let mut words = Words::default();
        while at < self.head.bytes {
            let bytes = self.text(at, (self.head.bytes - at).min(SCAN_BYTES as u64) as usize)?;
            for end in memchr::memchr_iter(b'\n', &bytes) {
                let word = words.word(self.files, place.line)?;
                if found(place, word) {
                    return Ok(place);
                }
                place = LogPlace {
                    line: place.line + 1,
                    offset: at + end as u64 + 1,
                    joined: place.joined + u64::from(is_joined(word)),
                    row: place.row + u64::from(starts_row(word)),
                };
            }
            at += bytes.len() as u64;
        }
        Ok(place)
    }

    /// The last index entry for which `holds`, by bisection; the beginning if there is none.
    fn last_entry(&self, holds: impl Fn(&LogPlace) -> io::Result<bool>) -> io::Result<LogPlace> {
        let first = self.head.first;
        let (mut low, mut high) = (first.line / INDEX_EVERY_LINES, index_entries(self.head.lines));
        let mut best = first;
        while low < high {
            let middle = (low + high).div_ceil(2);
            let entry = self.index_entry(middle)?.unwrap_or(first);
            if holds(&entry)? {
                (low, best) = (middle, entry);
            } else {
                high = middle - 1;
            }
        }
        Ok(best)
    }

    /// The entry for line `number` * 256; none past the last one. What is not after the first line is that line.
    fn index_entry(&self, number: u64) -> io::Result<Option<LogPlace>> {
        if number <= self.head.first.line / INDEX_EVERY_LINES {
            return Ok(Some(self.head.first));
        }
        if number > index_entries(self.head.lines) {
            return Ok(None);
        }
        let bytes = self.files.index.read_up_to((number - 1) * INDEX_ENTRY_BYTES as u64, INDEX_ENTRY_BYTES)?;
        let numbers: Vec<u64> = line_words(&bytes).collect();
        let [offset, row, joined] = numbers[..] else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        Ok(Some(LogPlace { line: number * INDEX_EVERY_LINES, offset, joined, row }))
    }

    fn text(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let bytes = if len == 0 { Vec::new() } else { self.files.text.read_up_to(offset, len)? };
        if bytes.len() == len { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn failed(&self, error: &io::Error) -> LogError {
        let id = self.files.id();
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return LogError::Corrupt { id: id.clone(), message: "its files are shorter than they should be".into() };
        }
        log_error(&format!("reading log {id}"), error)
    }
}

/// Words of lines one after the other, read a block at a time.
#[derive(Default)]
struct Words {
    first: u64,
    words: Vec<u8>,
}

impl Words {
    fn word(&mut self, files: &LogFiles, line: u64) -> io::Result<u64> {
        let at = |words: &Self| {
            let index = usize::try_from(line.checked_sub(words.first)?).ok()?;
            line_words(words.words.get(index * LINE_WORD_BYTES..)?).next()
        };
        if let Some(word) = at(self) {
            return Ok(word);
        }
        let count = INDEX_EVERY_LINES as usize * LINE_WORD_BYTES;
        let words = files.lines.read_up_to(words_at(line), count)?;
        *self = Self { first: line, words };
        at(self).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
