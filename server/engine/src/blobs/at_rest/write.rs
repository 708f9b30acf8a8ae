//! A blob on its way in whose encoding is decided from its first bytes. Up to there it is held in memory; a blob that
//! ends before is settled as a small one.

use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::settle::{SAMPLE_BYTES, pays, sample_pays, settle};
use crate::blobs::offload::offload;
use crate::blobs::store::{BlobStore, BlobWrite, Encoding, NewBlob};
use crate::blobs::zstd::{Decoder, Encoder};
use crate::error::{Error, Result};

/// How many decoded bytes decide, and how many are decoded at a time.
const DECIDE_BYTES: usize = 1024 * 1024;
/// How far compressed bytes may go without as much as [`DECIDE_BYTES`] decoded ones before they are kept as they are.
const HELD_MAX_BYTES: usize = 2 * DECIDE_BYTES;

/// A blob on its way in.
pub(super) struct AtRestWrite {
    target: Target,
    encoding: Encoding,
    stage: Stage,
}

/// Where it goes.
struct Target {
    store: Arc<dyn BlobStore>,
    instance: InstanceName,
    function: DigestFunction,
    size: Option<u64>,
}

enum Stage {
    /// Not decided yet: all encoded bytes so far, and of zstd what they decode to.
    Held(BytesMut, Option<(Decoder, Vec<u8>)>),
    /// As they come.
    Pass(Box<dyn BlobWrite>),
    /// From zstd to identity.
    Decode(Decoder, Box<dyn BlobWrite>),
    /// From identity to zstd.
    Encode(Encoder, Box<dyn BlobWrite>),
    /// A write failed or was broken off.
    Broken,
}

impl AtRestWrite {
    pub(super) fn new(
        store: Arc<dyn BlobStore>,
        instance: InstanceName,
        function: DigestFunction,
        encoding: Encoding,
        size: Option<u64>,
    ) -> Self {
        let decoder = match encoding {
            Encoding::Identity => None,
            Encoding::Zstd => Some((Decoder::new(size.unwrap_or(u64::MAX)), Vec::new())),
        };
        let target = Target { store, instance, function, size };
        Self { target, encoding, stage: Stage::Held(BytesMut::new(), decoder) }
    }
}

impl Target {
    async fn begin(&self, encoding: Encoding) -> Result<Box<dyn BlobWrite>> {
        self.store.begin(&self.instance, self.function, encoding, self.size).await
    }

    async fn hold(&self, mut held: BytesMut, decoder: Option<(Decoder, Vec<u8>)>, data: Bytes) -> Result<Stage> {
        held.extend_from_slice(&data);
        let Some((mut decoder, mut decoded)) = decoder else {
            if held.len() < SAMPLE_BYTES {
                return Ok(Stage::Held(held, None));
            }
            let held = held.freeze();
            let sample = held.clone();
            if !offload(SAMPLE_BYTES, move || sample_pays(&sample)).await?? {
                let mut writer = self.begin(Encoding::Identity).await?;
                writer.write(held).await?;
                return Ok(Stage::Pass(writer));
            }
            return encode(Encoder::new(self.size)?, self.begin(Encoding::Zstd).await?, held).await;
        };
        // One byte more than decides: a blob of just that size is a small one.
        let room = self.size.map_or(DECIDE_BYTES, |size| size.min(DECIDE_BYTES as u64) as usize) + 1;
        let (decoder, decoded, rest) = offload(room, move || {
            let mut input = &data[..];
            decoded.reserve_exact(room - decoded.len());
            let result = decoder.decode(&mut input, &mut decoded);
            result.map(|()| (decoder, decoded, data.slice(data.len() - input.len()..)))
        })
        .await?
        .map_err(|error| error.refused())?;
        let used = (held.len() - rest.len()) as u64;
        if decoded.len() < room && held.len() <= HELD_MAX_BYTES {
            return Ok(Stage::Held(held, Some((decoder, decoded))));
        }
        if pays(used, decoded.len() as u64) {
            let mut writer = self.begin(Encoding::Zstd).await?;
            writer.write(held.freeze()).await?;
            return Ok(Stage::Pass(writer));
        }
        let mut writer = self.begin(Encoding::Identity).await?;
        writer.write(decoded.into()).await?;
        decode(decoder, writer, rest).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobWrite for AtRestWrite {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        self.stage = match mem::replace(&mut self.stage, Stage::Broken) {
            Stage::Held(held, decoder) => self.target.hold(held, decoder, data).await?,
            Stage::Pass(mut writer) => {
                writer.write(data).await?;
                Stage::Pass(writer)
            }
            Stage::Decode(decoder, writer) => decode(decoder, writer, data).await?,
            Stage::Encode(encoder, writer) => encode(encoder, writer, data).await?,
            Stage::Broken => return Err(broken()),
        };
        Ok(())
    }

    /// What goes on has another form, and comes later: only the layers outside know.
    fn digest(&mut self) -> Option<Digest> {
        None
    }

    async fn commit(self: Box<Self>, digest: Digest) -> Result<()> {
        match self.stage {
            Stage::Held(held, _) => {
                let blob = NewBlob { digest, encoding: self.encoding, data: held.freeze() };
                let blob = offload(digest.size() as usize, move || settle(blob, true)).await??;
                self.target.store.put(&self.target.instance, vec![blob]).await.pop().unwrap_or(Ok(()))
            }
            Stage::Pass(writer) => writer.commit(digest).await,
            Stage::Decode(decoder, writer) => {
                decoder.finish().map_err(|error| error.refused())?;
                writer.commit(digest).await
            }
            Stage::Encode(mut encoder, mut writer) => {
                let mut out = Vec::new();
                encoder.finish(&mut out)?;
                writer.write(out.into()).await?;
                writer.commit(digest).await
            }
            Stage::Broken => Err(broken()),
        }
    }
}

async fn decode(mut decoder: Decoder, mut writer: Box<dyn BlobWrite>, mut data: Bytes) -> Result<Stage> {
    loop {
        // Input that is short makes little, or is a bomb: then a small buffer bounds what is done at once.
        let room = data.len().saturating_mul(8).clamp(64 * 1024, DECIDE_BYTES);
        let (back, out, rest) = offload(room, move || {
            let (mut input, mut out) = (&data[..], Vec::with_capacity(room));
            let result = decoder.decode(&mut input, &mut out);
            result.map(|()| (decoder, out, data.slice(data.len() - input.len()..)))
        })
        .await?
        .map_err(|error| error.refused())?;
        let full = out.len() == out.capacity();
        if !out.is_empty() {
            writer.write(out.into()).await?;
        }
        (decoder, data) = (back, rest);
        if !full {
            return Ok(Stage::Decode(decoder, writer));
        }
    }
}

async fn encode(mut encoder: Encoder, mut writer: Box<dyn BlobWrite>, data: Bytes) -> Result<Stage> {
    // Compressing is about four times as slow as hashing.
    let cost = data.len().saturating_mul(4);
    let work = move || {
        let mut out = Vec::new();
        encoder.encode(&data, &mut out).map(|()| (encoder, out))
    };
    let (encoder, out) = offload(cost, work).await??;
    if !out.is_empty() {
        writer.write(out.into()).await?;
    }
    Ok(Stage::Encode(encoder, writer))
}

fn broken() -> Error {
    Error::Internal("a blob was written to after a write that failed or was broken off".into())
}
