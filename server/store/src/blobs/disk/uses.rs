//! The order of use, written down: at a clean end exactly, from time to time about, so that a start after a crash knows
//! it too. It holds the first half of each name, the longest not used first. It is never synced: one that is not whole
//! does not count, and then the order is that of writing.
//!
//! ```text
//! magic  8 u32 pack  12 u32 offset  16 u32 count  20 u64 of each name | u32 crc of all before
//! ```
//! What stands in a pack behind that place may be newer than the order. What stands before it and has no name here had
//! been evicted.

use std::io;
use std::path::Path;

use super::slab::Place;

const FILE: &str = "uses";
const MAGIC: [u8; 8] = *b"MRUSES1\n";
const HEAD_BYTES: usize = 20;

/// The order of use, as it was at some time.
pub struct Uses {
    /// All that lived in a pack before this place has its name here.
    pub until: Place,
    /// The names, the longest not used first.
    pub names: Vec<u64>,
}

impl Uses {
    /// Writes it down; returns how many bytes the file takes.
    pub fn write(&self, root: &Path) -> io::Result<u64> {
        let (pack, offset) = self.until.pack().unwrap_or_default();
        let numbers = [pack, offset, self.names.len() as u32].map(u32::to_le_bytes);
        let mut bytes = [&MAGIC[..], numbers.as_flattened()].concat();
        bytes.reserve_exact(self.names.len() * 8 + 4);
        self.names.iter().for_each(|name| bytes.extend_from_slice(&name.to_le_bytes()));
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let temporary = root.join("uses.new");
        std::fs::write(&temporary, &bytes)?;
        std::fs::rename(&temporary, root.join(FILE))?;
        Ok(bytes.len() as u64)
    }

    /// Reads it, if there is a whole one.
    pub fn read(root: &Path) -> Option<Self> {
        let bytes = std::fs::read(root.join(FILE)).ok()?;
        let (body, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if crc32fast::hash(body).to_le_bytes() != crc || body.get(..8)? != MAGIC {
            return None;
        }
        let number = |at: usize| Some(u32::from_le_bytes(*body.get(at..)?.first_chunk()?));
        let until = Place::in_pack(number(8)?, number(12)?);
        let names = body.get(HEAD_BYTES..)?.chunks_exact(8).map(|name| {
            let mut number = [0; 8];
            number.copy_from_slice(name);
            u64::from_le_bytes(number)
        });
        Some(Self { until, names: names.collect() })
    }
}

/// What it takes on disk for so many, with the new one beside the old one.
pub fn uses_disk_bytes(count: u64) -> u64 {
    2 * (HEAD_BYTES as u64 + 8 * count + 4)
}
