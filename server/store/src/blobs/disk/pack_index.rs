//! The headers of a pack once more, in a file beside it, so that a start need not read the pack. It is never synced: one
//! that is not whole does not count, and the pack is read instead.
//!
//! ```text
//! headers, 44 bytes each | magic  8 u32 pack number  12 u32 count  16 u64 length of the pack  24 u32 crc of all before
//! ```

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::record::{HEADER_BYTES, Header};

const MAGIC: [u8; 8] = *b"MRPIDX1\n";
/// What the file takes beside the headers.
pub const INDEX_FOOT_BYTES: u64 = 28;

/// The path of a pack's index.
pub fn index_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08x}.index"))
}

/// Writes an index while its pack is written.
pub struct IndexWriter {
    number: u32,
    path: PathBuf,
    /// None after something failed: then there will be no index.
    file: Option<BufWriter<File>>,
    crc: crc32fast::Hasher,
    count: u32,
}

impl IndexWriter {
    /// For a pack without records.
    pub fn create(folder: &Path, number: u32) -> Self {
        let path = index_path(folder, number);
        let file = File::create(&path).map(BufWriter::new);
        if let Err(error) = &file {
            tracing::warn!(pack = number, %error, "no index for this pack");
        }
        Self { number, path, file: file.ok(), crc: crc32fast::Hasher::new(), count: 0 }
    }

    /// Adds headers.
    pub fn add(&mut self, headers: &[[u8; HEADER_BYTES]]) {
        for header in headers {
            self.crc.update(header);
            self.count += 1;
            self.write(header);
        }
    }

    /// Completes the file.
    pub fn finish(mut self, pack_len: u64) {
        let numbers = [&MAGIC[..], &self.number.to_le_bytes(), &self.count.to_le_bytes(), &pack_len.to_le_bytes()];
        let foot = numbers.concat();
        self.crc.update(&foot);
        let crc = self.crc.clone().finalize();
        self.write(&foot);
        self.write(&crc.to_le_bytes());
        if self.file.as_mut().is_some_and(|file| file.flush().is_err()) {
            self.file = None;
        }
        if self.file.is_none() {
            // Half an index does not count; the next start makes a whole one.
            let _gone = std::fs::remove_file(&self.path);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(bytes)
        {
            tracing::warn!(pack = self.number, %error, "no index for this pack");
            self.file = None;
        }
    }
}

/// The headers of a pack with their offsets, if there is a whole index of it; and how long the pack is.
pub fn read_index(folder: &Path, number: u32, first_offset: u64) -> Option<(Vec<(u32, Header)>, u64)> {
    let bytes = std::fs::read(index_path(folder, number)).ok()?;
    let (headers, foot) = bytes.split_at_checked(bytes.len().checked_sub(INDEX_FOOT_BYTES as usize)?)?;
    let (numbers, crc) = foot.split_at(foot.len() - 4);
    if crc32fast::hash(&bytes[..bytes.len() - 4]).to_le_bytes() != crc || numbers[..8] != MAGIC {
        return None;
    }
    if numbers[8..12] != number.to_le_bytes() {
        return None;
    }
    let pack_len = u64::from_le_bytes(*numbers[16..].first_chunk()?);
    let mut found = Vec::with_capacity(headers.len() / HEADER_BYTES);
    let mut offset = first_offset;
    for header in headers.chunks(HEADER_BYTES) {
        let header = Header::decode(header)?;
        found.push((u32::try_from(offset).ok()?, header));
        offset += header.record_len();
    }
    (offset == pack_len).then_some((found, pack_len))
}
