//! Two stores as one: what the first lacks is looked for in the second, copied into the first and served. The second is
//! written to only when a blob is removed. What comes from it is not hashed here: wrap it in [`super::Verified`] when it is not trusted.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::store::{BlobSource, BlobStore, BlobUsage, BlobWrite, Encoding, NewBlob, OpenBlob};
use crate::error::{Error, Result};

/// How much is copied at a time.
const COPY_PIECE_BYTES: usize = 1024 * 1024;

/// A store in front of another.
pub struct ReadThrough {
    first: Arc<dyn BlobStore>,
    second: Arc<dyn BlobStore>,
}

impl ReadThrough {
    /// `first` in front of `second`.
    pub fn new(first: Arc<dyn BlobStore>, second: Arc<dyn BlobStore>) -> Self {
        Self { first, second }
    }

    /// Copies a blob from the second store. Nothing when the first has no room for it or the second lost it meanwhile.
    async fn copy(&self, instance: &InstanceName, digest: &Digest, open: &OpenBlob) -> Result<()> {
        let pieces = match &open.source {
            BlobSource::Whole(data) => {
                let blob = NewBlob { digest: *digest, encoding: open.encoding, data: data.clone() };
                return self.first.put(instance, vec![blob]).await.pop().unwrap_or(Ok(()));
            }
            BlobSource::Pieces(pieces) => pieces,
        };
        let size = Some(digest.size());
        let mut writer = self.first.begin(instance, digest.function(), open.encoding, size).await?;
        let mut offset = 0;
        while offset < open.stored_len {
            let data = pieces.read_at(offset, COPY_PIECE_BYTES).await?;
            if data.is_empty() {
                return Err(Error::Internal(format!("{digest} is shorter than its store says")));
            }
            offset += data.len() as u64;
            writer.write(data).await?;
        }
        writer.commit(*digest).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for ReadThrough {
    async fn missing(&self, instance: &InstanceName, digests: &[Digest]) -> Result<Vec<Digest>> {
        let missing = self.first.missing(instance, digests).await?;
        if missing.is_empty() { Ok(missing) } else { self.second.missing(instance, &missing).await }
    }

    async fn find(&self, instance: &InstanceName, function: DigestFunction, hash: &[u8]) -> Result<Option<Digest>> {
        match self.first.find(instance, function, hash).await? {
            Some(digest) => Ok(Some(digest)),
            None => self.second.find(instance, function, hash).await,
        }
    }

    async fn open(&self, instance: &InstanceName, digest: &Digest) -> Result<Option<OpenBlob>> {
        if let Some(open) = self.first.open(instance, digest).await? {
            return Ok(Some(open));
        }
        let Some(open) = self.second.open(instance, digest).await? else { return Ok(None) };
        if let Err(error) = self.copy(instance, digest, &open).await {
            // It can be served all the same.
            tracing::warn!(%instance, %digest, %error, "a blob could not be copied from the second store");
        }
        Ok(Some(open))
    }

    async fn put(&self, instance: &InstanceName, blobs: Vec<NewBlob>) -> Vec<Result<()>> {
        self.first.put(instance, blobs).await
    }

    async fn begin(
        &self,
        instance: &InstanceName,
        function: DigestFunction,
        encoding: Encoding,
        size: Option<u64>,
    ) -> Result<Box<dyn BlobWrite>> {
        self.first.begin(instance, function, encoding, size).await
    }

    /// From both: a blob that is wrong must not come back.
    async fn remove(&self, instance: &InstanceName, digest: &Digest) -> Result<bool> {
        let first = self.first.remove(instance, digest).await?;
        Ok(self.second.remove(instance, digest).await? || first)
    }

    fn usage(&self) -> BlobUsage {
        self.first.usage()
    }
}
