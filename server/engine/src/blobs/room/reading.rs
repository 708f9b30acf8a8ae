//! Reads blobs: many small ones, one whole, or a part of one as a stream. The empty blob is read without a look.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;

use super::BlobRoom;
use super::pipeline::{Pipeline, READ_PIECE_BYTES, lost};
use super::stream::BlobStream;
use crate::blobs::offload::offload;
use crate::blobs::store::{BlobSource, Encoding, OpenBlob};
use crate::blobs::zstd::{compress, decompress};
use crate::error::{Error, Result};

/// How many blobs of a batch are read at the same time.
const BATCH_READS_AT_ONCE: usize = 8;

impl BlobRoom {
    /// Reads small blobs, in the order asked. Fails as a whole only when they are more than a batch may hold
    /// (`Error::Invalid`). A blob comes as zstd only when that is how it is kept and `accept_zstd` says so.
    pub async fn read_many(
        &self,
        instance: &InstanceName,
        digests: &[Digest],
        accept_zstd: bool,
    ) -> Result<Vec<Result<(Encoding, Bytes)>>> {
        self.check_batch("digests", digests.iter().map(Digest::size))?;
        let mut answers = Vec::with_capacity(digests.len());
        let mut reads = FuturesOrdered::new();
        for digest in digests {
            if reads.len() == BATCH_READS_AT_ONCE {
                answers.extend(reads.next().await);
            }
            reads.push_back(self.read_small(instance, digest, accept_zstd));
        }
        while let Some(answer) = reads.next().await {
            answers.push(answer);
        }
        Ok(answers)
    }

    /// All bytes of a small blob, decoded. [`Error::NotFound`]; [`Error::Invalid`] when it has more than `max_bytes`.
    pub async fn whole(&self, instance: &InstanceName, digest: &Digest, max_bytes: u64) -> Result<Bytes> {
        if digest.size() > max_bytes {
            let message = format!("{} bytes; the limit here is {max_bytes}", digest.size());
            return Err(Error::invalid("digest.size_bytes", message));
        }
        self.read_small(instance, digest, false).await.map(|(_, data)| data)
    }

    /// Reads a blob in the encoding wanted, from `offset` of its decoded bytes on. `limit` is in decoded bytes and goes
    /// with identity only. [`Error::NotFound`]; [`Error::Range`] when `offset` is past the end.
    pub async fn read(
        &self,
        instance: &InstanceName,
        digest: &Digest,
        want: Encoding,
        offset: u64,
        limit: Option<u64>,
    ) -> Result<BlobStream> {
        let size = digest.size();
        if want == Encoding::Zstd && limit.is_some() {
            return Err(Error::invalid("read_limit", "must be 0 when a compressed blob is read"));
        }
        let open = if digest.is_empty() {
            OpenBlob { encoding: Encoding::Identity, stored_len: 0, source: BlobSource::Whole(Bytes::new()) }
        } else {
            self.open(instance, digest).await?
        };
        if offset > size {
            return Err(Error::Range(format!("read_offset: {offset} is past the end of the blob's {size} bytes")));
        }
        let len = limit.unwrap_or(u64::MAX).min(size - offset);
        match open {
            OpenBlob { encoding, source: BlobSource::Whole(data), .. } if size <= READ_PIECE_BYTES as u64 => {
                let whole = offset == 0 && len == size;
                if encoding == want && whole {
                    return Ok(BlobStream::last(data));
                }
                let part = offset as usize..(offset + len) as usize;
                let plain = self.decoded(instance, digest, encoding, data).await?.slice(part);
                if want == Encoding::Identity {
                    return Ok(BlobStream::last(plain));
                }
                // Compressing is about four times as slow as hashing.
                let encoded = offload(plain.len() * 4, move || compress(&plain)).await??;
                Ok(BlobStream::last(encoded.into()))
            }
            open => {
                let pipeline = Pipeline::new(&self.store, instance, digest, open, want, (offset, len))?;
                BlobStream::begin(Box::new(pipeline)).await
            }
        }
    }

    async fn read_small(
        &self,
        instance: &InstanceName,
        digest: &Digest,
        accept_zstd: bool,
    ) -> Result<(Encoding, Bytes)> {
        if digest.is_empty() {
            return Ok((Encoding::Identity, Bytes::new()));
        }
        let OpenBlob { encoding, stored_len, source } = self.open(instance, digest).await?;
        let data = match source {
            BlobSource::Whole(data) => data,
            BlobSource::Pieces(pieces) => {
                let mut all = Vec::with_capacity(stored_len as usize);
                while (all.len() as u64) < stored_len {
                    match pieces.read_at(all.len() as u64, READ_PIECE_BYTES).await {
                        Ok(piece) if piece.is_empty() => {
                            return Err(Error::Internal(format!("blob {digest} is shorter than its store says")));
                        }
                        Ok(piece) => all.extend_from_slice(&piece),
                        Err(error) => return Err(lost(&self.store, instance, digest, error).await),
                    }
                }
                all.into()
            }
        };
        match encoding {
            Encoding::Zstd if accept_zstd => Ok((encoding, data)),
            _ => Ok((Encoding::Identity, self.decoded(instance, digest, encoding, data).await?)),
        }
    }

    async fn open(&self, instance: &InstanceName, digest: &Digest) -> Result<OpenBlob> {
        match self.store.open(instance, digest).await {
            Ok(Some(open)) => Ok(open),
            Ok(None) => Err(not_found(digest)),
            Err(error) => Err(lost(&self.store, instance, digest, error).await),
        }
    }

    /// The decoded bytes of a small blob. One that can't be right is dropped, so that its client heals it.
    async fn decoded(
        &self,
        instance: &InstanceName,
        digest: &Digest,
        encoding: Encoding,
        data: Bytes,
    ) -> Result<Bytes> {
        let size = digest.size();
        let decoded = match encoding {
            Encoding::Identity => Ok(data),
            Encoding::Zstd => offload(size as usize, move || decompress(&data, size)).await?,
        };
        match decoded {
            Ok(decoded) if decoded.len() as u64 == size => Ok(decoded),
            wrong => {
                tracing::error!(%instance, %digest, error = ?wrong.err(), "a kept blob has another size; it is dropped");
                self.store.remove(instance, digest).await?;
                Err(not_found(digest))
            }
        }
    }
}

fn not_found(digest: &Digest) -> Error {
    Error::NotFound(format!("blob {digest}"))
}
