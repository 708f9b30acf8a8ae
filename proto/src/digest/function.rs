//! The hash functions that Millrace computes, with their numbers and names on the wire. Knows no hash code.

use std::fmt;

use super::DigestError;

/// A hash function by which blobs are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestFunction {
    /// What clients use unless told otherwise.
    Sha256,
    /// For clients that are bound to it; collisions can be made.
    Sha1,
    /// For clients that are bound to it; collisions are cheap.
    Md5,
    /// 384 bits of the SHA-2 family.
    Sha384,
    /// 512 bits of the SHA-2 family.
    Sha512,
    /// As long as SHA-256, therefore named in paths.
    Blake3,
}

impl DigestFunction {
    /// All of them, the preferred one first.
    pub const ALL: [Self; 6] = [Self::Sha256, Self::Blake3, Self::Sha1, Self::Md5, Self::Sha384, Self::Sha512];

    /// The number in `DigestFunction.Value`.
    pub fn wire(self) -> i32 {
        match self {
            Self::Sha256 => 1,
            Self::Sha1 => 2,
            Self::Md5 => 3,
            Self::Sha384 => 5,
            Self::Sha512 => 6,
            Self::Blake3 => 9,
        }
    }

    /// From the number in `DigestFunction.Value`; 0 (not named) is an error here: see [`Self::from_wire_or_infer`].
    pub fn from_wire(number: i32) -> Result<Self, DigestError> {
        let found = Self::ALL.into_iter().find(|function| function.wire() == number);
        found.ok_or_else(|| DigestError::Function(number.to_string()))
    }

    /// From the number in a request; when the client named none, by the length of one of its hashes.
    pub fn from_wire_or_infer(number: i32, hex_len: usize) -> Result<Self, DigestError> {
        if number == 0 {
            return Self::infer(hex_len).ok_or(DigestError::Infer(hex_len));
        }
        Self::from_wire(number)
    }

    /// The function whose hashes have so many hex digits, among those that need not be named.
    pub fn infer(hex_len: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|function| !function.named_in_paths() && function.hash_len() * 2 == hex_len)
    }

    /// How long its hashes are, in bytes.
    pub fn hash_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Whether resource names carry it as a segment, because the length alone does not tell.
    pub fn named_in_paths(self) -> bool {
        self == Self::Blake3
    }

    /// Its name in lower case.
    pub fn path_segment(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha1 => "sha1",
            Self::Md5 => "md5",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Blake3 => "blake3",
        }
    }

    /// From its name in lower case.
    pub fn from_path_segment(segment: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.path_segment() == segment)
    }
}

impl fmt::Display for DigestFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.path_segment())
    }
}
