//! Reads a log's files: to a line by the index and a scan of less than 256 lines, then whole lines and their words.

use std::cell::Cell;
use std::io;

use bytes::Bytes;
use millrace_engine::logs::{
    LINE_WORD_BYTES, LogError, LogHead, LogLines, LogMark, LogPlace, MARKS_MAX, MarkKind, ReadFrom, flags, is_joined,
    line_words,
};

use super::fault::log_error;
use super::files::{INDEX_ENTRY_BYTES, INDEX_EVERY_LINES, LogFiles, MARK_BYTES, index_entries};
use super::header::HEADER_BYTES;
use crate::positioned::read_up_to;

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
            ReadFrom::Place(place) => Ok(place),
            ReadFrom::Line(line) => self.place_of_line(line),
            ReadFrom::Byte(byte) => self.place_of_byte(byte),
            ReadFrom::Row(row) => self.line_of_row(row).and_then(|line| self.place_of_line(line)),
            ReadFrom::Offset(offset) => return self.read_offset(offset, max_lines, max_bytes),
        };
        place.and_then(|place| self.lines(place, max_lines, max_bytes)).map_err(|error| self.failed(&error))
    }

    /// As [`millrace_engine::logs::LogStore::read_bytes`].
    pub fn read_bytes(&self, offset: u64, max_bytes: usize) -> Result<Bytes, LogError> {
        let len = self.head.stream_bytes().saturating_sub(offset).min(max_bytes as u64) as usize;
        let bytes = if self.head.joined_lines == 0 { self.text(offset, len) } else { self.unjoined(offset, len) };
        bytes.map(Bytes::from).map_err(|error| self.failed(&error))
    }

    /// As [`millrace_engine::logs::LogStore::marks`].
    pub fn marks(&self) -> Result<Vec<LogMark>, LogError> {
        let count = self.head.marks.min(MARKS_MAX) as usize;
        if count == 0 {
            return Ok(Vec::new());
        }
        let bytes = self.files.marks().and_then(|file| read_up_to(file, 0, count * MARK_BYTES));
        let bytes = bytes.map_err(|error| self.failed(&error))?;
        let marks =
            line_words(&bytes).map(|mark| Some(LogMark { kind: MarkKind::from_number(mark & 0xFF)?, line: mark >> 8 }));
        marks
            .collect::<Option<Vec<_>>>()
            .filter(|marks| marks.len() == count)
            .ok_or_else(|| LogError::Corrupt { id: self.files.id().clone(), message: "its marks can't be read".into() })
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
        let mut bytes = Vec::with_capacity(len);
        if len == 0 {
            return Ok(bytes);
        }
        let mut place = self.place_of_byte(offset)?;
        let mut skip = (offset - place.stream_offset()) as usize;
        while bytes.len() < len {
            let lines = self.lines(place, u64::MAX, SCAN_BYTES.max(skip + len - bytes.len()))?;
            if lines.data.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            place = lines.end();
            let more = lines.stream_bytes();
            let from = skip.min(more.len());
            skip -= from;
            let to = more.len().min(from + len - bytes.len());
            bytes.extend_from_slice(&more[from..to]);
        }
        Ok(bytes)
    }

    fn end(&self) -> LogPlace {
        self.head.end()
    }

    /// Whole lines from a place on.
    fn lines(&self, place: LogPlace, max_lines: u64, max_bytes: usize) -> io::Result<LogLines> {
        let left = self.head.lines.saturating_sub(place.line);
        let max_lines = max_lines.min(left);
        if max_lines == 0 {
            return Ok(LogLines { place, ..LogLines::default() });
        }
        // Where the last wanted line ends at the latest, so that a read of few lines is a small read.
        let past = self.index_entry((place.line + max_lines).div_ceil(INDEX_EVERY_LINES))?;
        let most = past.map_or(self.head.bytes, |entry| entry.place.offset).saturating_sub(place.offset);
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
        let words = read_up_to(&self.files.lines, HEADER_BYTES + place.line * 8, count * LINE_WORD_BYTES)?;
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
        let start = self.index_entry(line / INDEX_EVERY_LINES)?.unwrap_or_default();
        self.scan(self.place_of_entry(&start)?, |place| place.line == line)
    }

    /// The line with this byte of the stream in it.
    fn place_of_byte(&self, byte: u64) -> io::Result<LogPlace> {
        if byte >= self.head.stream_bytes() {
            return Ok(self.end());
        }
        let (mut low, mut high) = (0, index_entries(self.head.lines));
        let mut start = LogPlace::default();
        while low < high {
            let middle = (low + high).div_ceil(2);
            let place = self.place_of_entry(&self.index_entry(middle)?.unwrap_or_default())?;
            if place.stream_offset() <= byte {
                (low, start) = (middle, place);
            } else {
                high = middle - 1;
            }
        }
        // The line before the first that begins after it.
        let last = Cell::new(start);
        self.scan(start, |place| {
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
        let start = self.last_entry(|entry| entry.place.offset <= offset)?;
        let place = self.scan(self.place_of_entry(&start)?, |place| place.offset >= offset)?;
        Ok((place.offset == offset).then_some(place))
    }

    /// The line that begins this row.
    fn line_of_row(&self, row: u64) -> io::Result<u64> {
        if row >= self.head.stored_rows() {
            return Ok(self.head.lines);
        }
        let start = self.last_entry(|entry| entry.row <= row)?;
        let (mut line, mut rows) = (start.place.line, start.row);
        while line < self.head.lines {
            let count = (self.head.lines - line).min(INDEX_EVERY_LINES);
            let words = read_up_to(&self.files.lines, HEADER_BYTES + line * 8, count as usize * LINE_WORD_BYTES)?;
            for word in line_words(&words) {
                if word & (flags::CONTINUATION | flags::ROOM) == 0 {
                    if rows == row {
                        return Ok(line);
                    }
                    rows += 1;
                }
                line += 1;
            }
            if words.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(line)
    }

    /// Goes from line to line until `found`, or the end.
    fn scan(&self, start: LogPlace, found: impl Fn(LogPlace) -> bool) -> io::Result<LogPlace> {
        let mut place = start;
        let mut at = start.offset;
        let mut words = Words::default();
        if found(place) {
            return Ok(place);
        }
        while at < self.head.bytes {
            let bytes = self.text(at, (self.head.bytes - at).min(SCAN_BYTES as u64) as usize)?;
            for end in memchr::memchr_iter(b'\n', &bytes) {
                let joined = self.head.joined_lines > 0 && is_joined(words.word(self.files, place.line)?);
                place = LogPlace {
                    line: place.line + 1,
                    offset: at + end as u64 + 1,
                    joined: place.joined + u64::from(joined),
                };
                if found(place) {
                    return Ok(place);
                }
            }
            at += bytes.len() as u64;
        }
        Ok(place)
    }

    /// The last index entry for which `holds`, by bisection.
    fn last_entry(&self, holds: impl Fn(&IndexEntry) -> bool) -> io::Result<IndexEntry> {
        let (mut low, mut high) = (0, index_entries(self.head.lines));
        let mut best = IndexEntry::default();
        while low < high {
            let middle = (low + high).div_ceil(2);
            let entry = self.index_entry(middle)?.unwrap_or_default();
            if holds(&entry) {
                (low, best) = (middle, entry);
            } else {
                high = middle - 1;
            }
        }
        Ok(best)
    }

    /// The entry for line `number` * 256; none past the last one. Number 0 is the beginning and not in the file.
    fn index_entry(&self, number: u64) -> io::Result<Option<IndexEntry>> {
        if number == 0 {
            return Ok(Some(IndexEntry::default()));
        }
        if number > index_entries(self.head.lines) {
            return Ok(None);
        }
        let bytes = read_up_to(self.files.index()?, (number - 1) * INDEX_ENTRY_BYTES as u64, INDEX_ENTRY_BYTES)?;
        let mut numbers = line_words(&bytes);
        let (Some(offset), Some(row)) = (numbers.next(), numbers.next()) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        Ok(Some(IndexEntry { place: LogPlace { line: number * INDEX_EVERY_LINES, offset, joined: 0 }, row }))
    }

    /// The place of an index entry. It counts rows, and where lines are joined each line that begins no row follows a
    /// joined one: all the joined lines before it, but for the one that it goes on with itself.
    fn place_of_entry(&self, entry: &IndexEntry) -> io::Result<LogPlace> {
        let LogPlace { line, offset, .. } = entry.place;
        if self.head.joined_lines == 0 || line == 0 {
            return Ok(entry.place);
        }
        let goes_on = Words::default().word(self.files, line)? & flags::CONTINUATION != 0;
        Ok(LogPlace { line, offset, joined: line - entry.row + u64::from(goes_on) })
    }

    fn text(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let bytes = if len == 0 { Vec::new() } else { read_up_to(&self.files.text, offset, len)? };
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

/// Where a 256th line begins, and how many rows begin before it.
#[derive(Clone, Copy, Debug, Default)]
struct IndexEntry {
    /// What is joined before it is not filled in.
    place: LogPlace,
    row: u64,
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
        let words = read_up_to(&files.lines, HEADER_BYTES + line * LINE_WORD_BYTES as u64, count)?;
        *self = Self { first: line, words };
        at(self).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
