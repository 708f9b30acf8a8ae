//! Blobs as chunks and chunks as blobs: a client that has most of a large blob already moves only the rest. How a blob
//! was cut is remembered as an entry, so that it is read once.

mod cutter;
mod remembered;

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use self::cutter::{CUT_AT_ONCE_BYTES, Cutter};
use crate::blobs::{BlobRoom, Encoding, EntryStore, NewBlob};
use crate::error::{Error, Result};

pub use self::cutter::{CHUNK_AVERAGE_BYTES, CHUNK_MAX_BYTES, CHUNK_MIN_BYTES};

/// Of how many chunks a blob may be made.
pub const SPLICE_CHUNKS_MAX: usize = 1_000_000;

/// Cuts blobs and puts them together.
pub struct Chunking {
    entries: Arc<dyn EntryStore>,
    room: Arc<BlobRoom>,
}

impl Chunking {
    /// For the blobs of a room; how they were cut is remembered as entries.
    pub fn new(entries: Arc<dyn EntryStore>, room: Arc<BlobRoom>) -> Self {
        Self { entries, room }
    }

    /// Cuts a blob by FastCDC (2020, normalization 2). All chunks are blobs when this returns, and stay for a while.
    /// [`Error::NotFound`] when the blob is not here.
    pub async fn split(&self, instance: &InstanceName, blob: &Digest) -> Result<Vec<Digest>> {
        if !self.room.find_missing(instance, &[*blob]).await?.is_empty() {
            return Err(Error::NotFound(format!("blob {blob}")));
        }
        if blob.size() <= CHUNK_MIN_BYTES as u64 {
            return Ok(vec![*blob]);
        }
        let key = remembered::key(instance, blob);
        if let Some(value) = self.entries.get(&key).await?
            && let Some(chunks) = remembered::parse(blob, &value)
            && self.room.find_missing(instance, &chunks).await?.is_empty()
        {
            return Ok(chunks);
        }
        let chunks = self.cut(instance, blob).await?;
        if let Some(value) = remembered::write(&chunks) {
            self.entries.put(&key, value).await?;
        }
        Ok(chunks)
    }

    /// Makes a blob of chunks. [`Error::NotFound`] for a chunk that is not here, [`Error::Invalid`] when the chunks don't
    /// make the blob that was expected. `function` is that of all digests.
    pub async fn splice(
        &self,
        instance: &InstanceName,
        function: DigestFunction,
        expected: Option<Digest>,
        chunks: &[Digest],
    ) -> Result<Digest> {
        let size = self.check(expected.as_ref(), chunks)?;
        if let Some(expected) = expected
            && self.room.find_missing(instance, &[expected]).await?.is_empty()
        {
            return Ok(expected);
        }
        if let Some(missing) = self.room.find_missing(instance, chunks).await?.first() {
            return Err(Error::NotFound(format!("chunk {missing}")));
        }
        let mut receive = self.room.receive(instance, function, Encoding::Identity, Some(size)).await?;
        for chunk in chunks {
            let mut bytes = self.room.read(instance, chunk, Encoding::Identity, 0, None).await?;
            while let Some(piece) = bytes.next().await {
                receive.write(piece?).await?;
            }
        }
        receive.finish(expected).await
    }

    /// The size of what the chunks make, if it can be what is expected.
    fn check(&self, expected: Option<&Digest>, chunks: &[Digest]) -> Result<u64> {
        if chunks.len() > SPLICE_CHUNKS_MAX {
            let message = format!("{} chunks; the limit is {SPLICE_CHUNKS_MAX}", chunks.len());
            return Err(Error::invalid("chunk_digests", message));
        }
        let size = chunks.iter().map(Digest::size).fold(0, u64::saturating_add);
        let limit = self.room.limits().blob_max_bytes;
        if size > limit {
            return Err(Error::invalid("chunk_digests", format!("{size} bytes together; the limit is {limit}")));
        }
        match expected {
            Some(expected) if expected.size() != size => Err(Error::invalid(
                "blob_digest",
                format!("{expected} has {} bytes, its chunks have {size}", expected.size()),
            )),
            _ => Ok(size),
        }
    }

    /// Reads a blob, and stores its chunks.
    async fn cut(&self, instance: &InstanceName, blob: &Digest) -> Result<Vec<Digest>> {
        let mut bytes = self.room.read(instance, blob, Encoding::Identity, 0, None).await?;
        let mut cutter = Cutter::new(blob.function());
        let mut chunks = Vec::with_capacity(blob.size() as usize / CHUNK_AVERAGE_BYTES + 1);
        let mut size = 0;
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            size += piece.len() as u64;
            cutter.push(&piece);
            if cutter.held() >= CUT_AT_ONCE_BYTES {
                let cut = cutter.cut(false).await?;
                self.keep(instance, cut, &mut chunks).await?;
            }
        }
        if size != blob.size() {
            return Err(Error::Internal(format!("the blob {blob} was read as {size} bytes")));
        }
        let cut = cutter.cut(true).await?;
        self.keep(instance, cut, &mut chunks).await?;
        Ok(chunks)
    }

    /// Makes blobs of those chunks that are none yet.
    async fn keep(&self, instance: &InstanceName, cut: Vec<(Digest, Bytes)>, chunks: &mut Vec<Digest>) -> Result<()> {
        let digests: Vec<Digest> = cut.iter().map(|(digest, _)| *digest).collect();
        let mut missing = self.room.find_missing(instance, &digests).await?;
        let limit = self.room.limits().batch_max_bytes;
        let (mut batch, mut batch_bytes) = (Vec::new(), 0);
        for (digest, data) in cut {
            let Some(place) = missing.iter().position(|missing| *missing == digest) else { continue };
            missing.swap_remove(place);
            if batch_bytes + digest.size() > limit {
                self.write(instance, std::mem::take(&mut batch)).await?;
                batch_bytes = 0;
            }
            batch_bytes += digest.size();
            batch.push(NewBlob { digest, encoding: Encoding::Identity, data });
        }
        self.write(instance, batch).await?;
        chunks.extend(digests);
        Ok(())
    }

    async fn write(&self, instance: &InstanceName, batch: Vec<NewBlob>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.room.write_many(instance, batch).await?.into_iter().collect()
    }
}
