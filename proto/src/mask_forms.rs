//! A secret in all the forms in which it may stand in a log: as it is, line by line, and as JSON, addresses, base64 and
//! hex spell it. Pure; knows nothing of where secrets come from and how they are found.

use std::collections::BTreeSet;
use std::fmt::Write;

/// Shorter values have no form: they would blank out half the log and hide nothing.
pub const MASK_MIN_CHARS: usize = 3;
/// Of a longer value only the lines are looked for, not its other spellings.
pub const MASK_VALUE_MAX_BYTES: usize = 64 * 1024;
/// A longer form is looked for in pieces of this length.
pub const MASK_FORM_MAX_BYTES: usize = 4 * 1024;
/// Base64 and hex that are shorter are not looked for: too much would be found by chance.
pub const MASK_ENCODED_MIN_BYTES: usize = 8;

/// The columns at which base64 is broken: PEM and `openssl`, MIME and `base64`.
const BASE64_COLUMNS: [usize; 2] = [64, 76];

/// The forms of one value. None has a line end in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskForms {
    /// Its lines; none when it is too short to be masked.
    pub plain: Vec<Vec<u8>>,
    /// Its other spellings.
    pub encoded: Vec<Vec<u8>>,
}

impl MaskForms {
    /// The forms of a value.
    pub fn of(value: &str) -> Self {
        let lines: BTreeSet<&str> = value.lines().map(str::trim).filter(|line| is_long_enough(line)).collect();
        let mut plain = Forms::default();
        for line in &lines {
            plain.add(line.as_bytes());
        }
        let mut encoded = Forms::default();
        let whole = [value, value.trim()];
        for text in lines.into_iter().chain(whole).filter(|text| is_long_enough(text) && is_short_enough(text)) {
            json(text, &mut encoded);
            percent(text, &mut encoded);
            base64(text.as_bytes(), &mut encoded);
            hex(text.as_bytes(), &mut encoded);
        }
        let encoded = encoded.0.difference(&plain.0).cloned().collect();
        Self { plain: plain.0.into_iter().collect(), encoded }
    }
}

fn is_long_enough(text: &str) -> bool {
    text.chars().nth(MASK_MIN_CHARS - 1).is_some()
}

fn is_short_enough(text: &str) -> bool {
    text.len() <= MASK_VALUE_MAX_BYTES
}

#[derive(Default)]
struct Forms(BTreeSet<Vec<u8>>);

impl Forms {
    /// A form, or pieces that cover all of it.
    fn add(&mut self, form: &[u8]) {
        // A line end left in it can't be found in a line.
        if form.contains(&b'\n') {
            return;
        }
        for piece in form.chunks_exact(MASK_FORM_MAX_BYTES) {
            self.0.insert(piece.to_vec());
        }
        if !form.len().is_multiple_of(MASK_FORM_MAX_BYTES) {
            // The last one as long as the others, so that it is not found by chance.
            self.0.insert(form[form.len().saturating_sub(MASK_FORM_MAX_BYTES)..].to_vec());
        }
    }

    fn add_encoded(&mut self, form: &[u8]) {
        if form.len() >= MASK_ENCODED_MIN_BYTES {
            self.add(form);
        }
    }
}

/// How those who write JSON differ.
#[derive(Clone, Copy)]
struct Json {
    /// `/` as `\/`.
    slash: bool,
    /// All beyond ASCII as `\uXXXX`.
    ascii: bool,
    /// These as `\uXXXX`, too.
    also: &'static str,
    /// `\n` and the like; otherwise `\u000a`.
    short: bool,
    upper: bool,
}

fn json(text: &str, forms: &mut Forms) {
    // Nobody else; Go and Rails in pages; .NET.
    for also in ["", "<>&\u{2028}\u{2029}", "<>&'\"+`\u{2028}\u{2029}"] {
        for bits in 0..16_u8 {
            let on = |bit: u8| bits >> bit & 1 == 1;
            let how = Json { slash: on(0), ascii: on(1), also, short: on(2), upper: on(3) };
            forms.add(how.spell(text).as_bytes());
        }
    }
}

