//! The files of one log: `text` (the bytes), `lines` (head and a word a line), `index` (where each 256th line begins)
//! and `marks`. The last two exist only for logs that need them; the first three are made of segments, so that retention
//! can take their beginning. Whatever lies beyond the head is not there.

use std::fs::{File, OpenOptions};
use std::io;
use std::sync::OnceLock;

use millrace_engine::logs::{
    LINE_WORD_BYTES, LogAppend, LogHead, LogId, LogPlace, MARKS_MAX, MarkKind, flags, is_joined, line_ms, line_words,
    starts_row,
};

use super::header::{self, HEADER_BYTES, Header};
use super::name::{LogPath, Part, remove_if_there};
use super::recount::recount;
use super::segmented::SegmentedFile;
use crate::positioned::{read_up_to, write_all_at};

/// An index entry for every so many lines.
pub const INDEX_EVERY_LINES: u64 = 256;
/// Its size: offset, row and joined.
pub const INDEX_ENTRY_BYTES: usize = 24;
/// The size of a mark: line << 8 | kind.
pub const MARK_BYTES: usize = 8;

/// The open files of one log.
#[derive(Debug)]
pub struct LogFiles {
    id: LogId,
    path: LogPath,
    pub(super) text: SegmentedFile,
    pub(super) lines: SegmentedFile,
    pub(super) index: SegmentedFile,
    marks: OnceLock<File>,
}

impl LogFiles {
    /// Opens a log; none if there is no such log. Files that don't fit together are cut to what they agree on.
    pub fn open(path: &LogPath, id: &LogId) -> io::Result<Option<(Self, LogHead)>> {
        let Some(files) = Self::open_unchecked(path, id)? else { return Ok(None) };
        let head = match files.stored_header()? {
            Some(Header { head, old: false, .. }) if files.has_all_of(&head)? => head,
            stored => {
                let old = stored.as_ref().is_some_and(|header| header.old);
                let stored = stored.map(|header| header.head);
                let head = recount(&files, stored)?;
                if !old || stored.is_some_and(|stored| stored.lines != head.lines) {
                    tracing::warn!(log = %id, lines = head.lines, "a log's files did not fit together, it was cut");
                }
                head
            }
        };
        Ok(Some((files, head)))
    }

    /// Opens a log if it is complete and nothing of it is missing. Mends nothing.
    pub fn open_whole(path: &LogPath, id: &LogId) -> io::Result<Option<(Self, LogHead)>> {
        let Some(files) = Self::open_unchecked(path, id)? else { return Ok(None) };
        let header = files.stored_header()?;
        match header {
            Some(Header { head, old: false, .. }) if head.complete && files.has_all_of(&head)? => {
                Ok(Some((files, head)))
            }
            _ => Ok(None),
        }
    }

    /// Opens a log without a look into it.
    pub fn open_unchecked(path: &LogPath, id: &LogId) -> io::Result<Option<Self>> {
        let files = Self::new(path, id);
        Ok(files.lines.exists()?.then_some(files))
    }

    /// Makes the files of a log, or opens them.
    pub fn create(path: &LogPath, id: &LogId) -> io::Result<Self> {
        let files = Self::new(path, id);
        files.text.create()?;
        files.lines.create()?;
        Ok(files)
    }

