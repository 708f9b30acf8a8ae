//! The thread that makes room: what was not used for the longest time goes, packs in which little lives are emptied.
//! It also writes the order of use down from time to time.
//!
//! Evicting small things frees nothing by itself: their pack has to go. So this goes on evicting until some pack is
//! dead by a third at least, and then moves what lives in it. Moving costs at most two bytes for each that is freed, and
//! in use it is much less: what was written together is mostly forgotten together.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::catalog::record_disk_bytes;
use super::committer::Change;
use super::record::Record;
use super::shared::Shared;
use super::slab::{Item, Place};
use super::space::Work;
use super::uses::{Uses, uses_disk_bytes};

/// So many are evicted with one hold of the lock.
const EVICT_AT_ONCE: usize = 256;
/// A pack is emptied when a third of it is dead; when nothing else can go, a twentieth will do.
const DEAD_SHARE: u64 = 3;
const DEAD_SHARE_AT_LEAST: u64 = 20;
/// One round of evicting frees this part of the limit.
const EVICT_SHARE: u64 = 256;

/// The sweeper.
pub struct Sweeper {
    pub(super) shared: Arc<Shared>,
    pub(super) packs: PathBuf,
    pub(super) limit: u64,
    snapshot_every: Duration,
    snapshot_at: Instant,
    uses_bytes: u64,
    changes_seen: u64,
}

impl Sweeper {
    /// Starts the thread.
    pub fn start(
        shared: Arc<Shared>,
        packs: PathBuf,
        limit: u64,
        snapshot_every: Duration,
        uses_count: u64,
    ) -> io::Result<JoinHandle<()>> {
        let sweeper = Self {
            shared,
            packs,
            limit,
            snapshot_every,
            snapshot_at: Instant::now(),
            uses_bytes: uses_disk_bytes(uses_count),
            changes_seen: 0,
        };
        std::thread::Builder::new().name("blob-sweep".into()).spawn(move || sweeper.run())
    }

    fn run(mut self) {
        let mut rested = false;
        loop {
            match self.shared.space.wait(rested) {
                Work::Stop => return,
                Work::Idle => rested = false,
                Work::Free => rested = !self.free(),
            }
            if self.snapshot_at.elapsed() >= self.snapshot_every {
                self.write_uses();
            }
        }
    }

    /// Frees what is wanted; false if nothing may go.
    fn free(&mut self) -> bool {
        while self.shared.space.is_short() && !self.shared.space.is_stopped() {
            // What was used just now goes only when somebody waits, not to have some space ahead.
            let urgent = self.shared.space.is_wanted();
            let done = self.empty_a_pack(DEAD_SHARE)
                || self.evict(!urgent)
                || urgent && (self.empty_a_pack(DEAD_SHARE_AT_LEAST) || self.close_the_active_pack());
            if !done {
                if urgent {
                    self.shared.space.give_up();
                }
                return false;
            }
        }
        true
    }

    /// Evicts some, `cold` ones only or others too; false if nothing may go.
    fn evict(&self, cold: bool) -> bool {
        let mut bytes = 0;
        let mut any = false;
        while bytes <= self.limit / EVICT_SHARE {
            let mut items = Vec::with_capacity(EVICT_AT_ONCE);
            {
                let mut catalog = self.shared.lock();
                let now = self.shared.ticks.now();
                while items.len() < EVICT_AT_ONCE && bytes <= self.limit / EVICT_SHARE {
                    let Some(item) = catalog.evict(now, cold) else { break };
                    bytes += record_disk_bytes(item.stored_len);
                    items.push(item);
                }
            }
            if items.is_empty() {
                break;
            }
            any = true;
            self.write_gone(&items);
            for item in items {
                self.shared.unlink_later(Some(item));
            }
        }
        any
    }

    /// An older value of an entry must not come back when the pack with the newer one has gone. Blobs have one value.
    fn write_gone(&self, items: &[Item]) {
        let changes: Vec<Change> = items
            .iter()
            .filter(|item| item.entry)
            .map(|item| Change { record: Record::gone(item.fingerprint), item: Some(*item) })
            .collect();
        if changes.is_empty() {
            return;
        }
        let bytes = changes.len() as u64 * record_disk_bytes(0);
        let written = match self.shared.space.reserve_to_sweep(bytes) {
            Some(reservation) => self.shared.change_blocking(changes, reservation),
            None => return,
        };
        if let Err(error) = written {
            tracing::warn!(?error, "evicted entries may be found again after a start");
        }
    }

    /// Dead bytes in the pack that is written can only be freed when it is not written any more.
    fn close_the_active_pack(&self) -> bool {
        let worth_it = {
            let catalog = self.shared.lock();
            catalog.packs.values().any(|pack| !pack.sealed && pack.live_bytes * 2 < pack.disk_bytes)
        };
        if worth_it {
            self.shared.rotate_blocking();
        }
        worth_it
    }

    /// Writes the order of use down, if something has changed.
    fn write_uses(&mut self) {
        self.snapshot_at = Instant::now();
        let changes = self.shared.changes.load(Ordering::Relaxed);
        if changes == self.changes_seen {
            return;
        }
        // Something in the newest pack may not be in the catalog yet.
        let newest = self.shared.lock().packs.keys().next_back().copied();
        let until = Place::in_pack(newest.unwrap_or(0), 0);
        let mut all = Vec::new();
        let mut number = 0;
        // Bit by bit: callers go on in between.
        while let Some(()) = {
            let catalog = self.shared.lock();
            catalog.index.piece(number).map(|piece| all.extend(piece.map(|(item, at)| (at, item.fingerprint.0))))
        } {
            number += 1;
        }
        all.sort_by_key(|(at, _)| *at);
        let names = all.into_iter().map(|(_, name)| name).collect();
        self.changes_seen = changes;
        self.uses_bytes = write_uses(&self.shared, &Uses { until, names }, self.uses_bytes);
    }
}

/// Writes the order down and accounts for it; returns what is accounted for now.
fn write_uses(shared: &Arc<Shared>, uses: &Uses, accounted: u64) -> u64 {
    let bytes = uses_disk_bytes(uses.names.len() as u64);
    let Some(reservation) = shared.space.reserve_to_sweep(bytes) else { return accounted };
    match uses.write(&shared.root) {
        Ok(_) => {
            shared.space.remove(accounted);
            reservation.settle(bytes);
            bytes
        }
        Err(error) => {
            tracing::warn!(%error, "the order of use of blobs could not be written down");
            accounted
        }
    }
}

/// Writes the exact order down, at the end.
pub fn write_last_uses(shared: &Arc<Shared>) {
    let (until, names) = {
        let catalog = shared.lock();
        (catalog.end(), catalog.index.order().into_iter().map(|name| name.0).collect())
    };
    write_uses(shared, &Uses { until, names }, 0);
}
