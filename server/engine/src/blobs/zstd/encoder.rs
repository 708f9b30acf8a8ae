//! Encodes as one zstd frame, piece by piece. Knows nothing of what is worth compressing.

use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, get_error_name};

use crate::error::{Error, Result};

/// The level of everything this server compresses: the fastest of the plain ones. A cache writes as often as it reads,
/// and the next levels cost twice the time for a twentieth of the size.
pub const ZSTD_LEVEL: i32 = 1;
/// How much room for output is made at once.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Encodes one frame.
pub struct Encoder(CCtx<'static>);

impl Encoder {
    /// An encoder for `size` bytes, if that is known: then the frame says so, and a decoder can count on it.
    pub fn new(size: Option<u64>) -> Result<Self> {
        let mut context = CCtx::create();
        context.set_parameter(CParameter::CompressionLevel(ZSTD_LEVEL)).map_err(failed)?;
        context.set_parameter(CParameter::ContentSizeFlag(true)).map_err(failed)?;
        context.set_pledged_src_size(size).map_err(failed)?;
        Ok(Self(context))
    }

    /// Encodes all of `input`; what is ready comes to the end of `out`.
    pub fn encode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut from = InBuffer::around(input);
        while from.pos() < input.len() {
            let start = room(out);
            self.0.compress_stream(&mut OutBuffer::around_pos(out, start), &mut from).map_err(failed)?;
        }
        Ok(())
    }

    /// The rest of the frame. Fails when there were not as many bytes as were announced.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        loop {
            let start = room(out);
            if self.0.end_stream(&mut OutBuffer::around_pos(out, start)).map_err(failed)? == 0 {
                return Ok(());
            }
        }
    }
}

/// Makes room at the end of `out`. Where that end is.
fn room(out: &mut Vec<u8>) -> usize {
    if out.len() == out.capacity() {
        out.reserve(OUTPUT_BYTES);
    }
    out.len()
}

fn failed(code: usize) -> Error {
    Error::internal(format_args!("zstd: {}", get_error_name(code)))
}
