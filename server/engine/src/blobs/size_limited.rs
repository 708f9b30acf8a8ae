//! Refuses blobs over a size, before their bytes are read wherever the size is known. Knows nothing else of blobs.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::store::{BlobStore, BlobUsage, BlobWrite, Encoding, NewBlob, OpenBlob};
use crate::error::{Error, Result};

/// A store of blobs of a limited size.
pub struct SizeLimited {
    inner: Arc<dyn BlobStore>,
    max_bytes: u64,
}

impl SizeLimited {
    /// Around another store; `max_bytes` are decoded ones.
    pub fn new(inner: Arc<dyn BlobStore>, max_bytes: u64) -> Self {
        Self { inner, max_bytes }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for SizeLimited {
    async fn missing(&self, instance: &InstanceName, digests: &[Digest]) -> Result<Vec<Digest>> {
        self.inner.missing(instance, digests).await
    }

    async fn find(&self, instance: &InstanceName, function: DigestFunction, hash: &[u8]) -> Result<Option<Digest>> {
        self.inner.find(instance, function, hash).await
    }

    async fn open(&self, instance: &InstanceName, digest: &Digest) -> Result<Option<OpenBlob>> {
        self.inner.open(instance, digest).await
    }

    async fn put(&self, instance: &InstanceName, mut blobs: Vec<NewBlob>) -> Vec<Result<()>> {
        let allowed: Vec<Result<()>> = blobs.iter().map(|blob| check(blob.digest.size(), self.max_bytes)).collect();
        if allowed.iter().all(Result::is_ok) {
            return self.inner.put(instance, blobs).await;
        }
        blobs.retain(|blob| blob.digest.size() <= self.max_bytes);
        let mut kept = self.inner.put(instance, blobs).await.into_iter();
        allowed.into_iter().map(|allowed| allowed.and_then(|()| kept.next().unwrap_or(Ok(())))).collect()
    }

    async fn begin(
        &self,
        instance: &InstanceName,
        function: DigestFunction,
        encoding: Encoding,
        size: Option<u64>,
    ) -> Result<Box<dyn BlobWrite>> {
        let (inner, max_bytes) = (&self.inner, self.max_bytes);
        if let Some(size) = size {
            check(size, max_bytes)?;
            // Layers within hold it to that size.
            return inner.begin(instance, function, encoding, Some(size)).await;
        }
        let inner = inner.begin(instance, function, encoding, None).await?;
        Ok(Box::new(SizeLimitedWrite { inner, encoded: 0, max_bytes }))
    }

    async fn remove(&self, instance: &InstanceName, digest: &Digest) -> Result<bool> {
        self.inner.remove(instance, digest).await
    }

    fn usage(&self) -> BlobUsage {
        self.inner.usage()
    }
}

/// A blob whose size is not known before its end.
struct SizeLimitedWrite {
    inner: Box<dyn BlobWrite>,
    encoded: u64,
    max_bytes: u64,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobWrite for SizeLimitedWrite {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        self.encoded += data.len() as u64;
        // Bytes that compression made more than the limit are too many too.
        check(self.encoded, self.max_bytes)?;
        self.inner.write(data).await?;
        check(self.inner.digest().map_or(0, |digest| digest.size()), self.max_bytes)
    }

    fn digest(&mut self) -> Option<Digest> {
        self.inner.digest()
    }

    async fn commit(self: Box<Self>, digest: Digest) -> Result<()> {
        check(digest.size(), self.max_bytes)?;
        self.inner.commit(digest).await
    }
}

fn check(size: u64, max_bytes: u64) -> Result<()> {
    if size > max_bytes {
        return Err(Error::invalid("digest.size_bytes", format!("{size} bytes; the limit is {max_bytes}")));
    }
    Ok(())
}
