//! Blobs as chunks and chunks as blobs.

use std::sync::Arc;

use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use crate::blobs::{BlobRoom, EntryStore};
use crate::error::{Error, Result};

/// The average chunk, in bytes: to be told to clients, who cut in the same places.
pub const CHUNK_AVERAGE_BYTES: usize = 512 * 1024;
/// The smallest chunk but for a blob's last, in bytes. A blob that is no longer is one chunk.
pub const CHUNK_MIN_BYTES: usize = CHUNK_AVERAGE_BYTES / 4;
/// The largest chunk, in bytes.
pub const CHUNK_MAX_BYTES: usize = CHUNK_AVERAGE_BYTES * 4;

/// Cuts blobs and puts them together.
pub struct Chunking {
    #[expect(dead_code)]
    room: Arc<BlobRoom>,
}

impl Chunking {
    /// For the blobs of a room; how they were cut is remembered as entries.
    pub fn new(_entries: Arc<dyn EntryStore>, room: Arc<BlobRoom>) -> Self {
        Self { room }
    }

    /// Cuts a blob by FastCDC (2020, normalization 2). All chunks are blobs when this returns. [`Error::NotFound`].
    pub async fn split(&self, _instance: &InstanceName, _blob: &Digest) -> Result<Vec<Digest>> {
        Err(Error::Unavailable("chunking is being built".into()))
    }

    /// Makes a blob of chunks. [`Error::NotFound`] for a chunk that is not here, [`Error::Invalid`] when the chunks don't
    /// make the blob that was expected. `function` is that of all digests.
    pub async fn splice(
        &self,
        _instance: &InstanceName,
        _function: DigestFunction,
        _expected: Option<Digest>,
        _chunks: &[Digest],
    ) -> Result<Digest> {
        Err(Error::Unavailable("chunking is being built".into()))
    }
}
