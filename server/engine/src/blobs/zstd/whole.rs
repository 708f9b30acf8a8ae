//! zstd for blobs that are in memory whole.

use bytes::Bytes;
use zstd::zstd_safe::{find_frame_compressed_size, get_frame_content_size};

use super::decoder::{Decoder, ZstdError};
use super::encoder::Encoder;
use crate::error::Result;

/// How much memory is taken ahead of what really comes: sizes are claims.
const AHEAD_BYTES: u64 = 1024 * 1024;

/// Decodes a blob of `size` bytes at most.
pub fn decompress(data: &[u8], size: u64) -> Result<Bytes, ZstdError> {
    let mut decoder = Decoder::new(size);
    // One byte more than is good, so that the last one is not mistaken for a full buffer.
    let mut out = Vec::with_capacity(size.min(AHEAD_BYTES) as usize + 1);
    let mut input = data;
    loop {
        decoder.decode(&mut input, &mut out)?;
        if out.len() < out.capacity() {
            break;
        }
        out.reserve((size - out.len() as u64).min(AHEAD_BYTES) as usize + 1);
    }
    decoder.finish()?;
    Ok(out.into())
}

/// Encodes a blob as one frame that says its size.
pub fn compress(data: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(data.len() / 2 + 64);
    let mut encoder = Encoder::new(Some(data.len() as u64))?;
    encoder.encode(data, &mut out)?;
    encoder.finish(&mut out)?;
    Ok(out)
}

/// Whether these bytes are one frame that says it has `size` bytes: what every reader can decode at once.
pub fn is_one_frame(data: &[u8], size: u64) -> bool {
    matches!(get_frame_content_size(data), Ok(Some(said)) if said == size)
        && find_frame_compressed_size(data) == Ok(data.len())
}
