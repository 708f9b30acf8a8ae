//! What is known of each blob and entry, in pieces that never move: growing copies nothing.

use std::ops::{Index, IndexMut};

use millrace_engine::blobs::Encoding;

use super::fingerprint::Fingerprint;

/// No slot.
pub const NONE: u32 = u32::MAX;
const PIECE_SLOTS: usize = 4096;

/// Where the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(u64);

const LARGE: u64 = 1 << 63;

impl Place {
    /// In a pack, at this offset.
    pub fn in_pack(pack: u32, offset: u32) -> Self {
        Self(u64::from(pack & (u32::MAX >> 1)) << 32 | u64::from(offset))
    }

    /// In a file of its own, with this number.
    pub fn large(number: u64) -> Self {
        Self(LARGE | number)
    }

    /// The pack and the offset in it, if it is in one.
    pub fn pack(self) -> Option<(u32, u32)> {
        (self.0 & LARGE == 0).then_some(((self.0 >> 32) as u32, self.0 as u32))
    }

    /// The number of its own file, if it has one.
    pub fn file(self) -> Option<u64> {
        (self.0 & LARGE != 0).then_some(self.0 & !LARGE)
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub fingerprint: Fingerprint,
    /// Where its bytes are.
    pub place: Place,
    /// How many bytes are kept.
    pub stored_len: u64,
    /// How many bytes they decode to.
    pub size: u64,
    /// How they are encoded.
    pub encoding: Encoding,
    /// An entry, not a blob.
    pub entry: bool,
}

/// An item with its place in the order of use. This is what a blob costs in memory, and 5 to 10 bytes in the table.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub(super) item: Item,
    /// When it was last used, in ticks.
    pub(super) used_at: u32,
    /// The one that was used after it.
    pub(super) newer: u32,
    /// The one that was used before it.
    pub(super) older: u32,
    /// It is in the list of those with a lease.
    pub(super) leased: bool,
    /// It is in use, not on the free list.
    pub(super) live: bool,
}

/// All slots.
#[derive(Default)]
pub struct Slab {
    pieces: Vec<Box<[Slot]>>,
    len: u32,
    free: Vec<u32>,
}

impl Slab {
    /// Takes a slot.
    pub fn insert(&mut self, item: Item) -> u32 {
        let slot = Slot { item, used_at: 0, newer: NONE, older: NONE, leased: false, live: true };
        if let Some(id) = self.free.pop() {
            self[id] = slot;
            return id;
        }
        if self.len as usize == self.pieces.len() * PIECE_SLOTS {
            self.pieces.push(vec![Slot { live: false, ..slot }; PIECE_SLOTS].into_boxed_slice());
        }
        let id = self.len;
        self.len += 1;
        self[id] = slot;
        id
    }

    /// Gives a slot back.
    pub fn remove(&mut self, id: u32) -> Item {
        self[id].live = false;
        self.free.push(id);
        self[id].item
    }

    /// The slots from this one on, piece by piece; none after the last.
    pub fn piece(&self, number: usize) -> Option<impl Iterator<Item = &Slot>> {
        let begin = number * PIECE_SLOTS;
        let len = (self.len as usize).checked_sub(begin).filter(|left| *left > 0)?.min(PIECE_SLOTS);
        Some(self.pieces[number][..len].iter().filter(|slot| slot.live))
    }
}

impl Index<u32> for Slab {
    type Output = Slot;

    fn index(&self, id: u32) -> &Slot {
        &self.pieces[id as usize / PIECE_SLOTS][id as usize % PIECE_SLOTS]
    }
}

impl IndexMut<u32> for Slab {
    fn index_mut(&mut self, id: u32) -> &mut Slot {
        &mut self.pieces[id as usize / PIECE_SLOTS][id as usize % PIECE_SLOTS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_small() {
        assert!(size_of::<Slot>() <= 64, "{} bytes", size_of::<Slot>());
        assert_eq!(Place::in_pack(7, 9).pack(), Some((7, 9)));
        assert_eq!((Place::large(7).pack(), Place::large(7).file()), (None, Some(7)));
    }
}
