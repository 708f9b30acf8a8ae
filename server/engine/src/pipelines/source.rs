//! The text of a workflow file and the places in it. Knows nothing of YAML beyond how a value's text lies in the file.

use serde_saphyr::granit_parser::ScalarStyle;

use super::FILE_MAX_BYTES;
use super::diagnostic::{Diagnostic, Spot};

const BLOCK_BYTES: usize = 1024;

/// A file's text.
pub(super) struct Source<'s> {
    pub(super) file: &'s str,
    pub(super) text: &'s str,
    // The byte offset of each line's start.
    lines: Vec<usize>,
    // The characters before each block of bytes: a file of one long line has columns, too.
    blocks: Vec<usize>,
}

impl<'s> Source<'s> {
    /// Refuses what is not UTF-8 text of a sensible size.
    pub(super) fn new(file: &'s str, bytes: &'s [u8]) -> Result<Self, Diagnostic> {
        let start = Spot { line: 1, column: 1 };
        if bytes.len() > FILE_MAX_BYTES {
            let message = format!("the file has {} bytes, over the limit of {FILE_MAX_BYTES}", bytes.len());
            return Err(Diagnostic::error(file, start, message));
        }
        if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
            return Err(Diagnostic::error(file, start, "the file is UTF-16: save it as UTF-8"));
        }
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            return Err(Diagnostic::error(file, spot_in(bytes, at), "not a text file: it has a zero byte"));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            Diagnostic::error(file, spot_in(bytes, at), format!("not UTF-8: byte 0x{:02X}", bytes[at]))
        })?;
        // A byte order mark is no column.
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut blocks = vec![0];
        for block in text.as_bytes().chunks(BLOCK_BYTES) {
            blocks.push(blocks[blocks.len() - 1] + chars(block));
        }
        Ok(Self { file, text, lines, blocks })
    }

    /// The line and column of a byte offset.
    pub(super) fn spot(&self, offset: usize) -> Spot {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.lines.partition_point(|start| *start <= offset) - 1;
        let column = self.chars_before(offset) - self.chars_before(self.lines[line]);
        Spot { line: line as u32 + 1, column: column as u32 + 1 }
    }

    fn chars_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK_BYTES;
        self.blocks[block] + chars(&self.text.as_bytes()[block * BLOCK_BYTES..offset])
    }

    /// The text of a line, from 1, without its end.
    pub(super) fn line(&self, line: u32) -> &'s str {
        let index = (line as usize).saturating_sub(1).min(self.lines.len() - 1);
        self.text[self.lines[index]..].lines().next().unwrap_or_default()
    }

    /// A walk through a scalar's value that knows where each part of it stands in the file.
    pub(super) fn walk<'v>(&'v self, start: usize, style: ScalarStyle, value: &'v str) -> Walk<'v> {
        let mut at = start;
        match style {
            ScalarStyle::Plain => {}
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => at += 1,
            // The header line of a block: indicators and a comment.
            ScalarStyle::Literal | ScalarStyle::Folded => {
                if self.text[at..].starts_with(['|', '>']) {
                    at += self.text[at..].find('\n').map_or(0, |end| end + 1);
                }
            }
        }
        Walk { text: self.text, style, value, at, done: 0 }
    }
}

/// Walks a value and its text in the file side by side: quotes, escapes, folded lines and indentation stand in the
/// file only. One walk serves all offsets in rising order, so that a long value is walked once.
pub(super) struct Walk<'v> {
    text: &'v str,
    style: ScalarStyle,
    value: &'v str,
    at: usize,
    done: usize,
}

impl Walk<'_> {
    /// The byte offset in the file of a byte offset in the value.
    pub(super) fn to(&mut self, offset: usize) -> usize {
        while self.done < offset {
            let Some(wanted) = self.value[self.done..].chars().next() else { break };
            let Some((found, length)) = self.next_character() else { break };
            if found == Some(wanted) {
                self.done += wanted.len_utf8();
                self.at += length;
            } else if found.is_none_or(char::is_whitespace) {
                self.at += length;
            } else if wanted.is_whitespace() {
                self.done += wanted.len_utf8();
            } else {
                break;
            }
        }
        // At a line's start the next character of the value stands behind the indentation.
        let rest = &self.text[self.at..];
        let blank = rest.len() - rest.trim_start_matches([' ', '\n', '\r']).len();
        let line_start = self.at == 0 || self.text[..self.at].ends_with('\n');
        if line_start { self.at + blank } else { self.at }
    }

    /// What the file gives at this place: a character of the value (none for a folded break) and its length.
    fn next_character(&self) -> Option<(Option<char>, usize)> {
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        match (self.style, first) {
            (ScalarStyle::SingleQuoted, '\'') if rest.starts_with("''") => Some((Some('\''), 2)),
            (ScalarStyle::DoubleQuoted, '\\') => Some(escape(&rest[1..])),
            _ => Some((Some(first), first.len_utf8())),
        }
    }
}

/// An escape in double quotes, without its backslash: the character and the length with the backslash.
fn escape(rest: &str) -> (Option<char>, usize) {
    let hex = |digits: usize| {
        let code = rest.get(1..=digits).and_then(|text| u32::from_str_radix(text, 16).ok());
        (code.and_then(char::from_u32), digits + 2)
    };
    match rest.chars().next() {
        Some('x') => hex(2),
        Some('u') => hex(4),
        Some('U') => hex(8),
        Some('n') => (Some('\n'), 2),
        Some('t') => (Some('\t'), 2),
        Some('r') => (Some('\r'), 2),
        Some('\n') => (None, 2),
        Some('\r') => (None, 3),
        Some(other) => (Some(other), 1 + other.len_utf8()),
        None => (None, 1),
    }
}

/// The characters that start in some bytes of UTF-8.
fn chars(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

/// The place of a byte in bytes that are no text yet.
fn spot_in(bytes: &[u8], at: usize) -> Spot {
    let before = &bytes[..at];
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let line = memchr::memchr_iter(b'\n', before).count();
    let column = String::from_utf8_lossy(&before[start..]).chars().count();
    Spot { line: line as u32 + 1, column: column as u32 + 1 }
}
