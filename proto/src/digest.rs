//! The identity of a blob: its hash, the function that made the hash, and its size. Parsed once from the wire; what
//! holds a [`Digest`] holds a well-formed one. Knows nothing of where blobs are kept or how names are spelled in paths.

mod function;
mod hasher;
#[cfg(test)]
mod tests;

use std::fmt;

pub use function::DigestFunction;
pub use hasher::Hasher;

/// The longest hash of any function, in bytes (SHA-512).
pub const HASH_MAX_BYTES: usize = 64;

/// What a blob is called: function, hash and size. Small enough to copy, and it owns nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    function: DigestFunction,
    /// Zeros behind the function's own length, so that the derived comparisons are right.
    hash: [u8; HASH_MAX_BYTES],
    size: u64,
}

/// Why something is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The number or the name of no function that is served here.
    #[error("digest function {0} is not supported; supported are SHA256, SHA1, MD5, SHA384, SHA512 and BLAKE3")]
    Function(String),
    /// No function was named, and no function has hashes of that length.
    #[error("digest hash: no digest function was named, and none has hashes of {0} hex digits")]
    Infer(usize),
    /// A hash of another function, or a part of one.
    #[error("digest hash: {function} has {expected} {unit}, not {found}")]
    Length {
        /// The function that was named or inferred.
        function: DigestFunction,
        /// How long its hashes are.
        expected: usize,
        /// How long this one is.
        found: usize,
        /// What was counted: bytes or hex digits.
        unit: &'static str,
    },
    /// Hashes are written in lower case, so that each has one spelling.
    #[error("digest hash: upper case at position {0}; hashes are lower-case hex")]
    Uppercase(usize),
    /// Something that is no hex digit.
    #[error("digest hash: no hex digit at position {0}")]
    NotHex(usize),
    /// The wire has signed sizes.
    #[error("digest size_bytes: {0} is negative")]
    NegativeSize(i64),
    /// A size that the wire could not carry.
    #[error("digest size_bytes: {0} is more than the limit of {limit}", limit = i64::MAX)]
    SizeLimit(u64),
}

impl Digest {
    /// A digest from a hash in bytes.
    pub fn new(function: DigestFunction, hash: &[u8], size: u64) -> Result<Self, DigestError> {
        let expected = function.hash_len();
        if hash.len() != expected {
            return Err(DigestError::Length { function, expected, found: hash.len(), unit: "bytes" });
        }
        if i64::try_from(size).is_err() {
            return Err(DigestError::SizeLimit(size));
        }
        Ok(Self::from_hash(function, hash, size))
    }

    /// A digest as messages and paths have it: the hash in lower-case hex, the size signed.
    pub fn parse(function: DigestFunction, hex: &str, size: i64) -> Result<Self, DigestError> {
        let expected = function.hash_len() * 2;
        if hex.len() != expected {
            return Err(DigestError::Length { function, expected, found: hex.len(), unit: "hex digits" });
        }
        let mut hash = [0; HASH_MAX_BYTES];
        let mut seen = 0;
        // No branch in here: a thousand hashes in a call are common.
        for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
            seen |= high | low;
            *byte = high << 4 | low;
        }
        if seen & NO_NIBBLE != 0 {
            return Err(not_hex(hex));
        }
        let size = u64::try_from(size).map_err(|_| DigestError::NegativeSize(size))?;
        Ok(Self { function, hash, size })
    }

    /// The digest of these bytes.
    pub fn of(function: DigestFunction, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(function);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digest of the blob without bytes.
    pub fn empty(function: DigestFunction) -> Self {
        Hasher::new(function).finish()
    }

    /// Whether this is the digest of the blob without bytes. A size of 0 with another hash is not.
    pub fn is_empty(&self) -> bool {
        self.size == 0 && *self == Self::empty(self.function)
    }

    /// The function that made the hash.
    pub fn function(&self) -> DigestFunction {
        self.function
    }

    /// The hash in bytes, as long as the function makes it.
    pub fn hash(&self) -> &[u8] {
        &self.hash[..self.function.hash_len()]
    }

    /// The blob's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The blob's size as the wire has it.
    pub fn size_wire(&self) -> i64 {
        // Checked where the digest was made.
        self.size as i64
    }

    /// The hash in lower-case hex.
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; HASH_MAX_BYTES * 2];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.hash()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        str::from_utf8(&hex[..self.function.hash_len() * 2]).unwrap_or_default().to_owned()
    }

    /// The callers know that the hash has the function's length.
    fn from_hash(function: DigestFunction, bytes: &[u8], size: u64) -> Self {
        let mut hash = [0; HASH_MAX_BYTES];
        hash[..bytes.len()].copy_from_slice(bytes);
        Self { function, hash, size }
    }
}

/// `{hash}/{size}`, and before it `blake3/` where paths name the function.
impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.function.named_in_paths() {
            write!(out, "{}/", self.function.path_segment())?;
        }
        write!(out, "{}/{}", self.hex(), self.size)
    }
}

/// With the function in any case: two digests that differ never look the same in a failed assertion.
impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}", self.function.path_segment(), self.hex(), self.size)
    }
}

/// Marks what is no lower-case hex digit.
const NO_NIBBLE: u8 = 0x80;

/// The value of each hex digit.
const NIBBLES: [u8; 256] = {
    let mut values = [NO_NIBBLE; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// What is wrong with the first digit that is wrong.
fn not_hex(hex: &str) -> DigestError {
    let wrong = |digit: &u8| NIBBLES[usize::from(*digit)] == NO_NIBBLE;
    let position = hex.bytes().position(|digit| wrong(&digit)).unwrap_or(0);
    match hex.as_bytes()[position] {
        b'A'..=b'F' => DigestError::Uppercase(position),
        _ => DigestError::NotHex(position),
    }
}
