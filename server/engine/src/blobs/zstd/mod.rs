//! zstd as blobs come and go in it: decoding that trusts nothing, encoding, and both for small blobs at once. Knows no
//! stores; the wire says "zstd" and means any number of frames, with or without their content's size.

mod decoder;
mod encoder;
#[cfg(test)]
mod tests;
mod whole;

pub use decoder::{Decoder, ZSTD_PADDING_MAX_BYTES, ZSTD_WINDOW_MAX_BYTES, ZstdError};
pub use encoder::{Encoder, ZSTD_LEVEL};
pub use whole::{compress, decompress, is_one_frame};
