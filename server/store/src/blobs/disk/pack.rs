//! Pack files: a magic and records one behind the other. Written by one thread, by appending; a pack that failed to be
//! written or synced is never written again.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};

use super::pack_index::IndexWriter;
use super::record::{HEADER_BYTES, Record};
use crate::positioned::sync_folder;

/// How a pack begins.
pub const PACK_MAGIC: [u8; 8] = *b"MRPACK1\n";
/// Where its first record is.
pub const PACK_HEAD_BYTES: u64 = PACK_MAGIC.len() as u64;

/// The path of a pack.
pub fn pack_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08x}.pack"))
}

/// The pack that is written.
pub struct PackWriter {
    /// Its number.
    pub number: u32,
    path: PathBuf,
    file: File,
    /// Up to here everything is durable.
    len: u64,
    index: IndexWriter,
}

impl PackWriter {
    /// Makes a pack; its name is durable when this returns.
    pub fn create(folder: &Path, number: u32) -> io::Result<Self> {
        let path = pack_path(folder, number);
        // What a failed try may have left is no pack that anybody knows.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        file.write_all(&PACK_MAGIC)?;
        file.sync_all()?;
        sync_folder(folder)?;
        Self::appending(folder, number, PACK_HEAD_BYTES, IndexWriter::create(folder, number))
    }

    /// Goes on with a pack that ends at `len`, whose index has been written so far.
    pub fn appending(folder: &Path, number: u32, len: u64, index: IndexWriter) -> io::Result<Self> {
        let path = pack_path(folder, number);
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok(Self { number, path, file, len, index })
    }

    /// Writes all records and syncs; returns the offsets of their headers. When it fails none counts, and the pack
    /// must not be written again.
    pub fn commit(&mut self, records: &[&Record]) -> io::Result<Vec<u32>> {
        let headers: Vec<[u8; HEADER_BYTES]> = records.iter().map(|record| record.header.encode()).collect();
        let mut slices = Vec::with_capacity(2 * records.len());
        for (header, record) in headers.iter().zip(records) {
            slices.push(IoSlice::new(header));
            if !record.data.is_empty() {
                slices.push(IoSlice::new(&record.data));
            }
        }
        write_all_slices(&mut self.file, &mut slices)?;
        self.file.sync_data()?;
        let offsets = records
            .iter()
            .map(|record| {
                let at = self.len;
                self.len += record.header.record_len();
                at as u32
            })
            .collect();
        self.index.add(&headers);
        Ok(offsets)
    }

    /// How long it is.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Nothing more is written: its index is completed.
    pub fn seal(self) {
        self.index.finish(self.len);
    }

    /// Something failed: cuts off what nobody was told is stored, as well as that can be done.
    pub fn give_up(self) {
        let cut = OpenOptions::new().write(true).open(&self.path).and_then(|file| {
            file.set_len(self.len)?;
            file.sync_data()
        });
        if let Err(error) = cut {
            tracing::warn!(pack = self.number, %error, "the end of a pack could not be cut off");
        }
        self.index.finish(self.len);
    }
}

fn write_all_slices(file: &mut File, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    let mut rest = slices;
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
