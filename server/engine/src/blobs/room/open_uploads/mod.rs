//! Which uploads are open: those being written, so that all writers of a blob learn when one has completed it, and those
//! left unfinished, which are kept for a while for their clients to go on with. Lost with the process: then a client
//! begins again.

mod table;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;

use table::{Slot, Table, key};

use super::limits::BlobLimits;
use super::sink::Sink;
use super::upload::UploadName;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The open uploads of a room.
pub(super) struct OpenUploads {
    limits: BlobLimits,
    clock: Arc<dyn Clock>,
    /// How many there are in the table: a look without the lock.
    count: AtomicUsize,
    /// Changes only; nothing is awaited while it is held, and no sink is dropped: that may delete files.
    table: Mutex<Table>,
}

/// What an upload's writer and others know of it.
#[derive(Default)]
pub(super) struct Progress {
    /// Encoded bytes.
    pub(super) taken: AtomicU64,
    /// Whether somebody has completed the blob.
    pub(super) complete: AtomicBool,
}

/// The place of an upload in the table.
pub(super) struct Ticket {
    pub(super) id: u64,
    pub(super) progress: Arc<Progress>,
}

impl OpenUploads {
    pub(super) fn new(limits: BlobLimits, clock: Arc<dyn Clock>) -> Self {
        Self { limits, clock, count: AtomicUsize::new(0), table: Mutex::default() }
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// Takes an upload that was left at `offset`. Begun again at 0, what was left is let go; `None` then.
    pub(super) fn resume(&self, name: &UploadName, offset: u64) -> Result<Option<(Ticket, Sink)>> {
        self.expire();
        let mut dropped = Vec::new();
        let mut table = self.lock();
        let slots = table.blobs.get_mut(&key(name)).map_or(&mut [][..], |slots| &mut slots[..]);
        let mut taken = None;
        let mut found = None;
        for slot in slots.iter_mut().filter(|slot| slot.name == *name) {
            taken = Some(slot.progress.taken.load(Relaxed));
            if slot.parked.is_some() && (offset == 0 || taken == Some(offset)) {
                found = Some(slot.id);
                break;
            }
        }
        let resumed = match (found, taken) {
            (Some(id), _) if offset > 0 => table.unpark(name, id),
            (Some(id), _) => {
                dropped.extend(table.remove(name, id));
                None
            }
            (None, _) if offset == 0 => None,
            (None, Some(taken)) if taken == offset => {
                return Err(Error::Conflict("the upload is being written by another call".into()));
            }
            (None, taken) => {
                let taken = taken.unwrap_or(0);
                return Err(Error::invalid(
                    "write_offset",
                    format!("{offset}; {taken} bytes are taken of this upload"),
                ));
            }
        };
        self.count.store(table.slots, Relaxed);
        drop(table);
        drop(dropped);
        Ok(resumed)
    }

    /// Another upload.
    pub(super) fn enter(&self, name: &UploadName) -> Ticket {
        let mut table = self.lock();
        table.next += 1;
        let (id, progress) = (table.next, Arc::new(Progress::default()));
        let slot = Slot { id, name: name.clone(), progress: Arc::clone(&progress), parked: None };
        table.blobs.entry(key(name)).or_default().push(slot);
        table.slots += 1;
        self.count.store(table.slots, Relaxed);
        Ticket { id, progress }
    }

    /// An upload is over.
    pub(super) fn leave(&self, name: &UploadName, id: u64) {
        let mut table = self.lock();
        let dropped = table.remove(name, id);
        self.count.store(table.slots, Relaxed);
        drop(table);
        drop(dropped);
    }

    /// Keeps an upload that was left unfinished. Others of the same name are let go for it, and the oldest ones over the
    /// limits.
    pub(super) fn park(&self, name: &UploadName, id: u64, sink: Sink) {
        let now_ms = self.clock.now_ms();
        let mut dropped = Vec::new();
        let mut table = self.lock();
        let others = table.blobs.get(&key(name)).into_iter().flatten();
        let same = others.filter(|slot| slot.id != id && slot.name == *name && slot.parked.is_some());
        for other in same.map(|slot| slot.id).collect::<Vec<_>>() {
            dropped.extend(table.remove(name, other));
        }
        let homeless = table.park(name, id, sink, now_ms);
        while table.parked.len() > self.limits.parked_uploads_max
            || table.parked_bytes > self.limits.parked_uploads_max_bytes
        {
            let Some(oldest) = table.remove_oldest() else { break };
            dropped.push(oldest);
        }
        self.count.store(table.slots, Relaxed);
        drop(table);
        drop((dropped, homeless));
        self.expire();
    }

    /// A blob is here: its writers can stop, and what was left of it is let go.
    pub(super) fn completed(&self, instance: &InstanceName, digest: &Digest) {
        if !self.any() {
            return;
        }
        let mut dropped = Vec::new();
        let mut table = self.lock();
        let key = (instance.clone(), *digest);
        let mut parked = Vec::new();
        for slot in table.blobs.get(&key).into_iter().flatten() {
            slot.progress.complete.store(true, Relaxed);
            if slot.parked.is_some() {
                parked.push((slot.name.clone(), slot.id));
            }
        }
        for (name, id) in parked {
            dropped.extend(table.remove(&name, id));
        }
        self.count.store(table.slots, Relaxed);
        drop(table);
        drop(dropped);
    }

    /// How many bytes are taken of an upload: of the one that can be gone on with, if there is one.
    pub(super) fn taken(&self, name: &UploadName) -> Option<u64> {
        self.expire();
        let table = self.lock();
        let slots = || table.blobs.get(&key(name)).into_iter().flatten().filter(|slot| slot.name == *name);
        let taken = |slot: &Slot| slot.progress.taken.load(Relaxed);
        slots().find(|slot| slot.parked.is_some()).map(taken).or_else(|| slots().map(taken).min())
    }

    /// Lets go of what was left too long ago.
    pub(super) fn expire(&self) {
        if !self.any() {
            return;
        }
        let before_ms = self.clock.now_ms().saturating_sub(self.limits.parked_uploads_max_ms);
        let mut dropped = Vec::new();
        let mut table = self.lock();
        while table.parked.first_key_value().is_some_and(|((parked_ms, _), _)| *parked_ms <= before_ms) {
            let Some(oldest) = table.remove_oldest() else { break };
            dropped.push(oldest);
        }
        self.count.store(table.slots, Relaxed);
        drop(table);
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
