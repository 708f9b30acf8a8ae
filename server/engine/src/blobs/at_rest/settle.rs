//! How a blob that is in memory whole is to be kept.

use crate::blobs::store::{Encoding, NewBlob};
use crate::blobs::zstd::{compress, decompress, is_one_frame};
use crate::error::Result;

/// Blobs below are not compressed: the frame's header and the work are more than what is saved.
const COMPRESS_MIN_BYTES: u64 = 256;
/// How much of a blob is compressed to see whether it pays.
pub(super) const SAMPLE_BYTES: usize = 128 * 1024;

/// Whether `encoded` bytes in place of `decoded` ones are worth the work of decoding: a tenth less at least.
pub(super) fn pays(encoded: u64, decoded: u64) -> bool {
    encoded.saturating_mul(10) <= decoded.saturating_mul(9)
}

/// Whether a sample from the start of a blob says that compressing pays.
pub(super) fn sample_pays(start: &[u8]) -> Result<bool> {
    let sample = &start[..start.len().min(SAMPLE_BYTES)];
    Ok(pays(compress(sample)?.len() as u64, sample.len() as u64))
}

/// Whether a blob is kept as it came; cheap to know.
pub(super) fn as_it_is(blob: &NewBlob, compress: bool) -> bool {
    let size = blob.digest.size();
    match blob.encoding {
        Encoding::Identity => !compress || size < COMPRESS_MIN_BYTES,
        Encoding::Zstd => pays(blob.data.len() as u64, size) && is_one_frame(&blob.data, size),
    }
}

/// The blob as it is to be kept: one frame that says its size, or no zstd at all.
pub(super) fn settle(blob: NewBlob, compress_too: bool) -> Result<NewBlob> {
    if as_it_is(&blob, compress_too) {
        return Ok(blob);
    }
    let size = blob.digest.size();
    let (decoded, try_zstd) = match blob.encoding {
        Encoding::Identity => {
            let pays = sample_pays(&blob.data)?;
            (blob.data, pays)
        }
        Encoding::Zstd => {
            let pays = pays(blob.data.len() as u64, size);
            (decompress(&blob.data, size).map_err(|error| error.refused())?, pays)
        }
    };
    if try_zstd {
        let data = compress(&decoded)?;
        if pays(data.len() as u64, size) {
            return Ok(NewBlob { digest: blob.digest, encoding: Encoding::Zstd, data: data.into() });
        }
    }
    Ok(NewBlob { digest: blob.digest, encoding: Encoding::Identity, data: decoded })
}
