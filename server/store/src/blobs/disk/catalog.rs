//! What is here and in which packs: the index, the packs with what lives in them, and the counts. One lock for all of it,
//! held for as long as it takes to look at a thousand names at most.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use super::fingerprint::Fingerprint;
use super::index::Index;
use super::record::HEADER_BYTES;
use super::slab::{Item, Place};

/// What is here.
pub struct Catalog {
    /// By name.
    pub index: Index,
    /// By number: the newest has the highest.
    pub packs: BTreeMap<u32, Pack>,
    /// How many of the items are entries.
    pub entries: u64,
    /// How many had to go for others.
    pub evicted: u64,
    /// Their bytes.
    pub evicted_bytes: u64,
    /// How many were dropped because their bytes were no longer right.
    pub corrupt: u64,
}

/// A pack.
pub struct Pack {
    /// For reading.
    pub file: Arc<File>,
    /// How long it is.
    pub len: u64,
    /// What it takes on disk, with its index file.
    pub disk_bytes: u64,
    /// The part of it that is needed.
    pub live_bytes: u64,
    /// The part that says that something is gone: needed until no older pack is there.
    pub gone_bytes: u64,
    /// Nothing is appended any more.
    pub sealed: bool,
}

/// What a record takes: header and bytes in the pack, the header once more in the pack's index.
pub fn record_disk_bytes(stored_len: u64) -> u64 {
    2 * HEADER_BYTES as u64 + stored_len
}

impl Catalog {
    /// An empty one.
    pub fn new(index: Index) -> Self {
        Self { index, packs: BTreeMap::new(), entries: 0, evicted: 0, evicted_bytes: 0, corrupt: 0 }
    }

    /// Puts an item in; returns the one whose name it had, whose bytes are needed no more.
    pub fn insert(&mut self, item: Item, now: u32) -> Option<Item> {
        let before = self.index.insert(item, now);
        self.count(&item, true);
        if let Some(before) = &before {
            self.count(before, false);
        }
        before
    }

    /// Takes an item out, if it is `wanted`.
    pub fn remove(&mut self, fingerprint: Fingerprint, wanted: impl FnOnce(&Item) -> bool) -> Option<Item> {
        let item = self.index.remove(fingerprint, wanted)?;
        self.count(&item, false);
        Some(item)
    }

    /// Takes out the one that was not used for the longest time, of those that may go, as [`Index::evict`].
    pub fn evict(&mut self, now: u32, cold: bool) -> Option<Item> {
        let item = self.index.evict(now, cold)?;
        self.count(&item, false);
        self.evicted += 1;
        self.evicted_bytes += item.stored_len;
        Some(item)
    }

    /// Says where an item is now, if it was there.
    pub fn relocate(&mut self, item: &Item, to: Place) {
        if self.index.relocate(item.fingerprint, item.place, to) {
            self.count(item, false);
            self.count(&Item { place: to, ..*item }, true);
        }
    }

    /// The file and the offset of what is in a pack.
    pub fn pack_file(&self, item: &Item) -> Option<(Arc<File>, u32)> {
        let (pack, offset) = item.place.pack()?;
        Some((self.packs.get(&pack)?.file.clone(), offset))
    }

    /// The end of the newest pack.
    pub fn end(&self) -> Place {
        self.packs
            .last_key_value()
            .map_or(Place::in_pack(0, 0), |(number, pack)| Place::in_pack(*number, pack.len as u32))
    }

    fn count(&mut self, item: &Item, here: bool) {
        let add = |number: &mut u64, count: u64| if here { *number += count } else { *number -= count };
        if item.entry {
            add(&mut self.entries, 1);
        }
        if let Some((pack, _)) = item.place.pack()
            && let Some(pack) = self.packs.get_mut(&pack)
        {
            add(&mut pack.live_bytes, record_disk_bytes(item.stored_len));
        }
    }
}
