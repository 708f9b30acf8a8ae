//! What every [`BlobStore`] must do: the back ends and each wrapper. The digests are right and the zstd is real, so that
//! stores that look pass too.

mod existence;
mod keeping;
mod reading;
mod writing;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use crate::blobs::{BlobSource, BlobStore, Encoding, NewBlob, OpenBlob, zstd};

/// Runs the suite; `open` makes an empty store with room for 64 MiB.
pub async fn run<F: Future<Output = Arc<dyn BlobStore>>>(open: impl Fn() -> F) {
    existence::run(&open).await;
    keeping::run(&open).await;
    reading::run(&open).await;
    writing::run(&open).await;
}

/// Every function that a store may be asked for.
const FUNCTIONS: [DigestFunction; 6] = [
    DigestFunction::Sha256,
    DigestFunction::Sha1,
    DigestFunction::Md5,
    DigestFunction::Sha384,
    DigestFunction::Sha512,
    DigestFunction::Blake3,
];

/// An instance's name.
pub fn instance(name: &str) -> InstanceName {
    InstanceName::parse(name).expect("is an instance name")
}

/// Bytes that compress well, different for every `seed`.
pub fn text(seed: u64, len: usize) -> Bytes {
    let mut text = Vec::with_capacity(len + 4096);
    let mut line = 0_u64;
    while text.len() < len {
        text.extend_from_slice(format!("{seed}: line {line}\n").as_bytes());
        // Most of it repeats, or large ones would take the suite's time.
        let start = text.len().saturating_sub(64 + line as usize % 1000);
        text.extend_from_within(start..);
        line += 1;
    }
    text.truncate(len);
    text.into()
}

/// Bytes that don't compress, different for every `seed`.
pub fn noise(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut noise = BytesMut::with_capacity(len + 8);
    while noise.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    noise.truncate(len);
    noise.freeze()
}

/// The SHA-256 of these bytes.
pub fn sha256(data: &[u8]) -> Digest {
    Digest::of(DigestFunction::Sha256, data)
}

/// A blob as it is.
pub fn blob(data: &Bytes) -> NewBlob {
    NewBlob { digest: sha256(data), encoding: Encoding::Identity, data: data.clone() }
}

/// A blob as one zstd frame.
pub fn zstd_blob(data: &Bytes) -> NewBlob {
    let encoded = zstd::compress(data).expect("compresses");
    NewBlob { digest: sha256(data), encoding: Encoding::Zstd, data: encoded.into() }
}

/// Puts one blob.
pub async fn put(store: &dyn BlobStore, instance: &InstanceName, blob: NewBlob) {
    let answers = store.put(instance, vec![blob]).await;
    assert!(matches!(answers[..], [Ok(())]), "{answers:?}");
}

/// All bytes of a blob, decoded; none when it is not here.
pub async fn get(store: &dyn BlobStore, instance: &InstanceName, digest: &Digest) -> Option<Bytes> {
    let open = store.open(instance, digest).await.expect("opens")?;
    Some(decoded(&open, digest).await)
}

/// All bytes of an open blob, decoded.
pub async fn decoded(open: &OpenBlob, digest: &Digest) -> Bytes {
    let encoded = encoded(open).await;
    match open.encoding {
        Encoding::Identity => encoded,
        Encoding::Zstd => zstd::decompress(&encoded, digest.size()).expect("is zstd"),
    }
}

/// All bytes of an open blob as they are kept.
pub async fn encoded(open: &OpenBlob) -> Bytes {
    const PIECE: usize = 50_001;
    let all = match &open.source {
        BlobSource::Whole(data) => data.clone(),
        BlobSource::Pieces(pieces) => {
            let mut all = BytesMut::new();
            loop {
                let piece = pieces.read_at(all.len() as u64, PIECE).await.expect("reads");
                assert!(piece.len() <= PIECE, "{} bytes when {PIECE} were the most", piece.len());
                if piece.is_empty() {
                    break all.freeze();
                }
                all.extend_from_slice(&piece);
            }
        }
    };
    assert_eq!(all.len() as u64, open.stored_len, "stored_len is what can be read");
    all
}

/// Whether a blob is here, by all that can tell.
pub async fn has(store: &dyn BlobStore, instance: &InstanceName, digest: &Digest) -> bool {
    let here = store.missing(instance, &[*digest]).await.expect("looks").is_empty();
    let found = store.find(instance, digest.function(), digest.hash()).await.expect("looks");
    assert_eq!(found == Some(*digest), here, "find and missing say the same");
    let opened = store.open(instance, digest).await.expect("opens").is_some();
    assert_eq!(opened, here, "open and missing say the same");
    here
}
