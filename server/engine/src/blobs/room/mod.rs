//! All that clients may do with blobs, on top of a store with its wrappers: checks a batch's size, reads in any encoding
//! from any offset, takes uploads piece by piece and keeps unfinished ones for their clients to come back. Knows no wire
//! and no files.

mod limits;
mod open_uploads;
mod pipeline;
mod reading;
mod receive;
mod sink;
mod stream;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::Arc;

use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::store::{BlobStore, BlobUsage, Encoding, NewBlob};
use crate::clock::Clock;
use crate::error::{Error, Result};

pub use limits::{
    BATCH_MAX_BYTES, BLOB_MAX_BYTES, BlobLimits, PARKED_UPLOADS_MAX, PARKED_UPLOADS_MAX_BYTES, PARKED_UPLOADS_MAX_MS,
};
use open_uploads::OpenUploads;
pub use receive::Receive;
use sink::Sink;
pub use stream::BlobStream;
pub use upload::{Upload, UploadName, UploadStart, UploadStatus, UploadStep};

/// The room. One for the process. Its store is one that verifies what is written.
pub struct BlobRoom {
    store: Arc<dyn BlobStore>,
    limits: BlobLimits,
    uploads: Arc<OpenUploads>,
}

impl BlobRoom {
    /// A room on a store.
    pub fn new(store: Arc<dyn BlobStore>, limits: BlobLimits, clock: Arc<dyn Clock>) -> Self {
        let uploads = Arc::new(OpenUploads::new(limits.clone(), clock));
        Self { store, limits, uploads }
    }

    /// The limits, to be told to clients.
    pub fn limits(&self) -> &BlobLimits {
        &self.limits
    }

    /// What is kept now.
    pub fn usage(&self) -> BlobUsage {
        self.store.usage()
    }

    /// Lets go of uploads that were left unfinished too long ago. Every upload does that too; this is for quiet times.
    pub fn expire_uploads(&self) {
        self.uploads.expire();
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

    /// Keeps small blobs, durable when this returns; the answers are in the order of the blobs. Fails as a whole only
    /// when they are more than a batch may hold (`Error::Invalid`).
    pub async fn write_many(&self, instance: &InstanceName, blobs: Vec<NewBlob>) -> Result<Vec<Result<()>>> {
        self.check_batch("requests", blobs.iter().map(|blob| blob.digest.size().max(blob.data.len() as u64)))?;
        // Only open uploads want to know, and mostly there are none of these.
        let digests: Vec<Digest> =
            if self.uploads.any() { blobs.iter().map(|blob| blob.digest).collect() } else { Vec::new() };
        let answers = self.store.put(instance, blobs).await;
        for (digest, answer) in digests.iter().zip(&answers) {
            if answer.is_ok() {
                self.uploads.completed(instance, digest);
            }
        }
        Ok(answers)
    }

    /// Drops a blob. Whether it was here; the empty blob is always.
    pub async fn remove(&self, instance: &InstanceName, digest: &Digest) -> Result<bool> {
        self.store.remove(instance, digest).await
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
        let sink = Sink::open(&self.store, instance, function, encoding, size).await?;
        Ok(Receive::new(sink, instance.clone(), Arc::clone(&self.uploads)))
    }

    async fn has(&self, instance: &InstanceName, digest: &Digest) -> Result<bool> {
        Ok(digest.is_empty() || self.store.missing(instance, &[*digest]).await?.is_empty())
    }

    fn check_batch(&self, field: &'static str, sizes: impl Iterator<Item = u64>) -> Result<()> {
        let (total, limit) = (sizes.fold(0, u64::saturating_add), self.limits.batch_max_bytes);
        if total > limit {
            return Err(Error::invalid(field, format!("{total} bytes together; the limit of a batch is {limit}")));
        }
        Ok(())
    }
}
