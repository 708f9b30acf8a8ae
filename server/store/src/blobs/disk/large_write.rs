//! Writes the file of a large blob, with the crcs behind it. Blocks; knows nothing of space or names.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;

use super::large::{BLOCK_BYTES, LargeFiles, MAGIC};
use super::slab::Item;

/// A file that is being written. Dropped before it is kept, nothing is left of it.
pub struct LargeWriter {
    file: File,
    path: Option<PathBuf>,
    len: u64,
    crcs: Vec<u8>,
    block: crc32fast::Hasher,
}

impl LargeWriter {
    /// Makes the file.
    pub fn create(files: &LargeFiles, number: u64) -> io::Result<Self> {
        let path = files.temporary(number);
        let file = File::create_new(&path)?;
        Ok(Self { file, path: Some(path), len: 0, crcs: Vec::new(), block: crc32fast::Hasher::new() })
    }

    /// Appends these.
    pub fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        for piece in pieces {
            self.file.write_all(piece)?;
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let room = BLOCK_BYTES - (self.len % BLOCK_BYTES as u64) as usize;
                let (now, later) = rest.split_at(room.min(rest.len()));
                self.block.update(now);
                self.len += now.len() as u64;
                if self.len.is_multiple_of(BLOCK_BYTES as u64) {
                    self.end_block();
                }
                rest = later;
            }
        }
        Ok(())
    }

    /// Completes the file and makes it visible, durably.
    pub fn keep(mut self, files: &LargeFiles, item: &Item) -> io::Result<()> {
        if !self.len.is_multiple_of(BLOCK_BYTES as u64) {
            self.end_block();
        }
        let crc = crc32fast::hash(&self.crcs);
        self.crcs.extend_from_slice(&MAGIC);
        self.crcs.extend_from_slice(&crc.to_le_bytes());
        self.file.write_all(&self.crcs)?;
        self.file.sync_data()?;
        if let Some(path) = &self.path {
            files.keep(path, item)?;
        }
        self.path = None;
        Ok(())
    }

    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.block);
        self.crcs.extend_from_slice(&block.finalize().to_le_bytes());
    }
}

impl Drop for LargeWriter {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The next start removes what can't be removed now.
            let _gone = std::fs::remove_file(path);
        }
    }
}
