//! The files of one log: `text` (the bytes), `lines` (head and a word a line), `index` (where each 256th line begins)
//! and `marks`. The last two exist only for logs that need them. Whatever lies beyond the head is not there.

use std::fs::{File, OpenOptions};
use std::io;
use std::sync::OnceLock;

use millrace_engine::logs::{
    LogAppend, LogHead, LogId, LogPlace, MARKS_MAX, MarkKind, flags, is_joined, line_ms, line_words, starts_row,
};

use super::header::{self, HEADER_BYTES, Header};
use super::name::{LogPath, Part};
use super::recount::recount;
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
    pub(super) text: File,
    pub(super) lines: File,
    index: OnceLock<File>,
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

    /// Opens a log without a look into it.
    pub fn open_unchecked(path: &LogPath, id: &LogId) -> io::Result<Option<Self>> {
        let open = |part| OpenOptions::new().read(true).write(true).open(path.part(part));
        let lines = match open(Part::Lines) {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = open_or_make(path, Part::Text)?;
        Ok(Some(Self::new(path, id, text, lines)))
    }

    /// Makes the files of a log, or opens them.
    pub fn create(path: &LogPath, id: &LogId) -> io::Result<Self> {
        Ok(Self::new(path, id, open_or_make(path, Part::Text)?, open_or_make(path, Part::Lines)?))
    }

    /// Removes all files of a log.
    pub fn remove(path: &LogPath) -> io::Result<()> {
        // Last the one that says there is a log.
        for part in [Part::Marks, Part::Index, Part::Text, Part::Lines] {
            match std::fs::remove_file(path.part(part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn new(path: &LogPath, id: &LogId, text: File, lines: File) -> Self {
        let (index, marks) = (OnceLock::new(), OnceLock::new());
        Self { id: id.clone(), path: path.clone(), text, lines, index, marks }
    }

    /// Writes an append behind `before` and returns the head after it. Doing it again changes nothing.
    pub fn apply(&self, before: &LogHead, append: &LogAppend) -> io::Result<LogHead> {
        let after = before.after(append);
        if !append.text.is_empty() {
            write_all_at(&self.text, &append.text, before.bytes)?;
            let words_at = HEADER_BYTES + before.lines * 8;
            write_all_at(&self.lines, &append.words, words_at)?;
            let mut beside = Beside::new(*before);
            beside.add(&append.text, &append.words);
            self.write_beside(before, &beside)?;
        }
        self.write_head(&after)?;
        if after.complete {
            // A failed append may have left something behind.
            self.text.set_len(after.bytes)?;
            self.lines.set_len(HEADER_BYTES + after.lines * 8)?;
        }
        Ok(after)
    }

    /// The same for a record from before there was retention: the files stay as they were then, to be counted again when
    /// the log is opened.
    pub fn apply_old(&self, before: &LogHead, append: &LogAppend) -> io::Result<()> {
        write_all_at(&self.text, &append.text, before.bytes)?;
        write_all_at(&self.lines, &append.words, HEADER_BYTES + before.lines * 8)?;
        write_all_at(&self.lines, &header::encode_old(&self.id, &before.after(append)), 0)
    }

    /// Makes what stands beside the lines durable.
    pub(super) fn sync_beside(&self) -> io::Result<()> {
        [&self.index, &self.marks].into_iter().filter_map(OnceLock::get).try_for_each(File::sync_all)
    }

    /// Writes the head alone.
    pub(super) fn write_head(&self, head: &LogHead) -> io::Result<()> {
        write_all_at(&self.lines, &header::encode(&self.id, head), 0)
    }

    /// Writes index entries and marks for lines that come after `before`.
    pub(super) fn write_beside(&self, before: &LogHead, beside: &Beside) -> io::Result<()> {
        if !beside.index.is_empty() {
            let entries = before.lines.div_ceil(INDEX_EVERY_LINES).max(1) - 1;
            let file = beside_file(&self.index, &self.path, Part::Index)?;
            write_all_at(file, &beside.index, entries * INDEX_ENTRY_BYTES as u64)?;
        }
        if !beside.marks.is_empty() {
            let file = beside_file(&self.marks, &self.path, Part::Marks)?;
            write_all_at(file, &beside.marks, before.marks * MARK_BYTES as u64)?;
        }
        Ok(())
    }

    /// The index, for a log that has one.
    pub(super) fn index(&self) -> io::Result<&File> {
        beside_file(&self.index, &self.path, Part::Index)
    }

    /// The marks, for a log that has some.
    pub(super) fn marks(&self) -> io::Result<&File> {
        beside_file(&self.marks, &self.path, Part::Marks)
    }

    /// Whose files they are.
    pub(super) fn id(&self) -> &LogId {
        &self.id
    }

    /// Whether at least this much is in the text and the lines.
    pub fn holds(&self, head: &LogHead) -> io::Result<bool> {
        Ok(self.text.metadata()?.len() >= head.bytes
            && (head.lines == 0 || self.lines.metadata()?.len() >= HEADER_BYTES + head.lines * 8))
    }

    fn has_all_of(&self, head: &LogHead) -> io::Result<bool> {
        let index_bytes = index_entries(head.lines) * INDEX_ENTRY_BYTES as u64;
        let marks_bytes = head.marks.min(MARKS_MAX) * MARK_BYTES as u64;
        Ok(self.holds(head)?
            && (index_bytes == 0 || self.index()?.metadata()?.len() >= index_bytes)
            && (marks_bytes == 0 || self.marks()?.metadata()?.len() >= marks_bytes))
    }

    fn stored_header(&self) -> io::Result<Option<Header>> {
        let bytes = read_up_to(&self.lines, 0, HEADER_BYTES as usize)?;
        Ok(header::decode(&bytes).filter(|header| header.id == self.id))
    }
}

/// How many index entries a log with so many lines has.
pub fn index_entries(lines: u64) -> u64 {
    lines.saturating_sub(1) / INDEX_EVERY_LINES
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

fn open_or_make(path: &LogPath, part: Part) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.part(part))
}

fn beside_file<'a>(cell: &'a OnceLock<File>, path: &LogPath, part: Part) -> io::Result<&'a File> {
    if let Some(file) = cell.get() {
        return Ok(file);
    }
    let file = open_or_make(path, part)?;
    Ok(cell.get_or_init(|| file))
}
