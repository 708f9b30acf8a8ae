//! Decodes zstd piece by piece and trusts none of it: no more memory than the window's limit, no byte more than was
//! declared, nothing but frames.

use zstd::zstd_safe::{self, DCtx, DParameter, InBuffer, OutBuffer};

use crate::error::Error;

/// The largest window a frame may ask for: what every decoder must support at least, and what `zstd -19` uses. It is
/// the most memory that a decoder takes, whatever sizes a header declares.
pub const ZSTD_WINDOW_MAX_BYTES: usize = 1 << WINDOW_LOG_MAX;
const WINDOW_LOG_MAX: u32 = 23;
/// How many encoded bytes there may be above twice the decoded ones. Bytes that don't compress grow by less than 1 % and
/// a few bytes a frame; without an end to it, empty frames would be taken for ever.
pub const ZSTD_PADDING_MAX_BYTES: u64 = 64 * 1024;

/// Why bytes are not the zstd that they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZstdError {
    /// More decoded bytes than declared or allowed.
    #[error("the zstd data decodes to more than {0} bytes")]
    TooLong(u64),
    /// So many encoded bytes that most of them must be empty frames.
    #[error("more than {0} bytes of zstd data for less than half as many decoded ones")]
    Padding(u64),
    /// A window over [`ZSTD_WINDOW_MAX_BYTES`].
    #[error("a zstd frame needs a window of more than {ZSTD_WINDOW_MAX_BYTES} bytes")]
    Window,
    /// The last frame is not whole.
    #[error("the zstd data ends in the middle of a frame")]
    Truncated,
    /// No frame, or a broken one.
    #[error("no valid zstd data: {0}")]
    Broken(&'static str),
}

impl ZstdError {
    /// The error of one who was sent these bytes.
    pub fn refused(&self) -> Error {
        Error::invalid("data", self.to_string())
    }
}

/// Decodes any number of frames.
pub struct Decoder {
    context: DCtx<'static>,
    /// The most decoded bytes.
    limit: u64,
    encoded: u64,
    decoded: u64,
    /// Whether the last frame lacks its end.
    open: bool,
    /// Whether the context may hold decoded bytes that did not fit the last buffer.
    pending: bool,
}

impl Decoder {
    /// A decoder that gives at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        let mut context = DCtx::create();
        // Refused only for values out of range.
        let _ = context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX));
        Self { context, limit, encoded: 0, decoded: 0, open: false, pending: false }
    }

    /// How many bytes were decoded.
    pub fn decoded(&self) -> u64 {
        self.decoded
    }

    /// Decodes from the front of `input` to the end of `out`, until the one is empty or the other has no room left. When
    /// `out` is full there may be more to come, even without input.
    pub fn decode(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), ZstdError> {
        while out.len() < out.capacity() && (!input.is_empty() || self.pending) {
            let start = out.len();
            let mut from = InBuffer::around(input);
            let mut to = OutBuffer::around_pos(out, start);
            let hint = self.context.decompress_stream(&mut to, &mut from).map_err(broken)?;
            let taken = from.pos();
            *input = &input[taken..];
            let made = out.len() - start;
            self.encoded += taken as u64;
            self.decoded += made as u64;
            if self.decoded > self.limit {
                return Err(ZstdError::TooLong(self.limit));
            }
            let encoded_limit = self.limit.saturating_mul(2).saturating_add(ZSTD_PADDING_MAX_BYTES);
            if self.encoded > encoded_limit {
                return Err(ZstdError::Padding(encoded_limit));
            }
            // Without a byte in or out, a frame just ended before.
            if taken > 0 || made > 0 {
                self.open = hint != 0;
            }
            self.pending = out.len() == out.capacity() && self.open;
        }
        Ok(())
    }

    /// The end of the input: it must be that of a frame too.
    pub fn finish(&self) -> Result<(), ZstdError> {
        if self.open { Err(ZstdError::Truncated) } else { Ok(()) }
    }
}

fn broken(code: zstd_safe::ErrorCode) -> ZstdError {
    match zstd_safe::get_error_name(code) {
        "Frame requires too much memory for decoding" => ZstdError::Window,
        name => ZstdError::Broken(name),
    }
}
