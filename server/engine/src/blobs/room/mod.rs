//! All that clients may do with blobs, on top of a store with its wrappers: checks a batch's size, reads in any encoding
//! from any offset, takes uploads piece by piece and keeps unfinished ones for their clients to come back. Knows no wire
//! and no files.

mod read;
mod receive;
mod upload;

use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::store::{BlobStore, BlobUsage, Encoding, NewBlob};
use crate::clock::Clock;
use crate::error::{Error, Result};

pub use read::BlobStream;
pub use receive::Receive;
pub use upload::{Upload, UploadName, UploadStart, UploadStatus, UploadStep};

/// The default of [`BlobLimits::blob_max_bytes`].
pub const BLOB_MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// The default of [`BlobLimits::batch_max_bytes`]: gRPC clients take messages of 4 MiB; the rest is for digests and tags.
pub const BATCH_MAX_BYTES: u64 = 4 * 1024 * 1024 - 64 * 1024;

/// How much of what there may be.
#[derive(Clone, Debug)]
pub struct BlobLimits {
    /// The largest blob, in decoded bytes.
    pub blob_max_bytes: u64,
    /// The most decoded bytes of all blobs in a batch.
    pub batch_max_bytes: u64,
}

impl Default for BlobLimits {
    fn default() -> Self {
        Self { blob_max_bytes: BLOB_MAX_BYTES, batch_max_bytes: BATCH_MAX_BYTES }
    }
}

/// The room. One for the process; its store is one that verifies what is written.
pub struct BlobRoom {
    store: Arc<dyn BlobStore>,
    limits: BlobLimits,
    #[expect(dead_code)]
    clock: Arc<dyn Clock>,
}

impl BlobRoom {
    /// A room on a store.
    pub fn new(store: Arc<dyn BlobStore>, limits: BlobLimits, clock: Arc<dyn Clock>) -> Self {
        Self { store, limits, clock }
    }

    /// The limits, to be told to clients.
    pub fn limits(&self) -> &BlobLimits {
        &self.limits
    }

    /// What is kept now.
    pub fn usage(&self) -> BlobUsage {
        self.store.usage()
    }

    /// Those of the digests that are not here, each once. The others have been used.
    pub async fn find_missing(&self, instance: &InstanceName, digests: &[Digest]) -> Result<Vec<Digest>> {
        let mut missing = self.store.missing(instance, digests).await?;
        missing.retain(|digest| !digest.is_empty());
        Ok(missing)
    }

    /// The digest of the blob with this hash, if it is here.
    pub async fn find(&self, instance: &InstanceName, function: DigestFunction, hash: &[u8]) -> Result<Option<Digest>> {
        let empty = Digest::empty(function);
        if hash == empty.hash() {
            return Ok(Some(empty));
        }
        self.store.find(instance, function, hash).await
    }

    /// Reads small blobs, in the order asked. Fails as a whole only when they are more than a batch may hold
    /// (`Error::Invalid`). A blob comes as zstd only when that is how it is kept and `accept_zstd` says so.
    pub async fn read_many(
        &self,
        _instance: &InstanceName,
        digests: &[Digest],
        _accept_zstd: bool,
    ) -> Result<Vec<Result<(Encoding, Bytes)>>> {
        self.check_batch("digests", digests.iter().map(Digest::size))?;
        Err(Error::Unavailable("reading is being built".into()))
    }

    /// Keeps small blobs, durable when this returns; the answers are in the order of the blobs. Fails as a whole only
    /// when they are more than a batch may hold (`Error::Invalid`).
    pub async fn write_many(&self, instance: &InstanceName, blobs: Vec<NewBlob>) -> Result<Vec<Result<()>>> {
        self.check_batch("requests", blobs.iter().map(|blob| blob.digest.size().max(blob.data.len() as u64)))?;
        Ok(self.store.put(instance, blobs).await)
    }

    /// Reads a blob in the encoding wanted, from `offset` of its decoded bytes on. `limit` is in decoded bytes and goes
    /// with identity only. [`Error::NotFound`]; [`Error::Range`] when `offset` is past the end.
    pub async fn read(
        &self,
        _instance: &InstanceName,
        _digest: &Digest,
        _want: Encoding,
        _offset: u64,
        _limit: Option<u64>,
    ) -> Result<BlobStream> {
        Err(Error::Unavailable("reading is being built".into()))
    }

    /// All bytes of a small blob, decoded. [`Error::NotFound`]; [`Error::Exhausted`] when it has more than `max_bytes`.
    pub async fn whole(&self, _instance: &InstanceName, _digest: &Digest, _max_bytes: u64) -> Result<Bytes> {
        Err(Error::Unavailable("reading is being built".into()))
    }

    /// Begins an upload, or goes on with one that was left unfinished.
    pub async fn upload(&self, _name: UploadName, _write_offset: u64) -> Result<UploadStart> {
        Err(Error::Unavailable("uploading is being built".into()))
    }

    /// How far an upload is. [`Error::NotFound`] when there is neither the upload nor the blob.
    pub async fn upload_status(&self, _name: &UploadName) -> Result<UploadStatus> {
        Err(Error::Unavailable("uploading is being built".into()))
    }

    /// Begins to take a blob whose digest is known at its end only, or is checked by the caller. `size` is that of the
    /// decoded bytes.
    pub async fn receive(
        &self,
        instance: &InstanceName,
        function: DigestFunction,
        encoding: Encoding,
        size: Option<u64>,
    ) -> Result<Receive> {
        Ok(Receive { writer: self.store.begin(instance, function, encoding, size).await? })
    }

    fn check_batch(&self, field: &'static str, sizes: impl Iterator<Item = u64>) -> Result<()> {
        let (total, limit) = (sizes.fold(0, u64::saturating_add), self.limits.batch_max_bytes);
        if total > limit {
            return Err(Error::invalid(field, format!("{total} bytes together; the limit of a batch is {limit}")));
        }
        Ok(())
    }
}
