//! A blob on its way in whose digest is not known beforehand. Knows nothing of hashing: a layer of the store does it.

use bytes::Bytes;
use millrace_proto::digest::Digest;

use crate::blobs::store::BlobWrite;
use crate::error::{Error, Result};

/// A blob on its way in. Dropped before `finish`, nothing is left of it.
pub struct Receive {
    pub(super) writer: Box<dyn BlobWrite>,
}

impl Receive {
    /// Takes the next encoded bytes.
    pub async fn write(&mut self, data: Bytes) -> Result<()> {
        self.writer.write(data).await
    }

    /// Makes the blob durable and visible, and says what it is called. With an `expected` digest that the bytes don't
    /// have: `Error::Invalid`, and nothing is left.
    pub async fn finish(mut self, expected: Option<Digest>) -> Result<Digest> {
        let digest = match expected.or_else(|| self.writer.digest()) {
            Some(digest) => digest,
            None => return Err(Error::Internal("no layer of the blob store hashes what is written".into())),
        };
        self.writer.commit(digest).await?;
        Ok(digest)
    }
}
