//! Every blob and entry by its name, and the order in which they were used. Knows no files.
//!
//! Two lists: those with a lease, and the others. Both are ordered by use, so the oldest that may go is at the end of
//! one of them.

use hashbrown::HashTable;

use super::fingerprint::Fingerprint;
use super::lru::Lru;
use super::slab::{Item, NONE, Place, Slab, Slot};

/// All that is known of what is here.
pub struct Index {
    table: HashTable<u32>,
    slab: Slab,
    plain: Lru,
    leased: Lru,
    /// How long a lease is, in ticks.
    lease_ticks: u32,
}

/// A use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It was read or written.
    Plain,
    /// Somebody was told that it is here, and relies on it.
    Lease,
}

impl Index {
    /// An empty one.
    pub fn new(lease_ticks: u32) -> Self {
        Self {
            table: HashTable::new(),
            slab: Slab::default(),
            plain: Lru::default(),
            leased: Lru::default(),
            lease_ticks,
        }
    }

    /// Makes room for so many more.
    pub fn reserve(&mut self, more: usize) {
        let slab = &self.slab;
        self.table.reserve(more, |id| slab[*id].item.fingerprint.0);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// What a name stands for; no use.
    pub fn get(&self, fingerprint: Fingerprint) -> Option<&Item> {
        self.id(fingerprint).map(|id| &self.slab[id].item)
    }

    /// What a name stands for, if `wanted`; that is a use.
    pub fn find(
        &mut self,
        fingerprint: Fingerprint,
        now: u32,
        of: Use,
        wanted: impl FnOnce(&Item) -> bool,
    ) -> Option<Item> {
        let id = self.id(fingerprint).filter(|id| wanted(&self.slab[*id].item))?;
        self.touch(id, now, of);
        Some(self.slab[id].item)
    }

    /// Puts an item in, as the one used last; returns the one whose name it had.
    pub fn insert(&mut self, item: Item, now: u32) -> Option<Item> {
        if let Some(id) = self.id(item.fingerprint) {
            let before = std::mem::replace(&mut self.slab[id].item, item);
            self.touch(id, now, Use::Plain);
            return Some(before);
        }
        let id = self.slab.insert(item);
        let slab = &self.slab;
        self.table.insert_unique(item.fingerprint.0, id, |id| slab[*id].item.fingerprint.0);
        self.slab[id].used_at = now;
        self.plain.push(&mut self.slab, id);
        None
    }

    /// Says where an item is now, if it was there.
    pub fn relocate(&mut self, fingerprint: Fingerprint, from: Place, to: Place) -> bool {
        let Some(id) = self.id(fingerprint).filter(|id| self.slab[*id].item.place == from) else { return false };
        self.slab[id].item.place = to;
        true
    }

    /// Takes an item out, if it is `wanted`.
    pub fn remove(&mut self, fingerprint: Fingerprint, wanted: impl FnOnce(&Item) -> bool) -> Option<Item> {
        let id = self.id(fingerprint).filter(|id| wanted(&self.slab[*id].item))?;
        Some(self.remove_id(id))
    }

    /// Takes out the one that was not used for the longest time, of those that may go; if `cold`, one that was not used
    /// for as long as a lease is.
    pub fn evict(&mut self, now: u32, cold: bool) -> Option<Item> {
        let is_cold = |id: &u32| self.slab[*id].used_at.saturating_add(self.lease_ticks) <= now;
        let plain = Some(self.plain.oldest()).filter(|id| *id != NONE && (!cold || is_cold(id)));
        let leased = Some(self.leased.oldest()).filter(|id| *id != NONE && !self.has_lease(&self.slab[*id], now));
        let id = match (plain, leased) {
            (Some(plain), Some(leased)) if self.slab[leased].used_at < self.slab[plain].used_at => leased,
            (Some(plain), _) => plain,
            (None, leased) => leased?,
        };
        Some(self.remove_id(id))
    }

    /// The items with their times of use, piece by piece; none after the last piece.
    pub fn piece(&self, number: usize) -> Option<impl Iterator<Item = (&Item, u32)>> {
        Some(self.slab.piece(number)?.map(|slot| (&slot.item, slot.used_at)))
    }

    /// Uses the item whose name begins like this.
    pub fn touch_half(&mut self, half: u64, now: u32) {
        let slab = &self.slab;
        if let Some(id) = self.table.find(half, |id| slab[*id].item.fingerprint.0 == half).copied() {
            self.touch(id, now, Use::Plain);
        }
    }

    /// All names, the longest not used first. Only for the end: it takes long.
    pub fn order(&self) -> Vec<Fingerprint> {
        let mut all = Vec::with_capacity(self.len());
        let (mut plain, mut leased) = (self.plain.oldest(), self.leased.oldest());
        while plain != NONE || leased != NONE {
            let of_leased = plain == NONE || leased != NONE && self.slab[leased].used_at < self.slab[plain].used_at;
            let next = if of_leased { &mut leased } else { &mut plain };
            all.push(self.slab[*next].item.fingerprint);
            *next = self.slab[*next].newer;
        }
        all
    }

    fn id(&self, fingerprint: Fingerprint) -> Option<u32> {
        self.table.find(fingerprint.0, |id| self.slab[*id].item.fingerprint == fingerprint).copied()
    }

    fn has_lease(&self, slot: &Slot, now: u32) -> bool {
        slot.leased && now < slot.used_at.saturating_add(self.lease_ticks)
    }

    fn touch(&mut self, id: u32, now: u32, of: Use) {
        let lease = of == Use::Lease && self.lease_ticks > 0 || self.has_lease(&self.slab[id], now);
        let was_leased = self.slab[id].leased;
        if of == Use::Lease && was_leased && self.slab[id].used_at == now {
            // The same digests are asked for again and again: among those with a lease the order is that of ticks.
            return;
        }
        let slab = &mut self.slab;
        slab[id].used_at = now;
        if lease == was_leased {
            let list = if lease { &mut self.leased } else { &mut self.plain };
            if list.newest() == id {
                return;
            }
            list.unlink(slab, id);
            list.push(slab, id);
            return;
        }
        let (from, to) = if lease { (&mut self.plain, &mut self.leased) } else { (&mut self.leased, &mut self.plain) };
        from.unlink(slab, id);
        to.push(slab, id);
        slab[id].leased = lease;
    }

    fn remove_id(&mut self, id: u32) -> Item {
        let list = if self.slab[id].leased { &mut self.leased } else { &mut self.plain };
        list.unlink(&mut self.slab, id);
        let hash = self.slab[id].item.fingerprint.0;
        if let Ok(found) = self.table.find_entry(hash, |other| *other == id) {
            found.remove();
        }
        self.slab.remove(id)
    }
}
