//! The table of open uploads. Knows no clock and no limits. What it gives up it gives back, to be dropped outside the lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;

use super::{Progress, Ticket};
use crate::blobs::room::sink::Sink;
use crate::blobs::room::upload::UploadName;

#[derive(Default)]
pub(super) struct Table {
    pub(super) next: u64,
    pub(super) blobs: HashMap<(InstanceName, Digest), Vec<Slot>>,
    /// When and which, the oldest first.
    pub(super) parked: BTreeMap<(i64, u64), (InstanceName, Digest)>,
    pub(super) parked_bytes: u64,
    pub(super) slots: usize,
}

pub(super) struct Slot {
    pub(super) id: u64,
    pub(super) name: UploadName,
    pub(super) progress: Arc<Progress>,
    /// Of an upload that was left unfinished, and when that was.
    pub(super) parked: Option<(Sink, i64)>,
}

impl Slot {
    /// What keeping it takes: space is reserved for all of the blob.
    fn charge(&self) -> u64 {
        self.name.digest.size().max(self.progress.taken.load(Relaxed))
    }
}

impl Table {
    /// Makes an upload that was left one that is written again.
    pub(super) fn unpark(&mut self, name: &UploadName, id: u64) -> Option<(Ticket, Sink)> {
        let slot = self.blobs.get_mut(&key(name))?.iter_mut().find(|slot| slot.id == id)?;
        let (sink, parked_ms) = slot.parked.take()?;
        self.parked.remove(&(parked_ms, id));
        self.parked_bytes -= slot.charge();
        Some((Ticket { id, progress: Arc::clone(&slot.progress) }, sink))
    }

    /// Gives the sink back when the upload has no place any more, or its blob is here by now.
    pub(super) fn park(&mut self, name: &UploadName, id: u64, sink: Sink, now_ms: i64) -> Option<Sink> {
        let key = key(name);
        let slots = self.blobs.get_mut(&key).into_iter().flatten();
        let Some(slot) = slots.into_iter().find(|slot| slot.id == id) else { return Some(sink) };
        if slot.progress.complete.load(Relaxed) {
            self.remove_from(&key, id);
            return Some(sink);
        }
        slot.parked = Some((sink, now_ms));
        self.parked_bytes += slot.charge();
        self.parked.insert((now_ms, id), key);
        None
    }

    pub(super) fn remove(&mut self, name: &UploadName, id: u64) -> Option<Slot> {
        self.remove_from(&key(name), id)
    }

    pub(super) fn remove_oldest(&mut self) -> Option<Slot> {
        let ((_, id), key) = self.parked.first_key_value()?;
        let (id, key) = (*id, key.clone());
        self.remove_from(&key, id)
    }

    fn remove_from(&mut self, key: &(InstanceName, Digest), id: u64) -> Option<Slot> {
        let slots = self.blobs.get_mut(key)?;
        let at = slots.iter().position(|slot| slot.id == id)?;
        let slot = slots.swap_remove(at);
        self.slots -= 1;
        if slots.is_empty() {
            self.blobs.remove(key);
        }
        if let Some((_, parked_ms)) = &slot.parked {
            self.parked.remove(&(*parked_ms, id));
            self.parked_bytes -= slot.charge();
        }
        Some(slot)
    }
}

pub(super) fn key(name: &UploadName) -> (InstanceName, Digest) {
    (name.instance.clone(), name.digest)
}
