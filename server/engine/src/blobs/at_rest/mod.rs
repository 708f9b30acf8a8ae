//! Decides in which encoding blobs are kept: as zstd where that pays, so that readers who accept it get them as they are.
//! What arrives as zstd and does not pay is kept decoded. Trusts what it is given: the layer that verifies is outside.

mod settle;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::offload::offload;
use super::store::{BlobStore, BlobUsage, BlobWrite, Encoding, NewBlob, OpenBlob};
use crate::error::{Error, Result};
use settle::{as_it_is, settle};
use write::AtRestWrite;

/// A store that keeps blobs compressed where it pays.
pub struct AtRest {
    inner: Arc<dyn BlobStore>,
    compress: bool,
}

impl AtRest {
    /// Around another store. With `compress`, blobs that arrive as they are get compressed too, where a sample says that
    /// it pays: less disk for more work at each write and each read by those who don't accept zstd.
    pub fn new(inner: Arc<dyn BlobStore>, compress: bool) -> Self {
        Self { inner, compress }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for AtRest {
    async fn missing(&self, instance: &InstanceName, digests: &[Digest]) -> Result<Vec<Digest>> {
        self.inner.missing(instance, digests).await
    }

    async fn find(&self, instance: &InstanceName, function: DigestFunction, hash: &[u8]) -> Result<Option<Digest>> {
        self.inner.find(instance, function, hash).await
    }

    async fn open(&self, instance: &InstanceName, digest: &Digest) -> Result<Option<OpenBlob>> {
        self.inner.open(instance, digest).await
    }

    async fn put(&self, instance: &InstanceName, blobs: Vec<NewBlob>) -> Vec<Result<()>> {
        let compress = self.compress;
        if blobs.iter().all(|blob| as_it_is(blob, compress)) {
            return self.inner.put(instance, blobs).await;
        }
        let (count, cost) = (blobs.len(), blobs.iter().map(|blob| blob.digest.size() as usize).sum());
        let work = move || blobs.into_iter().map(|blob| settle(blob, compress)).collect::<Vec<_>>();
        let settled = match offload(cost, work).await {
            Ok(settled) => settled,
            Err(error) => return (0..count).map(|_| Err(Error::Unavailable(error.to_string()))).collect(),
        };
        let mut good = Vec::with_capacity(count);
        let answers: Vec<Result<()>> = settled.into_iter().map(|settled| settled.map(|blob| good.push(blob))).collect();
        let mut kept = self.inner.put(instance, good).await.into_iter();
        answers.into_iter().map(|answer| answer.and_then(|()| kept.next().unwrap_or(Ok(())))).collect()
    }

    async fn begin(
        &self,
        instance: &InstanceName,
        function: DigestFunction,
        encoding: Encoding,
        size: Option<u64>,
    ) -> Result<Box<dyn BlobWrite>> {
        if encoding == Encoding::Identity && !self.compress {
            return self.inner.begin(instance, function, encoding, size).await;
        }
        let store = Arc::clone(&self.inner);
        Ok(Box::new(AtRestWrite::new(store, instance.clone(), function, encoding, size)))
    }

    async fn remove(&self, instance: &InstanceName, digest: &Digest) -> Result<bool> {
        self.inner.remove(instance, digest).await
    }

    fn usage(&self) -> BlobUsage {
        self.inner.usage()
    }
}
