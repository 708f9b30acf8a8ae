//! Subresource integrity (`checksum.sri`): one or more hashes of the content, of which any has to match. (Browsers look
//! at the strongest kind only; the build tools that send several mean alternatives.) Knows nothing of where the content
//! comes from.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use millrace_proto::digest::{DigestFunction, Hasher};

use super::qualifiers::CHECKSUM;
use crate::error::{Error, Result};

/// The functions that integrity metadata may name.
const FUNCTIONS: [DigestFunction; 3] = [DigestFunction::Sha256, DigestFunction::Sha384, DigestFunction::Sha512];

/// What the content may hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integrity {
    /// Function and hash; never empty.
    any_of: Vec<(DigestFunction, Vec<u8>)>,
}

impl Integrity {
    /// From the qualifier's value: `sha256-BASE64`, several with spaces between them; `?options` are for others.
    pub fn parse(text: &str) -> Result<Self> {
        let mut any_of = Vec::new();
        for word in text.split_ascii_whitespace() {
            let (name, rest) = word.split_once('-').ok_or_else(|| invalid(word, "is not FUNCTION-BASE64"))?;
            // A function that is not known is no error by itself: another may be.
            let Some(function) = FUNCTIONS.into_iter().find(|function| function.path_segment() == name) else {
                continue;
            };
            let encoded = rest.split_once('?').map_or(rest, |(hash, _)| hash);
            let hash = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
                .into_iter()
                .find_map(|alphabet| alphabet.decode(encoded).ok())
                .ok_or_else(|| invalid(word, "is not base64"))?;
            if hash.len() != function.hash_len() {
                let expected = function.hash_len();
                return Err(invalid(word, &format!("has {} bytes, a {function} has {expected}", hash.len())));
            }
            any_of.push((function, hash));
        }
        if any_of.is_empty() {
            return Err(invalid(text, "names none of sha256, sha384 and sha512"));
        }
        Ok(Self { any_of })
    }

    /// The hashes of one function.
    pub fn hashes(&self, function: DigestFunction) -> impl Iterator<Item = &[u8]> {
        self.any_of.iter().filter(move |(own, _)| *own == function).map(|(_, hash)| hash.as_slice())
    }

    /// Begins a check.
    pub fn check(&self) -> IntegrityCheck {
        let wanted = FUNCTIONS.into_iter().filter(|function| self.hashes(*function).next().is_some());
        IntegrityCheck { hashers: wanted.map(Hasher::new).collect(), wanted: self.clone() }
    }
}

/// Content that is being checked, piece by piece.
pub struct IntegrityCheck {
    hashers: Vec<Hasher>,
    wanted: Integrity,
}

impl IntegrityCheck {
    /// The content goes on.
    pub fn update(&mut self, bytes: &[u8]) {
        for hasher in &mut self.hashers {
            hasher.update(bytes);
        }
    }

    /// Whether any hash matches; else what the content does hash to, as the qualifier would have it.
    pub fn finish(self) -> std::result::Result<(), String> {
        let found: Vec<_> = self.hashers.into_iter().map(Hasher::finish).collect();
        let matches = |digest: &millrace_proto::digest::Digest| {
            self.wanted.hashes(digest.function()).any(|hash| hash == digest.hash())
        };
        if found.iter().any(matches) {
            return Ok(());
        }
        let words = found.iter().map(|digest| format!("{}-{}", digest.function(), STANDARD.encode(digest.hash())));
        Err(words.collect::<Vec<_>>().join(" "))
    }
}

fn invalid(word: &str, what: &str) -> Error {
    let word: String = word.chars().take(200).collect();
    Error::invalid("qualifiers.value", format!("{CHECKSUM} {word:?} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC_256: &str = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    const ABC_384: &str = "sha384-ywB1P0WjXou1oD1pmsZQBycsMqsO3tFjGotgWkP/W+2AhgcroefMI1i67KE0yCWn";

    fn holds(text: &str, content: &[u8]) -> bool {
        let mut check = Integrity::parse(text).unwrap().check();
        content.chunks(2).for_each(|piece| check.update(piece));
        check.finish().is_ok()
    }

    #[test]
    fn any_of_several_hashes_is_enough() {
        assert!(holds(ABC_256, b"abc"));
        assert!(holds(ABC_384, b"abc"));
        assert!(!holds(ABC_256, b"abd"));
        let wrong = "sha512-".to_owned() + &STANDARD.encode([0; 64]);
        assert!(holds(&format!("{wrong} {ABC_256}"), b"abc"));
        assert!(holds(&format!("sha256-{} {ABC_256}?x", STANDARD.encode([1; 32])), b"abc"));
        assert!(holds(&format!("md5-AAAA {ABC_384}"), b"abc"));
        assert!(!holds(&format!("{wrong} {ABC_384}"), b"x"));
    }

    #[test]
    fn a_mismatch_tells_what_was_found() {
        let mut check = Integrity::parse(&format!("sha256-{}", STANDARD.encode([1; 32]))).unwrap().check();
        check.update(b"abc");
        assert_eq!(check.finish(), Err(ABC_256.into()));
    }

    #[test]
    fn what_is_no_integrity_is_said_so() {
        for (text, part) in [
            ("", "names none of"),
            ("md5-AAAA", "names none of"),
            ("sha256", "is not FUNCTION-BASE64"),
            ("sha256-!!", "is not base64"),
            ("sha256-AAAA", "has 3 bytes, a sha256 has 32"),
        ] {
            let error = Integrity::parse(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.starts_with("qualifiers.value: checksum.sri"), "{error}");
        }
    }
}