impl Json {
    fn spell(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 16);
        for c in text.chars() {
            let short = match c {
                '\n' => Some('n'),
                '\r' => Some('r'),
                '\t' => Some('t'),
                '\u{8}' => Some('b'),
                '\u{c}' => Some('f'),
                _ => None,
            };
            match (c, short) {
                _ if self.also.contains(c) => self.escape(c, &mut out),
                ('"' | '\\', _) => out.extend(['\\', c]),
                ('/', _) if self.slash => out.push_str("\\/"),
                (_, Some(short)) if self.short => out.extend(['\\', short]),
                ('\0'..'\u{20}', _) => self.escape(c, &mut out),
                ('\u{7f}'.., _) if self.ascii => self.escape(c, &mut out),
                _ => out.push(c),
            }
        }
        out
    }

    fn escape(self, c: char, out: &mut String) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string can't fail.
            let _ = if self.upper { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
        }
    }
}

fn percent(text: &str, forms: &mut Forms) {
    // What is left as it is, besides letters and digits: RFC 3986; encodeURIComponent; forms; encodeURI; Python's quote;
    // Go's PathEscape; nothing.
    for kept in ["-._~", "-_.!~*'()", "*-._", "-_.!~*'();/?:@&=+$,#", "-._~/", "-._~$&+:=@", ""] {
        for bits in 0..4_u8 {
            let (plus, upper) = (bits & 1 == 1, bits & 2 == 2);
            let mut out = String::with_capacity(text.len() + 16);
            for byte in text.bytes() {
                match byte {
                    b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => out.push(char::from(byte)),
                    b' ' if plus => out.push('+'),
                    _ if kept.as_bytes().contains(&byte) => out.push(char::from(byte)),
                    _ if upper => drop(write!(out, "%{byte:02X}")),
                    _ => drop(write!(out, "%{byte:02x}")),
                }
            }
            forms.add(out.as_bytes());
        }
    }
}

fn hex(bytes: &[u8], forms: &mut Forms) {
    let lower: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.add_encoded(lower.to_uppercase().as_bytes());
    forms.add_encoded(lower.as_bytes());
}

/// Base64 of something that has these bytes in it, wherever they begin: the characters that say nothing of what is
/// around them, and, where they are the end of it, those that do.
fn base64(bytes: &[u8], forms: &mut Forms) {
    for (alphabet, before) in [(b"+/", 0), (b"+/", 1), (b"+/", 2), (b"-_", 0), (b"-_", 1), (b"-_", 2)] {
        let text = base64_text(before, bytes, *alphabet);
        // The characters that have bits of what comes before.
        let first = [0, 2, 3][before];
        let known = (before + bytes.len()) * 8 / 6;
        let Some(core) = text.get(first..known) else { continue };
        if core.len() < MASK_ENCODED_MIN_BYTES {
            continue;
        }
        forms.add(core);
        forms.add(&text[first..]);
        if !text.len().is_multiple_of(4) {
            let padding = &b"=="[..4 - text.len() % 4];
            forms.add(&[&text[first..], padding].concat());
        }
        if before == 0 {
            for columns in BASE64_COLUMNS {
                for line in text.chunks(columns).filter(|_| text.len() > columns) {
                    forms.add_encoded(line);
                }
            }
        }
    }
}

