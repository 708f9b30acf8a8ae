//! How far a log has come, and the words that stand beside its lines.

use super::{LogAppend, LogPlace};

/// The size of the word beside each line.
pub const LINE_WORD_BYTES: usize = 8;

/// A log lists this many marks and counts the others.
pub const MARKS_MAX: u64 = 10_000;

/// The low 16 bits of a line's word.
pub mod flags {
    /// From standard error.
    pub const STDERR: u64 = 1;
    /// Goes on the line before: a row that was split.
    pub const CONTINUATION: u64 = 1 << 1;
    /// The log room's own words, no row of the writer.
    pub const ROOM: u64 = 1 << 2;
    /// A line end of the room's own, which byte readers leave out: the line goes on with the next one, a CONTINUATION. (A
    /// CONTINUATION that follows no such line is what a row with inner line ends goes on with.)
    pub const JOINED: u64 = 1 << 3;
    /// Where the mark's kind begins.
    pub const MARK_SHIFT: u32 = 4;
    /// The bits of the mark's kind.
    pub const MARK_MASK: u64 = 0xF << MARK_SHIFT;
    /// With CONTINUATION: a row of the writer's begins here all the same; it goes on in a line that the row before left
    /// open.
    pub const ROW: u64 = 1 << 8;
    /// Where the time begins.
    pub const TIME_SHIFT: u32 = 16;
}

/// How far a log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogHead {
    /// Its length, line ends included.
    pub bytes: u64,
    /// How many lines it has.
    pub lines: u64,
    /// How many rows were acknowledged; those that were dropped count.
    pub rows: u64,
    /// How many of them were dropped because the log is full.
    pub dropped_rows: u64,
    /// How many marks it has; the first [`MARKS_MAX`] are listed.
    pub marks: u64,
    /// The first line that is marked as an error.
    pub first_error_line: Option<u64>,
    /// Nothing comes any more.
    pub complete: bool,
    /// How many of its line ends are the room's own: byte readers get so much less than `bytes`.
    pub joined_lines: u64,
    /// The last line is one of these: what comes next goes on there.
    pub unended: bool,
    /// Where it begins: retention has taken what is before. All other numbers count that too.
    pub first: LogPlace,
    /// How many of its bytes, line ends included, are lines that are the room's own words ([`flags::ROOM`]).
    pub room_bytes: u64,
    /// How many bytes of a stream were acknowledged and not kept, the log being full.
    pub dropped_bytes: u64,
    /// The time of its last line, in Unix milliseconds; 0 if there is none.
    pub last_ms: i64,
}

impl LogHead {
    /// The head after an append: what every store writes beside the bytes.
    pub fn after(&self, append: &LogAppend) -> Self {
        let mut head = *self;
        for word in line_words(&append.words) {
            if starts_row(word) {
                head.rows += 1;
            }
            if let Some(kind) = MarkKind::of_word(word) {
                head.marks += 1;
                if kind == MarkKind::Error && head.first_error_line.is_none() {
                    head.first_error_line = Some(head.lines);
                }
            }
            head.unended = is_joined(word);
            head.joined_lines += u64::from(head.unended);
            head.last_ms = line_ms(word);
            head.lines += 1;
        }
        head.room_bytes += append.room_bytes;
        head.dropped_bytes += append.dropped_bytes;
        head.bytes += append.text.len() as u64;
        head.rows += append.dropped_rows;
        head.dropped_rows += append.dropped_rows;
        head.complete |= append.complete;
        head
    }

    /// Its length for those who read bytes.
    pub fn stream_bytes(&self) -> u64 {
        self.bytes - self.joined_lines
    }

    /// How many bytes the writer of a stream has written: the room's own words are not among them, what was dropped is.
    pub fn written_bytes(&self) -> u64 {
        self.stream_bytes() - self.room_bytes + self.dropped_bytes
    }

    /// The place of its end.
    pub fn end(&self) -> LogPlace {
        LogPlace { line: self.lines, offset: self.bytes, joined: self.joined_lines, row: self.stored_rows() }
    }

    /// How many rows were kept (retention may have taken the first of them since).
    pub fn stored_rows(&self) -> u64 {
        self.rows - self.dropped_rows
    }
}

/// Something in a log that a reader may want to jump to or fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMark {
    /// What it is.
    pub kind: MarkKind,
    /// The line, from 0.
    pub line: u64,
}

/// What a mark is. The numbers are those of `millrace.v1.LogMark.Kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// `##[group]`: begins a group.
    Group = 1,
    /// `##[endgroup]`: ends it.
    EndGroup = 2,
    /// `##[error]`.
    Error = 3,
    /// `##[warning]`.
    Warning = 4,
    /// `##[notice]`.
    Notice = 5,
}

impl MarkKind {
    /// The kind with this number.
    pub fn from_number(number: u64) -> Option<Self> {
        [Self::Group, Self::EndGroup, Self::Error, Self::Warning, Self::Notice]
            .into_iter()
            .find(|kind| *kind as u64 == number)
    }

    /// The mark in a line's word.
    pub fn of_word(word: u64) -> Option<Self> {
        match word & flags::MARK_MASK {
            0 => None,
            bits => Self::from_number(bits >> flags::MARK_SHIFT),
        }
    }

    /// The mark that a line's text begins with.
    pub fn of_text(text: &[u8]) -> Option<Self> {
        let name = text.strip_prefix(b"##[")?;
        let names: [(&[u8], Self); 5] = [
            (b"group]", Self::Group),
            (b"endgroup]", Self::EndGroup),
            (b"error]", Self::Error),
            (b"warning]", Self::Warning),
            (b"notice]", Self::Notice),
        ];
        names.into_iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, kind)| kind)
    }

    /// The bits for a line's word.
    pub fn bits(self) -> u64 {
        (self as u64) << flags::MARK_SHIFT
    }
}

/// The words in `line_meta` bytes; what is left over at the end is not a word.
pub fn line_words(words: &[u8]) -> impl ExactSizeIterator<Item = u64> + '_ {
    words.as_chunks::<LINE_WORD_BYTES>().0.iter().map(|word| u64::from_le_bytes(*word))
}

/// Whether the line begins a row (and is not the rest of one, nor the room's own).
pub fn starts_row(word: u64) -> bool {
    word & (flags::CONTINUATION | flags::ROOM) == 0 || word & flags::ROW != 0
}

/// The time of a line, in Unix milliseconds.
pub fn line_ms(word: u64) -> i64 {
    (word >> flags::TIME_SHIFT) as i64
}

/// Whether the line's end is the room's own.
pub fn is_joined(word: u64) -> bool {
    word & flags::JOINED != 0
}

impl LogAppend {
    /// An append that stores nothing and ends the log.
    pub fn end(at_lines: u64) -> Self {
        Self { at_lines, complete: true, ..Self::default() }
    }
}
