//! The text of a workflow file and the places in it. Knows nothing of YAML beyond how a value's text lies in the file.

use serde_saphyr::granit_parser::ScalarStyle;

use super::FILE_MAX_BYTES;
use super::diagnostic::{Diagnostic, Spot};

/// A file's text.
pub(super) struct Source<'s> {
    pub(super) file: &'s str,
    pub(super) text: &'s str,
    // The byte offset of each line's start.
    lines: Vec<usize>,
}

impl<'s> Source<'s> {
    /// Refuses what is not UTF-8 text of a sensible size.
    pub(super) fn new(file: &'s str, bytes: &'s [u8]) -> Result<Self, Diagnostic> {
        let start = Spot { line: 1, column: 1 };
        if bytes.len() > FILE_MAX_BYTES {
            let message = format!(
                "the file has {} bytes, over the limit of {FILE_MAX_BYTES}",
                bytes.len()
            );
            return Err(Diagnostic::error(file, start, message));
        }
        if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
            return Err(Diagnostic::error(
                file,
                start,
                "the file is UTF-16: save it as UTF-8",
            ));
        }
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            return Err(Diagnostic::error(
                file,
                spot_in(bytes, at),
                "not a text file: it has a zero byte",
            ));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            Diagnostic::error(
                file,
                spot_in(bytes, at),
                format!("not UTF-8: byte 0x{:02X}", bytes[at]),
            )
        })?;
        // A byte order mark is no column.
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Ok(Self { file, text, lines })
    }

    /// The line and column of a byte offset.
    pub(super) fn spot(&self, offset: usize) -> Spot {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.lines.partition_point(|start| *start <= offset) - 1;
        let column = self.text[self.lines[line]..offset].chars().count();
        Spot {
            line: line as u32 + 1,
            column: column as u32 + 1,
        }
    }

    /// The text of a line, from 1, without its end.
    pub(super) fn line(&self, line: u32) -> &'s str {
        let index = (line as usize).saturating_sub(1).min(self.lines.len() - 1);
        self.text[self.lines[index]..]
            .lines()
            .next()
            .unwrap_or_default()
    }

    /// The byte offset in the file of a byte offset in a scalar's value, by walking both texts side by side: quotes,
    /// escapes, folded lines and indentation stand in the file only.
    pub(super) fn offset_of_value(
        &self,
        start: usize,
        style: ScalarStyle,
        value: &str,
        offset: usize,
    ) -> usize {
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
        let mut value = value[..offset].chars().peekable();
        while let Some(wanted) = value.peek().copied() {
            let Some((taken, length)) = self.next_character(at, style) else {
                break;
            };
            if taken == Some(wanted) {
                value.next();
                at += length;
            } else if taken.is_none_or(char::is_whitespace) {
                at += length;
            } else if wanted.is_whitespace() {
                value.next();
            } else {
                break;
            }
        }
        self.skip_indentation(at)
    }

    /// What the source gives at a place: a character of the value (none for a folded break) and its length.
    fn next_character(&self, at: usize, style: ScalarStyle) -> Option<(Option<char>, usize)> {
        let rest = &self.text[at..];
        let first = rest.chars().next()?;
        match (style, first) {
            (ScalarStyle::SingleQuoted, '\'') if rest.starts_with("''") => Some((Some('\''), 2)),
            (ScalarStyle::DoubleQuoted, '\\') => Some(escape(&rest[1..])),
            _ => Some((Some(first), first.len_utf8())),
        }
    }

    /// At a line's start the next character of the value stands behind the indentation.
    fn skip_indentation(&self, at: usize) -> usize {
        let line_start = at == 0 || self.text[..at].ends_with('\n');
        let blank =
            self.text[at..].len() - self.text[at..].trim_start_matches([' ', '\n', '\r']).len();
        if line_start { at + blank } else { at }
    }
}

/// An escape in double quotes, without its backslash: the character and the length with the backslash.
fn escape(rest: &str) -> (Option<char>, usize) {
    let hex = |digits: usize| {
        let code = rest
            .get(1..=digits)
            .and_then(|text| u32::from_str_radix(text, 16).ok());
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

/// The place of a byte in bytes that are no text yet.
fn spot_in(bytes: &[u8], at: usize) -> Spot {
    let before = &bytes[..at];
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count();
    let column = String::from_utf8_lossy(&before[start..]).chars().count();
    Spot {
        line: line as u32 + 1,
        column: column as u32 + 1,
    }
}
