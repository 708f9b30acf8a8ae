//! A complete log as one file: standard zstd, so that `zstd -dc` prints it, and read from anywhere.
//!
//! ```text
//! for each piece of about a megabyte, of whole lines:
//!     zstd frame       the text, with a checksum
//!     skippable frame  the lines' words: flags and times by columns, compressed (words.rs)
//! skippable frame      whose log it is, its head, its marks, where each piece begins (index.rs), compressed
//! skippable frame      the seek table of the published seekable format, of all the frames before
//! ```
//! This module knows one file; when a log becomes one, and where it is kept, is its callers' business.

mod cache;
mod index;
mod read;
mod unpack;
mod words;
mod write;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use millrace_engine::logs::{LogHead, LogId, LogMark, MarkKind};

use crate::positioned::read_up_to;

pub use cache::FrameCache;
pub use read::SealedReader;
pub use write::write_sealed;

use cache::Piece;
use index::{FrameEntry, Index, SEEK_ENTRY_BYTES, SEEK_FOOTER_BYTES, SKIPPABLE_HEADER_BYTES};
use unpack::{packed_max_bytes, unpack};

/// A piece's text is never longer: a damaged file can't make anybody reserve more.
const FRAME_MAX_BYTES: usize = 64 * 1024 * 1024;
/// A piece has no more lines.
const FRAME_MAX_LINES: usize = 64 * 1024;

/// How hard zstd tries.
const ZSTD_LEVEL: i32 = 3;

/// A sealed log that is open.
pub struct SealedLog {
    id: LogId,
    head: LogHead,
    marks: Vec<LogMark>,
    frames: Vec<FrameEntry>,
    file: File,
    bytes: u64,
    cache: Arc<FrameCache>,
    /// What its pieces are called in the cache.
    number: u64,
}

impl SealedLog {
    /// Opens the file at `path`; none if there is no such file. `InvalidData` if it is damaged.
    pub fn open(path: &Path, cache: &Arc<FrameCache>) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = file.metadata()?.len();
        let Index { id, head, marks, frames } = read_index(&file, bytes)?;
        let marks =
            marks.iter().map(|mark| Some(LogMark { kind: MarkKind::from_number(mark & 0xFF)?, line: mark >> 8 }));
        let marks = marks.collect::<Option<_>>().ok_or_else(|| damaged("its marks can't be read"))?;
        Ok(Some(Self { id, head, marks, frames, file, bytes, cache: cache.clone(), number: cache.next_number() }))
    }

    /// Whose it is.
    pub fn id(&self) -> &LogId {
        &self.id
    }

    /// How far the log has come.
    pub fn head(&self) -> LogHead {
        self.head
    }

    /// How long the file is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads all of it; `InvalidData` if any of it is damaged.
    pub fn verify(&self) -> io::Result<()> {
        (0..self.frames.len()).try_for_each(|number| self.decompress(number).map(|_| ()))
    }

    /// A piece of the log.
    fn piece(&self, number: usize) -> io::Result<Arc<Piece>> {
        let key = (self.number, number);
        if let Some(piece) = self.cache.get(key) {
            return Ok(piece);
        }
        let piece = Arc::new(self.decompress(number)?);
        self.cache.put(key, &piece);
        Ok(piece)
    }

    fn decompress(&self, number: usize) -> io::Result<Piece> {
        let frame = &self.frames[number];
        let end = self.frames.get(number + 1).map_or(self.head.end(), |next| next.place);
        let (lines, text_len) = ((end.line - frame.place.line) as usize, (end.offset - frame.place.offset) as usize);
        let (text_packed, words_packed) = (frame.text_packed as usize, frame.words_packed as usize);
        let wrong = |what: &str| {
            let (from, to) = (frame.place.stream_offset(), end.stream_offset());
            damaged(&format!("bytes {from} to {to}, from line {} on, can't be read: {what}", frame.place.line))
        };
        if text_len > FRAME_MAX_BYTES || lines > FRAME_MAX_LINES {
            let limits = format!("the limits are {FRAME_MAX_BYTES} and {FRAME_MAX_LINES}");
            return Err(wrong(&format!("a piece of {text_len} bytes and {lines} lines, {limits}")));
        }
        let words_max = words::max_bytes(lines);
        if text_packed > packed_max_bytes(text_len) || words_packed > packed_max_bytes(words_max) {
            return Err(wrong("a piece is longer packed than it can be"));
        }
        let bytes = read_up_to(&self.file, frame.at, text_packed + SKIPPABLE_HEADER_BYTES + words_packed)?;
        let (Some(text), Some(words)) = (bytes.get(..text_packed), bytes.get(text_packed + SKIPPABLE_HEADER_BYTES..))
        else {
            return Err(wrong("the file is too short"));
        };
        let text = unpack(text, text_len).map_err(|error| wrong(&error.to_string()))?;
        let columns = unpack(words, words_max).map_err(|error| wrong(&error.to_string()))?;
        let words = words::decode(&columns, lines).ok_or_else(|| wrong("the lines' words can't be read"))?;
        if text.len() != text_len || memchr::memchr_iter(b'\n', &text).count() != lines || text.last() != Some(&b'\n') {
            return Err(wrong("it has other lines than it should have"));
        }
        Ok(Piece { text, words })
    }
}

/// Reads the index: before the seek table, which ends the file and tells how long it is.
fn read_index(file: &File, bytes: u64) -> io::Result<Index> {
    let short = || damaged("it is not a sealed log, or cut off");
    let tail = (SEEK_ENTRY_BYTES + SEEK_FOOTER_BYTES) as u64;
    let footer = read_up_to(file, bytes.checked_sub(tail).ok_or_else(short)?, tail as usize)?;
    let (table_bytes, packed) = index::read_seek_footer(&footer).ok_or_else(short)?;
    if packed > index::INDEX_FRAME_MAX_BYTES {
        let limit = index::INDEX_FRAME_MAX_BYTES;
        return Err(damaged(&format!("its index is said to have {packed} bytes, the limit is {limit}")));
    }
    let at = bytes.checked_sub(table_bytes + packed).ok_or_else(short)?;
    let frame = read_up_to(file, at, packed as usize)?;
    Index::decode(&frame).filter(|index| index.ends_at(at)).ok_or_else(|| damaged("its index can't be read"))
}

/// What is there is not what was written.
fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use millrace_engine::logs::LogPlace;

    use super::*;

    /// Its numbers add up, but there can be no such piece.
    #[test]
    fn a_piece_of_more_lines_than_there_can_be_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log-a.zst");
        let head = LogHead { bytes: 1 << 62, lines: 1 << 62, complete: true, ..LogHead::default() };
        let frame = FrameEntry { place: LogPlace::default(), at: 0, text_packed: 10, words_packed: 10, first_ms: 0 };
        let id = LogId::parse("a").unwrap();
        let index = Index { id, head, marks: Vec::new(), frames: vec![frame] }.encode().unwrap();
        let table = index::seek_table(&[(10, 1), (18, 0), (index.len() as u32, 0)]);
        std::fs::write(&path, [&[0; 28][..], &index, &table].concat()).unwrap();
        let log = SealedLog::open(&path, &Arc::default()).unwrap().unwrap();
        let error = log.verify().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("the limits are"), "{error}");
    }
}