    /// Removes all files of a log.
    pub fn remove(path: &LogPath) -> io::Result<()> {
        let segment = path.segment_bytes();
        let long = match File::open(path.part(Part::Lines)) {
            Ok(lines) => header::decode(&read_up_to(&lines, 0, HEADER_BYTES as usize)?)
                .is_none_or(|Header { head, .. }| head.bytes.max(words_at(head.lines)) > segment),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        // A failed append may have left the second ones behind.
        let second = [Part::Text, Part::Lines, Part::Index].map(|part| remove_if_there(&path.segment(part, 1)));
        if long || second.into_iter().collect::<io::Result<Vec<_>>>()?.contains(&true) {
            path.later_segments()?.iter().try_for_each(|path| remove_if_there(path).map(|_| ()))?;
        }
        // Last the one that says there is a log.
        let parts = [Part::Marks, Part::Index, Part::Text, Part::Lines];
        parts.into_iter().try_for_each(|part| remove_if_there(&path.part(part)).map(|_| ()))
    }

    fn new(path: &LogPath, id: &LogId) -> Self {
        let part = |part| SegmentedFile::new(path, part);
        let (text, lines, index) = (part(Part::Text), part(Part::Lines), part(Part::Index));
        Self { id: id.clone(), path: path.clone(), text, lines, index, marks: OnceLock::new() }
    }

    /// Writes an append behind `before` and returns the head after it. Doing it again changes nothing.
    pub fn apply(&self, before: &LogHead, append: &LogAppend) -> io::Result<LogHead> {
        let after = before.after(append);
        if !append.text.is_empty() {
            self.text.write_all_at(&append.text, before.bytes)?;
            self.lines.write_all_at(&append.words, words_at(before.lines))?;
            let mut beside = Beside::new(*before);
            beside.add(&append.text, &append.words);
            self.write_beside(before, &beside)?;
        }
        self.write_head(&after)?;
        if after.complete {
            // A failed append may have left something behind.
            self.text.set_len(after.bytes)?;
            self.lines.set_len(words_at(after.lines))?;
        }
        Ok(after)
    }

    /// Writes only the marks of an append: they stay when its lines were taken by retention.
    pub fn apply_marks(&self, before: &LogHead, append: &LogAppend) -> io::Result<()> {
        let mut beside = Beside::new(*before);
        beside.add(&append.text, &append.words);
        beside.index.clear();
        self.write_beside(before, &beside)
    }

    /// Says that the log begins at this place. Returns the head after that.
    pub fn write_first(&self, before: &LogHead, first: LogPlace) -> io::Result<LogHead> {
        let after = LogHead { first, ..*before };
        self.write_head(&after)?;
        Ok(after)
    }

    /// Makes durable where the log begins: from segments that are not there nobody could tell that they were removed.
    pub fn sync_first(&self) -> io::Result<()> {
        self.lines.sync_first()
    }

    /// Removes the segments between the place where the log began and the one where it does now. Doing it again changes
    /// nothing.
    pub fn remove_between(&self, last: LogPlace, first: LogPlace) -> io::Result<()> {
        self.text.remove_between(last.offset, first.offset, 0)?;
        self.lines.remove_between(words_at(last.line), words_at(first.line), HEADER_BYTES)?;
        self.index.remove_between(index_at(last.line), index_at(first.line), 0)
    }

    /// How many bytes the files take.
    pub fn stored_bytes(&self, head: &LogHead) -> io::Result<u64> {
        let first = head.first;
        let marks = match std::fs::metadata(self.path.part(Part::Marks)) {
            Ok(marks) => marks.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let (text, lines) = (self.text.stored(first.offset)?, self.lines.stored(words_at(first.line))?);
        Ok(text + lines + self.index.stored(index_at(first.line))? + marks)
    }

    /// The same for a record from before there was retention: the files stay as they were then, to be counted again when
    /// the log is opened.
    pub fn apply_old(&self, before: &LogHead, append: &LogAppend) -> io::Result<()> {
        self.text.write_all_at(&append.text, before.bytes)?;
        self.lines.write_all_at(&append.words, words_at(before.lines))?;
        self.lines.write_all_at(&header::encode_old(&self.id, &before.after(append)), 0)
    }

    /// Makes what stands beside the lines durable.
    pub(super) fn sync_beside(&self, head: &LogHead) -> io::Result<()> {
        self.index.sync(index_at(head.first.line))?;
        self.marks.get().map_or(Ok(()), File::sync_all)
    }

    /// Writes the head alone.
    pub(super) fn write_head(&self, head: &LogHead) -> io::Result<()> {
        self.lines.write_all_at(&header::encode(&self.id, head), 0)
    }

    /// Writes index entries and marks for lines that come after `before`.
    pub(super) fn write_beside(&self, before: &LogHead, beside: &Beside) -> io::Result<()> {
        if !beside.index.is_empty() {
            let entries = before.lines.div_ceil(INDEX_EVERY_LINES).max(1) - 1;
            self.index.write_all_at(&beside.index, entries * INDEX_ENTRY_BYTES as u64)?;
        }
        if !beside.marks.is_empty() {
            let path = self.path.part(Part::Marks);
            let made = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            write_all_at(self.marks_or(made)?, &beside.marks, before.marks * MARK_BYTES as u64)?;
        }
        Ok(())
    }

    /// The marks, for a log that has some.
    pub(super) fn read_marks(&self, max_bytes: usize) -> io::Result<Vec<u8>> {
        let open = || OpenOptions::new().read(true).write(true).open(self.path.part(Part::Marks));
        match self.marks_or(open) {
            Ok(file) => read_up_to(file, 0, max_bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn marks_or(&self, open: impl FnOnce() -> io::Result<File>) -> io::Result<&File> {
        if let Some(file) = self.marks.get() {
            return Ok(file);
        }
        let file = open()?;
        Ok(self.marks.get_or_init(|| file))
    }

    /// Whose files they are.
    pub(super) fn id(&self) -> &LogId {
        &self.id
    }

    /// How long a segment of them is.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.path.segment_bytes()
    }

    /// Whether the text and the lines go as far as this, as far as can be seen from where they end.
    pub fn holds(&self, head: &LogHead) -> io::Result<bool> {
        let (text, lines) = (head.bytes, words_at(head.lines));
        Ok(self.text.len(text.saturating_sub(1))? >= text
            && (head.lines == 0 || self.lines.len(lines.saturating_sub(1))? >= lines))
    }

    fn has_all_of(&self, head: &LogHead) -> io::Result<bool> {
        let first = head.first;
        let index_end = index_entries(head.lines) * INDEX_ENTRY_BYTES as u64;
        let marks_bytes = head.marks.min(MARKS_MAX) * MARK_BYTES as u64;
        Ok(self.text.len(first.offset)? >= head.bytes
            && (head.lines == 0 || self.lines.len(words_at(first.line))? >= words_at(head.lines))
            && (index_end <= index_at(first.line) || self.index.len(index_at(first.line))? >= index_end)
            && (marks_bytes == 0 || self.read_marks(marks_bytes as usize)?.len() as u64 == marks_bytes))
    }

    /// The header as it was written last; none if it can't be read.
    pub fn stored_header(&self) -> io::Result<Option<Header>> {
        let bytes = self.lines.read_up_to(0, HEADER_BYTES as usize)?;
        Ok(header::decode(&bytes).filter(|header| header.id == self.id))
    }
}

/// How many index entries a log with so many lines has.
pub fn index_entries(lines: u64) -> u64 {
    lines.saturating_sub(1) / INDEX_EVERY_LINES
}

/// Where the word of a line is.
pub fn words_at(line: u64) -> u64 {
    HEADER_BYTES + line * LINE_WORD_BYTES as u64
}

/// Where the index entry after this line is.
pub fn index_at(line: u64) -> u64 {
    line / INDEX_EVERY_LINES * INDEX_ENTRY_BYTES as u64
}

/// Collects index entries and marks of lines that follow each other.
pub struct Beside {
    head: LogHead,
    /// The entries, as they stand in the file.
    pub index: Vec<u8>,
    /// The marks, as they stand in the file.
    pub marks: Vec<u8>,
}

impl Beside {
    /// For lines that come after `head`.
    pub fn new(head: LogHead) -> Self {
        Self { head, index: Vec::new(), marks: Vec::new() }
    }

    /// Adds whole lines and their words.
    pub fn add(&mut self, text: &[u8], words: &[u8]) {
        let head = &mut self.head;
        let start = head.bytes;
        for (end, word) in memchr::memchr_iter(b'\n', text).zip(line_words(words)) {
            if head.lines > 0 && head.lines.is_multiple_of(INDEX_EVERY_LINES) {
                let LogPlace { offset, row, joined, .. } = head.end();
                self.index.extend([offset, row, joined].into_iter().flat_map(u64::to_le_bytes));
            }
            if let Some(kind) = MarkKind::of_word(word) {
                if head.marks < MARKS_MAX {
                    self.marks.extend_from_slice(&(head.lines << 8 | kind as u64).to_le_bytes());
                }
                head.marks += 1;
                if kind == MarkKind::Error && head.first_error_line.is_none() {
                    head.first_error_line = Some(head.lines);
                }
            }
            head.rows += u64::from(starts_row(word));
            head.last_ms = line_ms(word);
            let len = start + end as u64 + 1 - head.bytes;
            head.room_bytes += if word & flags::ROOM == 0 { 0 } else { len };
            head.unended = is_joined(word);
            head.joined_lines += u64::from(head.unended);
            head.lines += 1;
            head.bytes = start + end as u64 + 1;
        }
    }

    /// The head after what was added.
    pub fn head(&self) -> LogHead {
        self.head
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millrace_engine::logs::ReadFrom;

    use super::super::read::LogReader;
    use super::*;

    /// As an earlier version has left it: another index, and a head with fewer numbers.
    #[test]
    fn a_log_from_before_there_was_retention_is_indexed_again() {
        let folder = tempfile::tempdir().unwrap();
        let id = LogId::parse("a").unwrap();
        let path = LogPath::new(folder.path(), &id, 1 << 20);
        std::fs::create_dir(path.folder()).unwrap();
        let files = LogFiles::create(&path, &id).unwrap();
        let text: String = (0..1000).map(|line| format!("line {line:>5}\n")).collect();
        let word = |line: u64| (100 + line) << flags::TIME_SHIFT | if line == 900 { flags::ROOM } else { 0 };
        let words: Vec<u8> = (0..1000).flat_map(|line| word(line).to_le_bytes()).collect();
        let append = LogAppend { text: Bytes::from(text), words: words.into(), complete: true, ..LogAppend::default() };
        files.apply_old(&LogHead::default(), &append).unwrap();
        std::fs::write(path.part(Part::Index), [7; 3 * 16]).unwrap();
        drop(files);
        let expected = LogHead { room_bytes: 11, ..LogHead::default().after(&append) };
        for _ in 0..2 {
            let (files, head) = LogFiles::open(&path, &id).unwrap().unwrap();
            assert_eq!(head, expected);
            let log = LogReader { files: &files, head };
            for line in [0, 255, 256, 600, 900, 901, 999] {
                let place = log.read(ReadFrom::Line(line), 0, 0).unwrap().place;
                let row = if line > 900 { line - 1 } else { line };
                assert_eq!(place, LogPlace { line, offset: line * 11, joined: 0, row });
                assert_eq!(log.read(ReadFrom::Time(100 + line as i64), 0, 0).unwrap().place, place);
            }
        }
    }
}
