//! From the bytes that are kept to the bytes that were asked for, a piece at a time: decoded, cut to the part wanted,
//! encoded, as far as each is needed.

use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;

use crate::blobs::offload::offload;
use crate::blobs::store::{BlobSource, BlobStore, Encoding, OpenBlob};
use crate::blobs::zstd::{Decoder, Encoder, ZstdError};
use crate::error::{Error, Result};

/// How much is read, decoded and sent at a time. Compressing is done on the runtime's blocking threads, since a piece
/// takes some milliseconds.
pub(super) const READ_PIECE_BYTES: usize = 1024 * 1024;

/// Makes the pieces of a blob.
pub(super) struct Pipeline {
    store: Arc<dyn BlobStore>,
    instance: InstanceName,
    digest: Digest,
    kept: Kept,
    decode: Option<Decode>,
    encode: Option<Encoder>,
    ended: bool,
}

/// The encoded bytes that are still to be read.
struct Kept {
    source: BlobSource,
    offset: u64,
    end: u64,
}

struct Decode {
    /// Away while a piece is decoded.
    decoder: Option<Decoder>,
    /// Read and not decoded yet.
    input: Bytes,
    /// Decoded bytes before those that are wanted.
    skip: u64,
    /// Decoded bytes that are wanted.
    left: u64,
}

impl Pipeline {
    /// The part of an open blob from `offset` on, `len` bytes of it, both decoded, in the encoding `want`.
    pub(super) fn new(
        store: &Arc<dyn BlobStore>,
        instance: &InstanceName,
        digest: &Digest,
        open: OpenBlob,
        want: Encoding,
        (offset, len): (u64, u64),
    ) -> Result<Self> {
        let mut kept = Kept { source: open.source, offset: 0, end: open.stored_len };
        let mut decode = None;
        let as_kept = open.encoding == want && offset == 0 && len == digest.size();
        match open.encoding {
            Encoding::Identity => (kept.offset, kept.end) = (offset, offset + len),
            Encoding::Zstd if as_kept => {}
            Encoding::Zstd => {
                let decoder = Some(Decoder::new(digest.size()));
                decode = Some(Decode { decoder, input: Bytes::new(), skip: offset, left: len });
            }
        }
        let encode = if want == Encoding::Zstd && !as_kept { Some(Encoder::new(Some(len))?) } else { None };
        let (store, instance, digest) = (Arc::clone(store), instance.clone(), *digest);
        Ok(Self { store, instance, digest, kept, decode, encode, ended: false })
    }

    /// Whether the last piece was made.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// The next piece, not empty; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.make().await {
            Ok(piece) => Ok(piece),
            Err(error) => {
                self.ended = true;
                Err(lost(&self.store, &self.instance, &self.digest, error).await)
            }
        }
    }

    async fn make(&mut self) -> Result<Option<Bytes>> {
        while !self.ended {
            let plain = match &mut self.decode {
                None => self.kept.next().await?,
                Some(decode) => match decode.next(&mut self.kept).await? {
                    Ok(piece) => piece,
                    Err(error) => return Err(self.wrong(&error).await),
                },
            };
            self.ended = match &self.decode {
                None => plain.is_none() || self.kept.offset == self.kept.end,
                Some(decode) => plain.is_none() || decode.left == 0,
            };
            let Some(mut encoder) = self.encode.take() else { return Ok(plain) };
            let (plain, ended) = (plain.unwrap_or_default(), self.ended);
            // Slow enough to be sent away always.
            let (encoder, out) = offload(usize::MAX, move || {
                let mut out = Vec::new();
                encoder.encode(&plain, &mut out)?;
                if ended {
                    encoder.finish(&mut out)?;
                }
                Ok::<_, Error>((encoder, out))
            })
            .await??;
            self.encode = Some(encoder);
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
        Ok(None)
    }

    /// What is kept is no zstd of as many bytes as the digest says.
    async fn wrong(&self, error: &ZstdError) -> Error {
        tracing::error!(instance = %self.instance, digest = %self.digest, %error, "a kept blob can't be decoded; it is dropped");
        match self.store.remove(&self.instance, &self.digest).await {
            Ok(_) => Error::Internal(format!("blob {}: {error}", self.digest)),
            Err(error) => error,
        }
    }
}

impl Kept {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let left = self.end - self.offset;
        let max = left.min(READ_PIECE_BYTES as u64) as usize;
        if max == 0 {
            return Ok(None);
        }
        let data = match &self.source {
            BlobSource::Whole(data) => data.slice(self.offset as usize..self.offset as usize + max),
            BlobSource::Pieces(pieces) => pieces.read_at(self.offset, max).await?,
        };
        if data.is_empty() {
            return Err(Error::Internal(format!("{left} bytes are missing at the end of a kept blob")));
        }
        self.offset += data.len() as u64;
        Ok(Some(data))
    }
}

impl Decode {
    /// The next piece that is wanted.
    async fn next(&mut self, kept: &mut Kept) -> Result<Result<Option<Bytes>, ZstdError>> {
        let mut out = Vec::new();
        while self.left > 0 {
            if self.input.is_empty() {
                self.input = kept.next().await?.unwrap_or_default();
            }
            let Some(mut decoder) = self.decoder.take() else {
                return Err(Error::Internal("a blob was read from after a read that failed".into()));
            };
            let (input, ended) = (self.input.clone(), kept.offset == kept.end);
            if out.capacity() == 0 {
                out.reserve_exact(READ_PIECE_BYTES);
            }
            let decoded = offload(READ_PIECE_BYTES, move || {
                let mut rest = &input[..];
                decoder.decode(&mut rest, &mut out)?;
                if ended && rest.is_empty() && out.len() < out.capacity() {
                    decoder.finish()?;
                }
                Ok((decoder, out, input.slice(input.len() - rest.len()..)))
            });
            let (decoder, decoded, rest) = match decoded.await? {
                Ok(decoded) => decoded,
                Err(error) => return Ok(Err(error)),
            };
            let full = decoded.len() == decoded.capacity();
            self.decoder = Some(decoder);
            (self.input, out) = (rest, decoded);
            if full || (ended && self.input.is_empty()) {
                let skipped = self.skip.min(out.len() as u64);
                self.skip -= skipped;
                let wanted = self.left.min(out.len() as u64 - skipped);
                self.left -= wanted;
                if wanted > 0 {
                    let piece = Bytes::from(out).slice(skipped as usize..(skipped + wanted) as usize);
                    return Ok(Ok(Some(piece)));
                }
                if !full {
                    return Ok(Err(ZstdError::Truncated));
                }
                out.clear();
            }
        }
        Ok(Ok(None))
    }
}

/// What a failed read means: a blob that its store has dropped meanwhile, because it was damaged, is not here.
pub(super) async fn lost(store: &Arc<dyn BlobStore>, instance: &InstanceName, digest: &Digest, error: Error) -> Error {
    match store.missing(instance, &[*digest]).await {
        Ok(missing) if !missing.is_empty() => Error::NotFound(format!("blob {digest}")),
        _ => error,
    }
}
