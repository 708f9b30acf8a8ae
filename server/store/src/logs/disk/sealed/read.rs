//! Reads a sealed log: to a piece by the index, within it by a look at each line.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use millrace_engine::logs::{
    LINE_WORD_BYTES, LogError, LogLines, LogMark, LogPlace, ReadFrom, is_joined, line_ms, line_words, starts_row,
};

use super::super::fault::log_error;
use super::super::unjoined::unjoined;
use super::SealedLog;
use super::cache::Piece;
use super::index::FrameEntry;

/// Reads a sealed log.
pub struct SealedReader<'a>(pub &'a SealedLog);

impl SealedReader<'_> {
    /// As [`millrace_engine::logs::LogStore::read`].
    pub fn read(&self, from: ReadFrom, max_lines: u64, max_bytes: usize) -> Result<LogLines, LogError> {
        let place = self.find(from).map_err(|error| self.failed(&error))?;
        let Some(place) = place else {
            let message = "is not where a line begins, and not the end of the log";
            return Err(LogError::invalid("offset", format!("{} {message}, {}", offset_of(from), self.0.head.bytes)));
        };
        self.lines(place, max_lines, max_bytes).map_err(|error| self.failed(&error))
    }

    /// As [`millrace_engine::logs::LogStore::read_bytes`].
    pub fn read_bytes(&self, offset: u64, max_bytes: usize) -> Result<Bytes, LogError> {
        let (first, head) = (self.0.head.first, self.0.head);
        if offset < first.stream_offset() {
            return Err(LogError::Gone { id: self.0.id.clone(), first });
        }
        let len = head.stream_bytes().saturating_sub(offset).min(max_bytes as u64) as usize;
        self.stream(offset, len).map(Bytes::from).map_err(|error| self.failed(&error))
    }

    /// As [`millrace_engine::logs::LogStore::marks`].
    pub fn marks(&self) -> Vec<LogMark> {
        self.0.marks.iter().filter(|mark| mark.line >= self.0.head.first.line).copied().collect()
    }

    fn find(&self, from: ReadFrom) -> io::Result<Option<LogPlace>> {
        let (head, first) = (&self.0.head, self.0.head.first);
        let found = match from {
            ReadFrom::Place(place) if place.line < first.line => first,
            ReadFrom::Place(place) => place,
            ReadFrom::Line(line) if line >= head.lines => head.end(),
            ReadFrom::Line(line) => self.scan(|frame| frame.place.line <= line, |place, _| place.line >= line)?,
            ReadFrom::Row(row) if row >= head.stored_rows() => head.end(),
            ReadFrom::Row(row) => {
                self.scan(|frame| frame.place.row <= row, |place, word| place.row >= row && starts_row(word))?
            }
            ReadFrom::Time(time_ms) => {
                self.scan(|frame| frame.first_ms < time_ms, |_, word| line_ms(word) >= time_ms)?
            }
            ReadFrom::Byte(byte) if byte >= head.stream_bytes() => head.end(),
            ReadFrom::Byte(byte) => self.place_of_byte(byte)?,
            ReadFrom::Offset(offset) => {
                let offset = offset.max(first.offset);
                let place = self.scan(|frame| frame.place.offset <= offset, |place, _| place.offset >= offset)?;
                return Ok((place.offset == offset).then_some(place));
            }
        };
        Ok(Some(found))
    }

    /// The first line for which `found`, from the last piece on for which `before` (all pieces before it are such too);
    /// the end if there is none.
    fn scan(
        &self,
        before: impl Fn(&FrameEntry) -> bool,
        found: impl Fn(LogPlace, u64) -> bool,
    ) -> io::Result<LogPlace> {
        let frames = &self.0.frames;
        for (number, frame) in frames.iter().enumerate().skip(frames.partition_point(before).saturating_sub(1)) {
            let piece = self.0.piece(number)?;
            let at = places(&piece, frame.place).find(|(place, word)| found(*place, *word));
            if let Some((place, _)) = at {
                return Ok(place);
            }
        }
        Ok(self.0.head.end())
    }

    /// The last line that begins at this byte or before it.
    fn place_of_byte(&self, byte: u64) -> io::Result<LogPlace> {
        let frames = &self.0.frames;
        let number = frames.partition_point(|frame| frame.place.stream_offset() <= byte).saturating_sub(1);
        let Some(frame) = frames.get(number) else { return Ok(self.0.head.end()) };
        let piece = self.0.piece(number)?;
        let before = places(&piece, frame.place).take_while(|(place, _)| place.stream_offset() <= byte);
        Ok(before.last().map_or(frame.place, |(place, _)| place))
    }

    /// Whole lines from a place on.
    fn lines(&self, place: LogPlace, max_lines: u64, max_bytes: usize) -> io::Result<LogLines> {
        let (mut data, mut words) = (Vec::new(), Vec::new());
        let mut left = max_lines.min(self.0.head.lines.saturating_sub(place.line));
        let frames = &self.0.frames;
        let mut number = frames.partition_point(|frame| frame.place.line <= place.line).saturating_sub(1);
        while left > 0 && (data.is_empty() || data.len() < max_bytes) && number < frames.len() {
            let piece = match self.0.piece(number) {
                // What is before a damaged piece is read all the same; who reads on is told.
                Err(_) if !data.is_empty() => break,
                piece => piece?,
            };
            let begins = frames[number].place;
            let (text, piece_words) = if data.is_empty() { rest_of(&piece, begins, place)? } else { all_of(&piece) };
            let (mut count, mut end) = (0, 0);
            for at in memchr::memchr_iter(b'\n', text) {
                let fits = data.len() + at < max_bytes || data.is_empty() && count == 0;
                if count as u64 == left || !fits {
                    break;
                }
                (count, end) = (count + 1, at + 1);
            }
            data.extend_from_slice(&text[..end]);
            words.extend_from_slice(&piece_words[..count * LINE_WORD_BYTES]);
            if end < text.len() {
                break;
            }
            left -= count as u64;
            number += 1;
        }
        Ok(LogLines { place, data: data.into(), words: words.into() })
    }

    /// So many bytes, all of them there, without the line ends that are not the writer's.
    fn stream(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if len == 0 {
            return Ok(Vec::new());
        }
        unjoined(self.place_of_byte(offset)?, offset, len, |place, bytes| self.lines(place, u64::MAX, bytes))
    }

    fn failed(&self, error: &io::Error) -> LogError {
        let id = self.0.id.clone();
        match error.kind() {
            io::ErrorKind::UnexpectedEof => LogError::Corrupt { id, message: "it is shorter than it should be".into() },
            io::ErrorKind::InvalidData => LogError::Corrupt { id, message: error.to_string() },
            _ => log_error(&format!("reading log {id}"), error),
        }
    }
}

