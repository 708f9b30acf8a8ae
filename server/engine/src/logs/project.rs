//! Whose a log is, as ids say it: a hash of the project, so that an id tells it without spelling it.

use std::fmt;

use sha2::{Digest, Sha256};

/// Its hex digits in ids.
pub const PROJECT_HASH_DIGITS: usize = 2 * HASH_BYTES;
const HASH_BYTES: usize = 8;

/// The first eight bytes of the SHA-256 of a project's name; what belongs to no project has that of "".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectHash([u8; HASH_BYTES]);

impl ProjectHash {
    /// That of a project.
    pub fn of(project: &str) -> Self {
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(&Sha256::digest(project)[..HASH_BYTES]);
        Self(hash)
    }

    /// Reads it as it stands in ids; one spelling only.
    pub fn parse(digits: &str) -> Option<Self> {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
        if !plain || digits.len() != PROJECT_HASH_DIGITS {
            return None;
        }
        Some(Self(u64::from_str_radix(digits, 16).ok()?.to_be_bytes()))
    }
}

impl fmt::Display for ProjectHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", u64::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_there_and_back() {
        assert_eq!(ProjectHash::of("").to_string(), "e3b0c44298fc1c14");
        let hash = ProjectHash::of("team/app");
        assert_eq!(ProjectHash::parse(&hash.to_string()), Some(hash));
        for other in ["", "e3b0c44298fc1c1", "E3B0C44298FC1C14", "+3b0c44298fc1c14", "e3b0c44298fc1c140"] {
            assert_eq!(ProjectHash::parse(other), None, "{other}");
        }
    }
}
