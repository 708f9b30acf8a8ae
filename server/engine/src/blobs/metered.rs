//! Counts what passes. Knows nothing of where the figures go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::store::{BlobRead, BlobSource, BlobStore, BlobUsage, BlobWrite, Encoding, NewBlob, OpenBlob};
use crate::error::Result;

/// Who wants to know which instance's bytes pass, as they pass.
pub trait BlobTraffic: Send + Sync + 'static {
    /// Encoded bytes of a blob were read.
    fn read(&self, instance: &InstanceName, bytes: u64);
    /// Encoded bytes of a blob were written.
    fn written(&self, instance: &InstanceName, bytes: u64);
}

/// What passed since the start, as encoded bytes. Each figure is read by itself.
#[derive(Default)]
pub struct BlobMeter {
    /// Who is told besides.
    traffic: Option<Arc<dyn BlobTraffic>>,
    /// Digests asked for by existence.
    pub asked: AtomicU64,
    /// Those that were missing.
    pub missing: AtomicU64,
    /// Blobs opened to be read.
    pub hits: AtomicU64,
    /// Blobs that were not here to be read.
    pub misses: AtomicU64,
    /// Bytes read.
    pub read_bytes: AtomicU64,
    /// Blobs made durable.
    pub written: AtomicU64,
    /// Bytes written, also of blobs that were not finished.
    pub written_bytes: AtomicU64,
    /// Writes and commits that failed.
    pub refused: AtomicU64,
    /// Blobs removed.
    pub removed: AtomicU64,
}

/// A store whose use is counted.
pub struct Metered {
    inner: Arc<dyn BlobStore>,
    meter: Arc<BlobMeter>,
}

impl Metered {
    /// Around another store.
    pub fn new(inner: Arc<dyn BlobStore>, meter: Arc<BlobMeter>) -> Self {
        Self { inner, meter }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for Metered {
    async fn missing(&self, instance: &InstanceName, digests: &[Digest]) -> Result<Vec<Digest>> {
        let missing = self.inner.missing(instance, digests).await?;
        self.meter.asked.fetch_add(digests.len() as u64, Relaxed);
        self.meter.missing.fetch_add(missing.len() as u64, Relaxed);
        Ok(missing)
    }

    async fn find(&self, instance: &InstanceName, function: DigestFunction, hash: &[u8]) -> Result<Option<Digest>> {
        let found = self.inner.find(instance, function, hash).await?;
        self.meter.asked.fetch_add(1, Relaxed);
        self.meter.missing.fetch_add(u64::from(found.is_none()), Relaxed);
        Ok(found)
    }

    async fn open(&self, instance: &InstanceName, digest: &Digest) -> Result<Option<OpenBlob>> {
        let Some(mut open) = self.inner.open(instance, digest).await? else {
            self.meter.misses.fetch_add(1, Relaxed);
            return Ok(None);
        };
        self.meter.hits.fetch_add(1, Relaxed);
        open.source = match open.source {
            BlobSource::Whole(data) => {
                self.meter.read(instance, data.len());
                BlobSource::Whole(data)
            }
            BlobSource::Pieces(inner) => BlobSource::Pieces(Box::new(MeteredRead {
                inner,
                meter: Arc::clone(&self.meter),
                instance: instance.clone(),
            })),
        };
        Ok(Some(open))
    }

    async fn put(&self, instance: &InstanceName, blobs: Vec<NewBlob>) -> Vec<Result<()>> {
        let bytes: usize = blobs.iter().map(|blob| blob.data.len()).sum();
        let answers = self.inner.put(instance, blobs).await;
        let written = answers.iter().filter(|answer| answer.is_ok()).count();
        self.meter.written.fetch_add(written as u64, Relaxed);
        self.meter.wrote(instance, bytes);
        self.meter.refused.fetch_add((answers.len() - written) as u64, Relaxed);
        answers
    }

    async fn begin(
        &self,
        instance: &InstanceName,
        function: DigestFunction,
        encoding: Encoding,
        size: Option<u64>,
    ) -> Result<Box<dyn BlobWrite>> {
        let inner = self.meter.answer(self.inner.begin(instance, function, encoding, size).await)?;
        Ok(Box::new(MeteredWrite { inner, meter: Arc::clone(&self.meter), instance: instance.clone() }))
    }

    async fn remove(&self, instance: &InstanceName, digest: &Digest) -> Result<bool> {
        let removed = self.inner.remove(instance, digest).await?;
        self.meter.removed.fetch_add(u64::from(removed), Relaxed);
        Ok(removed)
    }

    fn usage(&self) -> BlobUsage {
        self.inner.usage()
    }
}

impl BlobMeter {
    /// All at zero; who is told is told of each instance's bytes.
    pub fn telling(traffic: Arc<dyn BlobTraffic>) -> Self {
        Self { traffic: Some(traffic), ..Self::default() }
    }

    fn read(&self, instance: &InstanceName, bytes: usize) {
        self.read_bytes.fetch_add(bytes as u64, Relaxed);
        if let Some(traffic) = &self.traffic {
            traffic.read(instance, bytes as u64);
        }
    }

    fn wrote(&self, instance: &InstanceName, bytes: usize) {
        self.written_bytes.fetch_add(bytes as u64, Relaxed);
        if let Some(traffic) = &self.traffic {
            traffic.written(instance, bytes as u64);
        }
    }

    fn answer<T>(&self, answer: Result<T>) -> Result<T> {
        self.refused.fetch_add(u64::from(answer.is_err()), Relaxed);
        answer
    }
}

struct MeteredRead {
    inner: Box<dyn BlobRead>,
    meter: Arc<BlobMeter>,
    instance: InstanceName,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobRead for MeteredRead {
    async fn read_at(&self, offset: u64, max: usize) -> Result<Bytes> {
        let data = self.inner.read_at(offset, max).await?;
        self.meter.read(&self.instance, data.len());
        Ok(data)
    }
}

struct MeteredWrite {
    inner: Box<dyn BlobWrite>,
    meter: Arc<BlobMeter>,
    instance: InstanceName,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobWrite for MeteredWrite {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        let bytes = data.len();
        self.meter.answer(self.inner.write(data).await)?;
        self.meter.wrote(&self.instance, bytes);
        Ok(())
    }

    fn digest(&mut self) -> Option<Digest> {
        self.inner.digest()
    }

    async fn commit(self: Box<Self>, digest: Digest) -> Result<()> {
        self.meter.answer(self.inner.commit(digest).await)?;
        self.meter.written.fetch_add(1, Relaxed);
        Ok(())
    }
}