/// The lines of a piece that begins at `place`: where each begins, and its word.
fn places(piece: &Arc<Piece>, place: LogPlace) -> impl Iterator<Item = (LogPlace, u64)> + '_ {
    let ends = memchr::memchr_iter(b'\n', &piece.text).zip(line_words(&piece.words));
    ends.scan((place, place.offset), |(place, start), (end, word)| {
        let this = *place;
        *place = LogPlace {
            line: this.line + 1,
            offset: *start + end as u64 + 1,
            joined: this.joined + u64::from(is_joined(word)),
            row: this.row + u64::from(starts_row(word)),
        };
        Some((this, word))
    })
}

fn all_of(piece: &Arc<Piece>) -> (&[u8], &[u8]) {
    (&piece.text, &piece.words)
}

/// What of a piece is left from a place on that an earlier read returned.
fn rest_of(piece: &Arc<Piece>, begins: LogPlace, place: LogPlace) -> io::Result<(&[u8], &[u8])> {
    let at = |from: u64, to: u64| usize::try_from(to.checked_sub(from)?).ok();
    let text = at(begins.offset, place.offset).and_then(|at| piece.text.get(at..));
    let words = at(begins.line, place.line).and_then(|line| piece.words.get(line.checked_mul(LINE_WORD_BYTES)?..));
    let rest = text
        .zip(words)
        .filter(|(text, words)| memchr::memchr_iter(b'\n', text).count() == words.len() / LINE_WORD_BYTES);
    rest.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{place:?} is no place of this log")))
}

fn offset_of(from: ReadFrom) -> u64 {
    if let ReadFrom::Offset(offset) = from { offset } else { 0 }
}
