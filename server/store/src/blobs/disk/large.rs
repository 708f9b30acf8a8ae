//! Blobs with a file of their own. The file's name is its entry in the index: fingerprint, a number (the higher is the
//! newer), size, how many bytes are kept, encoding. Behind the bytes stand their crcs:
//!
//! ```text
//! bytes | u32 crc of each 256 KiB | magic  u32 crc of the crcs
//! ```
//! A file is written as a temporary one, synced, renamed, and its folder synced.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use millrace_engine::blobs::Encoding;

use super::fingerprint::Fingerprint;
use super::slab::{Item, Place};
use crate::positioned::{read_up_to, sync_folder};

/// A crc stands for so many bytes, so that a piece can be checked when it is read.
pub const BLOCK_BYTES: usize = 256 * 1024;
/// The end of a file.
pub const MAGIC: [u8; 8] = *b"MRLARG1\n";
const FOOT_BYTES: u64 = MAGIC.len() as u64 + 4;
const SHARDS: u32 = 256;

/// The files.
pub struct LargeFiles {
    folder: PathBuf,
    temporary: PathBuf,
    next_number: AtomicU64,
}

/// What a large blob takes on disk.
pub fn large_disk_bytes(stored_len: u64) -> u64 {
    stored_len + stored_len.div_ceil(BLOCK_BYTES as u64) * 4 + FOOT_BYTES
}

impl LargeFiles {
    /// The files below `root`; makes the folders and removes what was never completed.
    pub fn open(root: &Path) -> io::Result<Self> {
        let (folder, temporary) = (root.join("large"), root.join("tmp"));
        // Each time: a first start may have ended in the middle of this.
        for shard in 0..SHARDS {
            std::fs::create_dir_all(folder.join(format!("{shard:02x}")))?;
        }
        sync_folder(&folder)?;
        if temporary.exists() {
            std::fs::remove_dir_all(&temporary)?;
        }
        std::fs::create_dir(&temporary)?;
        sync_folder(root)?;
        Ok(Self { folder, temporary, next_number: AtomicU64::new(1) })
    }

    /// Everything that is there, the oldest first.
    pub fn list(&self) -> io::Result<Vec<Item>> {
        let mut all = Vec::new();
        for shard in 0..SHARDS {
            for entry in std::fs::read_dir(self.folder.join(format!("{shard:02x}")))? {
                all.extend(parse_name(&entry?.file_name().to_string_lossy()));
            }
        }
        all.sort_by_key(|item: &Item| item.place);
        if let Some(last) = all.last().and_then(|item| item.place.file()) {
            self.next_number.store(last + 1, Ordering::Relaxed);
        }
        Ok(all)
    }

    /// A number that no file has.
    pub fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Where a file with this number is written.
    pub fn temporary(&self, number: u64) -> PathBuf {
        self.temporary.join(number.to_string())
    }

    /// Makes a file that is complete and synced visible, durably.
    pub fn keep(&self, temporary: &Path, item: &Item) -> io::Result<()> {
        let path = self.path(item);
        std::fs::rename(temporary, &path)?;
        if let Err(error) = self.sync_shard(item) {
            // Nobody is told that it is there, so it must not be found later.
            let _gone = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(())
    }

    /// Opens a file and reads the crcs of its blocks; an error of the kind `InvalidData` if it is not what was written.
    pub fn open_file(&self, item: &Item) -> io::Result<(File, Vec<u32>)> {
        let file = File::open(self.path(item))?;
        let foot =
            read_up_to(&file, item.stored_len, (large_disk_bytes(item.stored_len) - item.stored_len) as usize + 1)?;
        let crcs = foot.len().checked_sub(FOOT_BYTES as usize).map(|len| foot.split_at(len));
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "the end of the file is not what was written");
        let (crcs, end) = crcs.ok_or_else(broken)?;
        let good = end[..8] == MAGIC && end[8..] == crc32fast::hash(crcs).to_le_bytes();
        if !good || foot.len() as u64 != large_disk_bytes(item.stored_len) - item.stored_len {
            return Err(broken());
        }
        let numbers = crcs.chunks_exact(4).map(|crc| u32::from_le_bytes([crc[0], crc[1], crc[2], crc[3]]));
        Ok((file, numbers.collect()))
    }

    /// Removes a file; returns what it took on disk. One that can't be removed is found at the next start.
    pub fn remove(&self, item: &Item) -> u64 {
        match std::fs::remove_file(self.path(item)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(blob = %item.fingerprint, %error, "a blob's file could not be removed");
                0
            }
            _ => large_disk_bytes(item.stored_len),
        }
    }

    /// Makes it durable that a file is there, or gone.
    pub fn sync_shard(&self, item: &Item) -> io::Result<()> {
        sync_folder(&self.shard(item.fingerprint))
    }

    fn shard(&self, fingerprint: Fingerprint) -> PathBuf {
        self.folder.join(format!("{:02x}", fingerprint.0 >> 56))
    }

    fn path(&self, item: &Item) -> PathBuf {
        let encoding = match item.encoding {
            Encoding::Identity => 'i',
            Encoding::Zstd => 'z',
        };
        let number = item.place.file().unwrap_or_default();
        let name = format!("{}-{number:x}-{:x}-{:x}-{encoding}", item.fingerprint, item.size, item.stored_len);
        self.shard(item.fingerprint).join(name)
    }
}

fn parse_name(name: &str) -> Option<Item> {
    let mut parts = name.split('-');
    let fingerprint = Fingerprint::from_hex(parts.next()?)?;
    let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
    let (place, size, stored_len) = (Place::large(number()?), number()?, number()?);
    let encoding = match (parts.next()?, parts.next()) {
        ("i", None) => Encoding::Identity,
        ("z", None) => Encoding::Zstd,
        _ => return None,
    };
    Some(Item { fingerprint, place, stored_len, size, encoding, entry: false })
}
