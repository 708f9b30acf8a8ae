//! The text of lines as a terminal shows it: without escape sequences, bells, and carriage returns at a line's end. The rules
//! are those of the log viewer, so that both mean the same columns.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2};

const BELL: u8 = 0x07;
const ESCAPE: u8 = 0x1b;

/// Whole lines as they are shown: as many lines as there were, each with its end.
pub fn visible(lines: &[u8]) -> Cow<'_, [u8]> {
    let plain = if memchr2(ESCAPE, BELL, lines).is_some() { Cow::Owned(without_escapes(lines)) } else { lines.into() };
    if memchr(b'\r', &plain).is_some() { Cow::Owned(without_returns(&plain)) } else { plain }
}

/// How many UTF-16 code units these bytes are, as a browser counts them: what is no UTF-8 is one for each faulty piece.
pub fn utf16_len(bytes: &[u8]) -> usize {
    bytes
        .utf8_chunks()
        .map(|chunk| {
            chunk.valid().chars().map(char::len_utf16).sum::<usize>() + usize::from(!chunk.invalid().is_empty())
        })
        .sum()
}

fn without_escapes(lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len());
    let mut rest = lines;
    while let Some(at) = memchr2(ESCAPE, BELL, rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let length = if rest[0] == BELL {
            1
        } else {
            // No sequence goes on in the next line.
            escape_len(&rest[..memchr(b'\n', rest).unwrap_or(rest.len())])
        };
        rest = &rest[length..];
    }
    out.extend_from_slice(rest);
    out
}

fn without_returns(lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len());
    let mut from = 0;
    for end in memchr_iter(b'\n', lines).chain([lines.len()]) {
        let line = &lines[from.min(end)..end];
        let kept = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        out.extend_from_slice(&line[..kept]);
        if end < lines.len() {
            out.push(b'\n');
        }
        from = end + 1;
    }
    out
}

/// The length of the escape sequence that `line` begins with. One that is broken off ends where it can't go on: what
/// follows is text.
fn escape_len(line: &[u8]) -> usize {
    let run = |from: usize, allowed: std::ops::RangeInclusive<u8>| {
        from + line[from..].iter().take_while(|byte| allowed.contains(byte)).count()
    };
    match line.get(1) {
        Some(b'[') => {
            let end = run(run(2, 0x30..=0x3f), 0x20..=0x2f);
            if line.get(end).is_some_and(|byte| (0x40..=0x7e).contains(byte)) { end + 1 } else { end }
        }
        Some(b']' | b'P' | b'X' | b'^' | b'_') => string_len(line).unwrap_or(2),
        _ => {
            let end = run(1, 0x20..=0x2f);
            if line.get(end).is_some_and(|byte| (0x30..=0x7e).contains(byte)) { end + 1 } else { 1 }
        }
    }
}

/// Up to BEL or ESC \.
fn string_len(line: &[u8]) -> Option<usize> {
    let at = 2 + memchr2(ESCAPE, BELL, &line[2..])?;
    match (line[at], line.get(at + 1)) {
        (BELL, _) => Some(at + 1),
        (_, Some(b'\\')) => Some(at + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown() {
        for (line, shown) in [
            ("plain\n", "plain\n"),
            ("\x1b[1;31mred\x1b[0m\n", "red\n"),
            ("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c\x1b]8;;\x1b\\\n", "abc\n"),
            ("a\x1b[31\nb\n", "a\nb\n"),
            ("a\x1b[31\u{e9}\n", "a\u{e9}\n"),
            ("a\x1b]0;open\nb\x07\n", "a0;open\nb\n"),
            ("a\x1b(Bb\x1bMc\x1b\n", "abc\n"),
            ("a\r\n\r\r\nb\rc\r\x1b[K\r\n", "a\n\nb\rc\n"),
            ("\x07bell\n", "bell\n"),
            ("", ""),
        ] {
            assert_eq!(visible(line.as_bytes()), shown.as_bytes(), "{line:?}");
        }
        assert!(matches!(visible(b"a\nb\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn columns_are_those_of_a_browser() {
        assert_eq!(utf16_len("aé😀".as_bytes()), 4);
        assert_eq!(utf16_len(b"a\xff\xe2\x82b"), 4);
    }
}
