//! The order of use, written down: at a clean end exactly, from time to time about, so that a start after a crash knows
//! it too. It holds the first half of each name, the longest not used first. It is never synced: one that is not whole
//! does not count, and then the order is that of writing.
//!
//! ```text
//! magic  8 u32 pack  12 u32 count  16 u64 of each name | u32 crc of all before
//! ```
//! What stands in that pack or a later one may be newer than the order.

use std::io;
use std::path::Path;

const FILE: &str = "uses";
const MAGIC: [u8; 8] = *b"MRUSES1\n";
const HEAD_BYTES: usize = 16;

/// The order of use, as it was at some time.
pub struct Uses {
    /// The pack that was written then.
    pub pack: u32,
    /// The names, the longest not used first.
    pub names: Vec<u64>,
}

impl Uses {
    /// Writes it down; returns how many bytes the file takes.
    pub fn write(&self, root: &Path) -> io::Result<u64> {
        let mut bytes = [&MAGIC[..], &self.pack.to_le_bytes(), &(self.names.len() as u32).to_le_bytes()].concat();
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
        let pack = u32::from_le_bytes(*body[8..].first_chunk()?);
        let names = body.get(HEAD_BYTES..)?.chunks_exact(8).map(|name| {
            let mut number = [0; 8];
            number.copy_from_slice(name);
            u64::from_le_bytes(number)
        });
        Some(Self { pack, names: names.collect() })
    }
}

/// What it takes on disk for so many, with the new one beside the old one.
pub fn uses_disk_bytes(count: u64) -> u64 {
    2 * (HEAD_BYTES as u64 + 8 * count + 4)
}
