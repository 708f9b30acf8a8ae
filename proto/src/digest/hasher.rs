//! Hashes a blob piece by piece and counts its size. Knows nothing of files or streams.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::{Digest, DigestFunction};

/// A digest in the making.
#[derive(Clone)]
pub struct Hasher {
    state: State,
    size: u64,
}

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha1(Sha1),
    Md5(Md5),
    Sha384(Sha384),
    Sha512(Sha512),
    /// Boxed: its state is ten times that of the others.
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// Of no bytes yet.
    pub fn new(function: DigestFunction) -> Self {
        let state = match function {
            DigestFunction::Sha256 => State::Sha256(Sha256::new()),
            DigestFunction::Sha1 => State::Sha1(Sha1::new()),
            DigestFunction::Md5 => State::Md5(Md5::new()),
            DigestFunction::Sha384 => State::Sha384(Sha384::new()),
            DigestFunction::Sha512 => State::Sha512(Sha512::new()),
            DigestFunction::Blake3 => State::Blake3(Box::new(blake3::Hasher::new())),
        };
        Self { state, size: 0 }
    }

    /// The blob goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        match &mut self.state {
            State::Sha256(state) => state.update(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Md5(state) => state.update(bytes),
            State::Sha384(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
            State::Blake3(state) => {
                state.update(bytes);
            }
        }
    }

    /// How many bytes there were so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The blob is whole.
    pub fn finish(self) -> Digest {
        let size = self.size;
        match self.state {
            State::Sha256(state) => Digest::from_hash(DigestFunction::Sha256, &state.finalize(), size),
            State::Sha1(state) => Digest::from_hash(DigestFunction::Sha1, &state.finalize(), size),
            State::Md5(state) => Digest::from_hash(DigestFunction::Md5, &state.finalize(), size),
            State::Sha384(state) => Digest::from_hash(DigestFunction::Sha384, &state.finalize(), size),
            State::Sha512(state) => Digest::from_hash(DigestFunction::Sha512, &state.finalize(), size),
            State::Blake3(state) => Digest::from_hash(DigestFunction::Blake3, state.finalize().as_bytes(), size),
        }
    }
}
