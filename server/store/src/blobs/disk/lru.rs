//! A list of slots in the order of their use.

use super::slab::{NONE, Slab};

/// The ends of a list; the links are in the slots.
pub struct Lru {
    newest: u32,
    oldest: u32,
}

impl Default for Lru {
    fn default() -> Self {
        Self { newest: NONE, oldest: NONE }
    }
}

impl Lru {
    /// The one that was used last.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// The one that was not used for the longest time.
    pub fn oldest(&self) -> u32 {
        self.oldest
    }

    /// Puts a slot that is in no list to the front.
    pub fn push(&mut self, slab: &mut Slab, id: u32) {
        let next = self.newest;
        (slab[id].newer, slab[id].older) = (NONE, next);
        if next == NONE {
            self.oldest = id;
        } else {
            slab[next].newer = id;
        }
        self.newest = id;
    }

    /// Takes a slot out.
    pub fn unlink(&mut self, slab: &mut Slab, id: u32) {
        let (newer, older) = (slab[id].newer, slab[id].older);
        if newer == NONE {
            self.newest = older;
        } else {
            slab[newer].older = older;
        }
        if older == NONE {
            self.oldest = newer;
        } else {
            slab[older].newer = newer;
        }
    }
}
