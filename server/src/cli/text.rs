//! Bytes of a log as text that can do a terminal no harm: colours may pass, all that moves the cursor, writes a title or
//! fills the clipboard does not. Knows nothing of where the bytes come from; `--raw` goes around it.

/// The line as text: without its end, invalid UTF-8 replaced, control characters dropped (a carriage return inside it
/// shows as `␍`), escape sequences dropped unless they are for colour and `colour` is set.
pub fn clean(line: &[u8], colour: bool) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut styled = false;
    let mut rest = text;
    while let Some(at) = rest.find(char::is_control) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('\x1b') {
            let length = escape_len(rest);
            let sequence = &rest[..length];
            if colour && is_style(sequence) {
                styled = !matches!(sequence, "\x1b[m" | "\x1b[0m");
                out.push_str(sequence);
            }
            rest = &rest[length..];
            continue;
        }
        let mut chars = rest.chars();
        match chars.next() {
            Some('\t') => out.push('\t'),
            Some('\r') => out.push('␍'),
            _ => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    if styled {
        out.push_str("\x1b[0m");
    }
    out
}

/// The line as text with what the runner's marks mean in colour: `##[error]`, `##[warning]`, `##[group]` and the like.
pub fn show(line: &[u8], colour: bool) -> String {
    let text = clean(line, colour);
    if !colour {
        return text;
    }
    let marks =
        [("##[error]", "31"), ("##[warning]", "33"), ("##[notice]", "36"), ("##[group]", "1"), ("##[endgroup]", "2")];
    match marks.iter().find(|(mark, _)| text.starts_with(mark)) {
        Some((_, code)) => format!("\x1b[{code}m{text}\x1b[0m"),
        None => text,
    }
}

/// Colour and weight: `ESC [ digits, semicolons and colons m`.
fn is_style(sequence: &str) -> bool {
    sequence
        .strip_prefix("\x1b[")
        .and_then(|rest| rest.strip_suffix('m'))
        .is_some_and(|body| body.bytes().all(|byte| byte.is_ascii_digit() || byte == b';' || byte == b':'))
}

/// The length of the escape sequence that `text` begins with; an unfinished one reaches to the end.
fn escape_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(1) {
        // CSI: parameters and intermediates, then one byte from @ to ~.
        Some(b'[') => bytes[2..].iter().position(|byte| (0x40..=0x7e).contains(byte)).map_or(bytes.len(), |at| at + 3),
        // OSC, DCS, SOS, PM, APC: up to BEL or ESC \.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => string_len(bytes),
        // Character sets and the like: intermediates, then one byte.
        Some(0x20..=0x2f) => {
            bytes[1..].iter().position(|byte| *byte >= 0x30).map_or(bytes.len(), |at| {
                let end = at + 2;
                // The byte may begin a character of several bytes; that one is kept.
                if text.is_char_boundary(end) { end } else { at + 1 }
            })
        }
        Some(byte) if byte.is_ascii() => 2,
        _ => 1,
    }
}

fn string_len(bytes: &[u8]) -> usize {
    for (at, byte) in bytes.iter().enumerate().skip(2) {
        match byte {
            0x07 => return at + 1,
            0x1b if bytes.get(at + 1) == Some(&b'\\') => return at + 2,
            _ => {}
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_passes() {
        assert_eq!(clean(b"hello\tworld\r\n", false), "hello\tworld");
        assert_eq!(clean("größer ✓\n".as_bytes(), true), "größer ✓");
        assert_eq!(clean(b"", true), "");
    }

    #[test]
    fn colours_pass_only_when_welcome() {
        assert_eq!(clean(b"\x1b[1;31mred\x1b[0m\n", true), "\x1b[1;31mred\x1b[0m");
        assert_eq!(clean(b"\x1b[1;31mred\x1b[0m\n", false), "red");
    }

    #[test]
    fn a_colour_left_on_ends_with_the_line() {
        assert_eq!(clean(b"\x1b[31mred\n", true), "\x1b[31mred\x1b[0m");
    }

    #[test]
    fn what_could_harm_a_terminal_is_dropped() {
        assert_eq!(clean(b"a\x1b[2Jb\x1b]0;title\x07c\x1b]52;c;Zm9v\x1b\\d\x1bce", true), "abcde");
        assert_eq!(clean("a\u{9b}31mb".as_bytes(), true), "a31mb");
        assert_eq!(clean(b"a\x08\x00b", true), "ab");
    }

    #[test]
    fn progress_bars_show_their_returns() {
        assert_eq!(clean(b"10%\r20%\r\n", false), "10%␍20%");
    }

    #[test]
    fn unfinished_and_odd_sequences_end_the_line() {
        assert_eq!(clean(b"a\x1b[31", true), "a");
        assert_eq!(clean(b"a\x1b", true), "a");
        assert_eq!(clean(b"a\x1b(Bb", true), "ab");
        assert_eq!(clean("a\x1bü".as_bytes(), true), "aü");
        assert_eq!(clean("a\x1b(ü".as_bytes(), true), "aü");
    }

    #[test]
    fn marks_have_their_colours() {
        assert_eq!(show(b"##[error]no\n", true), "\x1b[31m##[error]no\x1b[0m");
        assert_eq!(show(b"##[error]no\n", false), "##[error]no");
        assert_eq!(show(b"say ##[error]no\n", true), "say ##[error]no");
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(clean(b"a\xffb", false), "a\u{fffd}b");
    }
}
