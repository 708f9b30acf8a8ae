//! What encoded bytes decode and hash to, piece by piece. Knows no stores.

use millrace_proto::digest::{Digest, DigestFunction, Hasher};

use super::store::Encoding;
use super::zstd::{Decoder, ZstdError};
use crate::error::{Error, Result};

/// How much is decoded at a time before it is hashed: small enough to be in the processor's cache still.
const SCRATCH_BYTES: u64 = 128 * 1024;

/// Hashes the decoded form of what it is fed.
pub(super) struct Check {
    hasher: Hasher,
    /// With the room for decoded bytes.
    zstd: Option<(Decoder, Vec<u8>)>,
    limit: u64,
}

impl Check {
    /// Of a blob with `limit` decoded bytes at most.
    pub(super) fn new(function: DigestFunction, encoding: Encoding, limit: u64) -> Self {
        let zstd = match encoding {
            Encoding::Identity => None,
            Encoding::Zstd => {
                Some((Decoder::new(limit), Vec::with_capacity(limit.min(SCRATCH_BYTES - 1) as usize + 1)))
            }
        };
        Self { hasher: Hasher::new(function), zstd, limit }
    }

    /// The most bytes that may be gone over for `encoded` more ones.
    pub(super) fn cost(&self, encoded: usize) -> usize {
        match &self.zstd {
            None => encoded,
            Some((decoder, _)) => usize::try_from(self.limit - decoder.decoded()).unwrap_or(usize::MAX),
        }
    }

    /// The blob goes on with these encoded bytes.
    pub(super) fn update(&mut self, mut data: &[u8]) -> Result<()> {
        let Some((decoder, scratch)) = &mut self.zstd else {
            if data.len() as u64 > self.limit - self.hasher.size() {
                return Err(Error::invalid("data", format!("more than the {} bytes of the digest", self.limit)));
            }
            self.hasher.update(data);
            return Ok(());
        };
        loop {
            scratch.clear();
            decoder.decode(&mut data, scratch).map_err(|error| error.refused())?;
            self.hasher.update(scratch);
            if scratch.len() < scratch.capacity() {
                return Ok(());
            }
        }
    }

    /// What the decoded bytes so far hash to.
    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Whether the blob may end here.
    pub(super) fn finish(&self) -> Result<(), ZstdError> {
        self.zstd.as_ref().map_or(Ok(()), |(decoder, _)| decoder.finish())
    }

    /// Whether the blob ends here and is what was said.
    pub(super) fn is(&self, said: &Digest) -> Result<()> {
        self.finish().map_err(|error| error.refused())?;
        let found = self.digest();
        if found == *said {
            return Ok(());
        }
        Err(Error::invalid("digest", format!("the data is {found}, not {said} as the request says")))
    }
}
