//! The bytes of a stream out of its lines: line ends that are not the writer's are left out. Knows nothing of where lines
//! are kept.

use std::io;

use millrace_engine::logs::{LogLines, LogPlace};

/// Lines are read at least so many bytes at a time.
const READ_BYTES: usize = 64 * 1024;

/// So many bytes from `offset` on, all of them there. The first is in the line at `place`; `lines` reads whole lines from a
/// place on, at most so many bytes but one line at least.
pub fn unjoined(
    mut place: LogPlace,
    offset: u64,
    len: usize,
    lines: impl Fn(LogPlace, usize) -> io::Result<LogLines>,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    let mut skip = (offset - place.stream_offset()) as usize;
    while bytes.len() < len {
        let lines = lines(place, READ_BYTES.max(skip + len - bytes.len()))?;
        if lines.data.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        place = lines.end();
        let more = lines.stream_bytes();
        let from = skip.min(more.len());
        skip -= from;
        let to = more.len().min(from + len - bytes.len());
        bytes.extend_from_slice(&more[from..to]);
    }
    Ok(bytes)
}