/// Base64 without padding of so many zeros and then the bytes.
fn base64_text(before: usize, bytes: &[u8], last_two: [u8; 2]) -> Vec<u8> {
    let digit = |six: u8| match six {
        0..26 => b'A' + six,
        26..52 => b'a' + six - 26,
        52..62 => b'0' + six - 52,
        _ => last_two[usize::from(six - 62)],
    };
    let mut text = Vec::with_capacity((before + bytes.len()) * 4 / 3 + 2);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in std::iter::repeat_n(&0, before).chain(bytes) {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 6 {
            held -= 6;
            text.push(digit((bits >> held & 63) as u8));
        }
    }
    if held > 0 {
        text.push(digit((bits << (6 - held) & 63) as u8));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(value: &str) -> Vec<String> {
        let MaskForms { plain, encoded } = MaskForms::of(value);
        plain.into_iter().chain(encoded).map(|form| String::from_utf8(form).expect("text")).collect()
    }

    fn has(value: &str, form: &str) {
        let forms = forms(value);
        assert!(forms.iter().any(|one| one == form), "{value:?} has no form {form:?}: {forms:#?}");
    }

    /// Spelled by other programs.
    #[test]
    fn known_spellings() {
        for (value, form) in [
            ("hunter2", "hunter2"),
            // printf hunter2 | base64; printf xhunter2y | base64 (eGh1bnRlcjJ5), printf xyhunter2z | base64
            ("hunter2", "aHVudGVyMg=="),
            ("hunter2", "aHVudGVyMg"),
            ("hunter2", "aHVudGVyM"),
            ("hunter2pass", "h1bnRlcjJwYXNz"),
            ("hunter2pass", "odW50ZXIycGFzc"),
            // printf '\xc3\xbf\xc3\xbf\xc3\xbf>>>???' | base64, and | basenc --base64url
            ("ÿÿÿ>>>???", "w7/Dv8O/Pj4+Pz8/"),
            ("ÿÿÿ>>>???", "w7_Dv8O_Pj4-Pz8_"),
            // printf hunter2 | xxd -p
            ("hunter2", "68756e74657232"),
            ("hunter2", "68756E74657232"),
            // python3 -c 'json.dumps', node JSON.stringify, PHP json_encode, Go json.Marshal, .NET JsonSerializer
            ("a\"b\\c/d\té😀", "a\\\"b\\\\c/d\\t\\u00e9\\ud83d\\ude00"),
            ("a\"b\\c/d\té😀", "a\\\"b\\\\c/d\\té😀"),
            ("a\"b\\c/d\té😀", "a\\\"b\\\\c\\/d\\t\\u00e9\\ud83d\\ude00"),
            ("<a&b>", "\\u003ca\\u0026b\\u003e"),
            ("p+'\"é", "p\\u002B\\u0027\\u0022\\u00E9"),
            ("bell\u{7}", "bell\\u0007"),
            // urllib.parse.quote, quote_plus, encodeURIComponent, encodeURI
            ("p@ss w/rd+é~!", "p%40ss%20w/rd%2B%C3%A9~%21"),
            ("p@ss w/rd+é~!", "p%40ss+w%2Frd%2B%C3%A9~%21"),
            ("p@ss w/rd+é~!", "p%40ss%20w%2Frd%2B%C3%A9~!"),
            ("p@ss w/rd+é~!", "p@ss%20w/rd+%C3%A9~!"),
            ("p@ss w/rd+é~!", "p%40ss%20w%2frd%2b%c3%a9~%21"),
            // application/x-www-form-urlencoded as browsers do
            ("a b~c*", "a+b%7Ec*"),
        ] {
            has(value, form);
        }
    }

    #[test]
    fn lines_and_the_whole() {
        let value = "-----BEGIN KEY-----\n  c2VjcmV0\r\nx\n-----END KEY-----\n";
        let MaskForms { plain, encoded } = MaskForms::of(value);
        assert_eq!(plain, [&b"-----BEGIN KEY-----"[..], b"-----END KEY-----", b"c2VjcmV0"]);
        assert!(encoded.iter().chain(&plain).all(|form| !form.contains(&b'\n')));
        has(value, "-----BEGIN KEY-----\\n  c2VjcmV0\\r\\nx\\n-----END KEY-----\\n");
        has(value, "-----BEGIN KEY-----\\n  c2VjcmV0\\r\\nx\\n-----END KEY-----");
        // base64 of the first line, in the middle of something else
        has(value, "LS0tLS1CRUdJTiBLRVktLS0tLQ==");
        for short in ["", "ab", "\n\n", "a\nb\nc"] {
            assert_eq!(MaskForms::of(short).plain, Vec::<Vec<u8>>::new(), "{short:?}");
        }
    }

    #[test]
    fn base64_in_columns_as_base64_prints_it() {
        let value = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        // printf $value | base64
        has(value, "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJSktMTU5PUFFSU1RV");
        has(value, "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=");
        // printf $value | openssl base64
        has(value, "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJSktM");
        has(value, "TU5PUFFSU1RVVldYWVo");
    }

    #[test]
    fn what_is_short_has_no_base64_or_hex() {
        assert_eq!(forms("abc"), ["abc"]);
        assert!(forms("abcd").contains(&"61626364".into()));
        assert!(!forms("abcd").iter().any(|form| form.starts_with("YWJj")));
    }

    #[test]
    fn what_is_long_is_bounded_and_covered() {
        let line: String = ('a'..='z').cycle().take(10_000).collect();
        let MaskForms { plain, encoded } = MaskForms::of(&line);
        assert!(plain.iter().chain(&encoded).all(|form| form.len() <= MASK_FORM_MAX_BYTES));
        let mut covered = vec![false; line.len()];
        for form in &plain {
            for at in (0..line.len()).filter(|at| line.as_bytes()[*at..].starts_with(form)) {
                covered[at..at + form.len()].fill(true);
            }
        }
        assert!(covered.iter().all(|is| *is));
        let huge = "x y".repeat(MASK_VALUE_MAX_BYTES);
        assert!(MaskForms::of(&huge).encoded.is_empty(), "only its lines");
        assert!(!MaskForms::of(&huge).plain.is_empty());
    }
}
