//! Where the bytes of a blob go on their way in: small ones are gathered in memory and put at their end, which many share
//! one commit for; others go to the store as they come. Knows no names and no offsets.

use std::mem;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use crate::blobs::store::{BlobStore, BlobWrite, Encoding, NewBlob};
use crate::blobs::zstd::{ZSTD_PADDING_MAX_BYTES, ZstdError, decompress};
use crate::error::{Error, Result};

/// Blobs up to this size are gathered in memory.
pub(super) const GATHER_MAX_BYTES: u64 = 256 * 1024;

/// A blob on its way in.
pub(super) enum Sink {
    Gather(Gather),
    Store(Box<dyn BlobWrite>),
}

pub(super) struct Gather {
    store: Arc<dyn BlobStore>,
    instance: InstanceName,
    function: DigestFunction,
    encoding: Encoding,
    size: u64,
    held: Held,
}

/// Most small blobs come in one piece, which need not be copied.
enum Held {
    One(Bytes),
    Many(BytesMut),
}

impl Sink {
    pub(super) async fn open(
        store: &Arc<dyn BlobStore>,
        instance: &InstanceName,
        function: DigestFunction,
        encoding: Encoding,
        size: Option<u64>,
    ) -> Result<Self> {
        let (store, instance) = (Arc::clone(store), instance.clone());
        match size {
            Some(size) if size <= GATHER_MAX_BYTES => {
                let held = Held::One(Bytes::new());
                Ok(Self::Gather(Gather { store, instance, function, encoding, size, held }))
            }
            _ => Ok(Self::Store(store.begin(&instance, function, encoding, size).await?)),
        }
    }

    pub(super) async fn write(&mut self, data: Bytes) -> Result<()> {
        match self {
            Self::Gather(gather) => gather.write(data),
            Self::Store(writer) => writer.write(data).await,
        }
    }

    /// What the bytes so far hash to.
    pub(super) fn digest(&mut self) -> Result<Digest> {
        match self {
            Self::Gather(gather) => gather.digest(),
            Self::Store(writer) => writer
                .digest()
                .ok_or_else(|| Error::Internal("no layer of the blob store hashes what is written".into())),
        }
    }

    pub(super) async fn commit(self, digest: Digest) -> Result<()> {
        match self {
            Self::Gather(gather) => {
                let blob = NewBlob { digest, encoding: gather.encoding, data: gather.held.freeze() };
                gather.store.put(&gather.instance, vec![blob]).await.pop().unwrap_or(Ok(()))
            }
            Self::Store(writer) => writer.commit(digest).await,
        }
    }
}

impl Gather {
    fn write(&mut self, data: Bytes) -> Result<()> {
        let limit = match self.encoding {
            Encoding::Identity => self.size,
            Encoding::Zstd => self.size * 2 + ZSTD_PADDING_MAX_BYTES,
        };
        if self.held.len() + data.len() as u64 > limit {
            return Err(match self.encoding {
                Encoding::Identity => Error::invalid("data", format!("more than the {limit} bytes of the digest")),
                Encoding::Zstd => ZstdError::Padding(limit).refused(),
            });
        }
        match &mut self.held {
            Held::One(held) if held.is_empty() => *held = data,
            Held::One(held) => {
                let mut many = BytesMut::with_capacity(held.len() + data.len());
                many.extend_from_slice(&mem::take(held));
                many.extend_from_slice(&data);
                self.held = Held::Many(many);
            }
            Held::Many(held) => held.extend_from_slice(&data),
        }
        Ok(())
    }

    fn digest(&self) -> Result<Digest> {
        let data = match &self.held {
            Held::One(held) => &held[..],
            Held::Many(held) => held,
        };
        match self.encoding {
            Encoding::Identity => Ok(Digest::of(self.function, data)),
            Encoding::Zstd => {
                let decoded = decompress(data, self.size).map_err(|error| error.refused())?;
                Ok(Digest::of(self.function, &decoded))
            }
        }
    }
}

impl Held {
    fn len(&self) -> u64 {
        match self {
            Self::One(held) => held.len() as u64,
            Self::Many(held) => held.len() as u64,
        }
    }

    fn freeze(self) -> Bytes {
        match self {
            Self::One(held) => held,
            Self::Many(held) => held.freeze(),
        }
    }
}
