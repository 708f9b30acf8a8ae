//! Blobs nobody has seen before, from a seed. Knows nothing of calls.

use bazel_remote_apis::build::bazel::remote::execution::v2::Digest;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sha2::{Digest as _, Sha256};

/// Random content that depends on the seed and on what it is for, only.
pub struct Content {
    random: StdRng,
}

/// A blob, in pieces that blobs may share.
#[derive(Clone)]
pub struct Blob {
    /// SHA-256, in hexadecimal.
    pub hash: String,
    /// Its length.
    pub size: u64,
    /// Its content.
    pub pieces: Vec<Bytes>,
}

impl Content {
    /// For one purpose: no two have blobs in common.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(purpose);
        Self { random: StdRng::from_seed(hash.finalize().into()) }
    }

    /// So many random bytes.
    pub fn bytes(&mut self, length: usize) -> Bytes {
        let mut bytes = vec![0; length];
        self.random.fill_bytes(&mut bytes);
        bytes.into()
    }

    /// A blob in one piece.
    pub fn blob(&mut self, length: usize) -> Blob {
        Blob::of(self.bytes(length))
    }

    /// A digest that no blob has.
    pub fn digest(&mut self, size_bytes: i64) -> Digest {
        Digest { hash: hexadecimal(&self.bytes(32)), size_bytes }
    }

    /// An upload's name.
    pub fn uuid(&mut self) -> String {
        let hex = hexadecimal(&self.bytes(16));
        let variant = &hex[17..20];
        format!("{}-{}-4{}-8{variant}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[20..])
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit.max(1)
    }
}

impl Blob {
    /// With this content, in one piece.
    pub fn of(bytes: Bytes) -> Self {
        Self { hash: hexadecimal(&Sha256::digest(&bytes)), size: bytes.len() as u64, pieces: vec![bytes] }
    }

    /// As REAPI names it.
    pub fn digest(&self) -> Digest {
        Digest { hash: self.hash.clone(), size_bytes: self.size as i64 }
    }

    /// Whether these bytes stand at that place in it.
    pub fn has(&self, mut at: u64, mut bytes: &[u8]) -> bool {
        for piece in &self.pieces {
            if bytes.is_empty() {
                return true;
            }
            let length = piece.len() as u64;
            if at >= length {
                at -= length;
                continue;
            }
            let here = &piece[at as usize..];
            let common = here.len().min(bytes.len());
            if here[..common] != bytes[..common] {
                return false;
            }
            bytes = &bytes[common..];
            at = 0;
        }
        bytes.is_empty()
    }
}

/// Lower case.
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_unique_to_its_purpose_and_repeatable() {
        let bytes = |seed, purpose| Content::new(seed, purpose).bytes(64);
        assert_eq!(bytes(1, "a"), bytes(1, "a"));
        assert_ne!(bytes(1, "a"), bytes(1, "b"));
        assert_ne!(bytes(1, "a"), bytes(2, "a"));
        let uuid = Content::new(1, "a").uuid();
        assert_eq!(uuid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{uuid}");
    }

    #[test]
    fn a_blob_knows_its_bytes_across_its_pieces() {
        let pieces = ["abc", "defg"].map(|piece| Bytes::from_static(piece.as_bytes())).to_vec();
        let blob = Blob { hash: String::new(), size: 7, pieces };
        assert!(blob.has(0, b"abcdefg") && blob.has(2, b"cde") && blob.has(4, b"efg") && blob.has(7, b""));
        assert!(!blob.has(0, b"abd") && !blob.has(2, b"cdf") && !blob.has(5, b"fgh") && !blob.has(9, b"a"));
    }
}
