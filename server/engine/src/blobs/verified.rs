//! Hashes all that is written, and what is read where asked: nothing is kept or served under a digest that it does not
//! have. Knows nothing of how the bytes are kept.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::check::Check;
use super::offload::offload;
use super::store::{BlobSource, BlobStore, BlobUsage, BlobWrite, Encoding, NewBlob, OpenBlob};
use crate::error::{Error, Result};

/// How much is read at a time to be hashed before it is served.
const VERIFY_PIECE_BYTES: usize = 1024 * 1024;

/// What is done about blobs that rot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyReads {
    /// The store's own checksums are trusted: they find what a disk does, at the cost of nothing.
    #[default]
    Checksums,
    /// Every blob is hashed before it is served.
    Always,
}

/// A store of blobs that are what their digests say.
pub struct Verified {
    inner: Arc<dyn BlobStore>,
    reads: VerifyReads,
}

impl Verified {
    /// Around another store.
    pub fn new(inner: Arc<dyn BlobStore>, reads: VerifyReads) -> Self {
        Self { inner, reads }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for Verified {
    async fn missing(&self, instance: &InstanceName, digests: &[Digest]) -> Result<Vec<Digest>> {
        self.inner.missing(instance, digests).await
    }

    async fn find(&self, instance: &InstanceName, function: DigestFunction, hash: &[u8]) -> Result<Option<Digest>> {
        self.inner.find(instance, function, hash).await
    }

    async fn open(&self, instance: &InstanceName, digest: &Digest) -> Result<Option<OpenBlob>> {
        let Some(open) = self.inner.open(instance, digest).await? else { return Ok(None) };
        if self.reads == VerifyReads::Checksums {
            return Ok(Some(open));
        }
        match verify(&open, digest).await {
            Ok(true) => Ok(Some(open)),
            Ok(false) => {
                tracing::error!(%instance, %digest, "a blob was not what its digest says; it is dropped");
                self.inner.remove(instance, digest).await?;
                Ok(None)
            }
            // A store that finds damage by itself has dropped the blob.
            Err(_) if !self.inner.missing(instance, &[*digest]).await?.is_empty() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn put(&self, instance: &InstanceName, blobs: Vec<NewBlob>) -> Vec<Result<()>> {
        let cost = blobs.iter().map(|blob| blob.data.len().max(blob.digest.size() as usize)).sum();
        let count = blobs.len();
        let checked = offload(cost, move || {
            let answers: Vec<Result<()>> = blobs.iter().map(check).collect();
            (blobs, answers)
        });
        let (mut blobs, mut answers) = match checked.await {
            Ok(checked) => checked,
            Err(error) => return (0..count).map(|_| Err(Error::Unavailable(error.to_string()))).collect(),
        };
        if answers.iter().any(Result::is_err) {
            let mut each = answers.iter();
            blobs.retain(|_| each.next().is_some_and(Result::is_ok));
        }
        if !blobs.is_empty() {
            let kept = self.inner.put(instance, blobs).await;
            for (answer, kept) in answers.iter_mut().filter(|answer| answer.is_ok()).zip(kept) {
                *answer = kept;
            }
        }
        answers
    }

    async fn begin(
        &self,
        instance: &InstanceName,
        function: DigestFunction,
        encoding: Encoding,
        size: Option<u64>,
    ) -> Result<Box<dyn BlobWrite>> {
        let inner = self.inner.begin(instance, function, encoding, size).await?;
        let check = Some(Check::new(function, encoding, size.unwrap_or(u64::MAX)));
        Ok(Box::new(VerifiedWrite { inner, check }))
    }

    async fn remove(&self, instance: &InstanceName, digest: &Digest) -> Result<bool> {
        self.inner.remove(instance, digest).await
    }

    fn usage(&self) -> BlobUsage {
        self.inner.usage()
    }
}

struct VerifiedWrite {
    inner: Box<dyn BlobWrite>,
    /// Away while a piece is gone over, and for good once that was broken off or failed.
    check: Option<Check>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobWrite for VerifiedWrite {
    /// Hashes and writes at the same time; meanwhile the connection takes the next piece from the network.
    async fn write(&mut self, data: Bytes) -> Result<()> {
        let mut check = self.check.take().ok_or_else(broken_off)?;
        let (cost, bytes) = (check.cost(data.len()), data.clone());
        let checked = offload(cost, move || check.update(&bytes).map(|()| check));
        let (checked, written) = tokio::join!(checked, self.inner.write(data));
        self.check = Some(checked??);
        written
    }

    fn digest(&mut self) -> Option<Digest> {
        self.check.as_ref().map(Check::digest)
    }

    async fn commit(self: Box<Self>, digest: Digest) -> Result<()> {
        self.check.ok_or_else(broken_off)?.is(&digest)?;
        self.inner.commit(digest).await
    }
}

fn check(blob: &NewBlob) -> Result<()> {
    let mut check = Check::new(blob.digest.function(), blob.encoding, blob.digest.size());
    if blob.encoding == Encoding::Zstd || blob.data.len() as u64 == blob.digest.size() {
        check.update(&blob.data)?;
        return check.is(&blob.digest);
    }
    let (found, said) = (blob.data.len(), blob.digest);
    Err(Error::invalid("digest", format!("the data has {found} bytes, not {} as {said} says", said.size())))
}

async fn verify(open: &OpenBlob, digest: &Digest) -> Result<bool> {
    let mut check = Check::new(digest.function(), open.encoding, digest.size());
    let mut offset = 0;
    while offset < open.stored_len {
        let data = match &open.source {
            BlobSource::Whole(data) => data.clone(),
            BlobSource::Pieces(pieces) => pieces.read_at(offset, VERIFY_PIECE_BYTES).await?,
        };
        if data.is_empty() {
            return Ok(false);
        }
        offset += data.len() as u64;
        let cost = check.cost(data.len());
        match offload(cost, move || check.update(&data).map(|()| check)).await? {
            Ok(more) => check = more,
            Err(_) => return Ok(false),
        }
    }
    Ok(check.is(digest).is_ok())
}

fn broken_off() -> Error {
    Error::Internal("a blob was written to after a write that failed or was broken off".into())
}
