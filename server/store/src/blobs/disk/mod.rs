//! Blobs and entries in a folder: small ones share append-only packs with one sync a group, large ones have a file each;
//! what is here is known from memory alone, and the least recently used goes when the limit is reached.
//!
//! ```text
//! key                      makes names of 128 bits of instances, functions and hashes (fingerprint.rs)
//! packs/N.pack  N.index    records one behind the other (record.rs); their headers, for a quick start
//! large/00..ff/NAME        a blob, and a crc for each 256 KiB of it (large.rs)
//! tmp/N                    a large blob on its way in      uses    the order of use (uses.rs)
//! ```
//!
//! A put takes its share of the limit (space.rs), is written and synced by the committer together with all that came
//! meanwhile (committer.rs), and can be found from then on. The sweeper makes room (sweeper.rs, compaction.rs). Removing
//! is remembered by a record of its own; evicting only for entries, so that an older value can't come back.
//!
//! After a crash: everything that was acknowledged is there, for it was synced; the end of the newest pack is read and
//! what is torn is cut off; unfinished large files are removed. The order of use is that of the last writing down, at
//! most five minutes old, with what was written since then as the latest. Leases end with the process.
//!
//! This module knows bytes under names: no hashing of contents, no compression, no protocol.

mod blob_store;
mod catalog;
mod committer;
mod compaction;
mod entry_store;
mod fault;
mod fingerprint;
mod incoming;
mod index;
mod large;
mod large_read;
mod large_write;
mod lru;
mod options;
mod pack;
mod pack_index;
mod read;
mod record;
mod recovery;
mod scan;
mod shared;
mod slab;
mod space;
mod sweeper;
mod ticks;
mod uses;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use millrace_engine::error::{Error, Result};
use tokio::sync::mpsc;

use crate::folder_lock::lock_folder;
use crate::positioned::sync_folder;
use committer::{CALLS_WAITING_MAX, Committer};
use fault::blob_error;
use fingerprint::FingerprintKey;
use large::LargeFiles;
pub use options::DiskBlobsOptions;
use shared::Shared;
use slab::Item;
use space::Space;
use sweeper::{Sweeper, write_last_uses};
use ticks::Ticks;

/// Blobs and entries in a folder.
pub struct DiskBlobs {
    shared: Arc<Shared>,
    limit_bytes: u64,
    committer: Option<JoinHandle<()>>,
    sweeper: Option<JoinHandle<()>>,
}

impl DiskBlobs {
    /// Opens what is in `root`, a folder of its own that is made if need be. Blocks, for as long as it takes to read the
    /// names of all that is there.
    pub fn open(root: &Path, options: DiskBlobsOptions) -> Result<Self> {
        Self::open_io(root, options)
            .map_err(|error| blob_error(&format!("opening blobs in {}", root.display()), &error))
    }

    fn open_io(root: &Path, options: DiskBlobsOptions) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let lock = lock_folder(root)?;
        let packs = root.join("packs");
        let fresh = !packs.exists();
        let key = FingerprintKey::open(root, fresh)?;
        if fresh {
            std::fs::create_dir(&packs)?;
            sync_folder(root)?;
            root.parent().filter(|parent| parent.is_dir()).map_or(Ok(()), sync_folder)?;
        }
        let large = LargeFiles::open(root)?;
        let lease = Ticks::count(options.lease_ms);
        // The same limit as last time makes the same packs; a pack that is gone on with may be a little longer.
        let disk = fs4::statvfs(root)?;
        let free_min = options.free_min_bytes.min(disk.total_space() / 20);
        let resume_max = options.pack_len(options.limit_bytes) / 2;
        let found = recovery::recover(root, &packs, &large, lease, resume_max)?;
        // A limit that the disk can't hold would never let anything old go.
        let room = found.used + disk.available_space().saturating_sub(free_min);
        let limit = if options.limit_bytes == 0 { room } else { options.limit_bytes.min(room) };
        let pack_max = options.pack_len(limit);
        let (jobs, incoming) = mpsc::channel(CALLS_WAITING_MAX);
        let count = found.catalog.index.len() as u64;
        let shared = Arc::new(Shared::new(
            root.into(),
            key,
            Ticks::new(found.now),
            Arc::new(Space::new(root, limit, free_min, found.used, pack_max)),
            Arc::new(large),
            options.small_max_bytes.min(pack_max),
            found.catalog,
            jobs,
            lock,
        ));
        let committer = Committer::start(shared.clone(), &packs, pack_max, found.active, found.next_pack, incoming)?;
        let every = Duration::from_millis(options.snapshot_every_ms);
        let sweeper = Sweeper::start(shared.clone(), packs, limit, every, count)?;
        Ok(Self { shared, limit_bytes: options.limit_bytes, committer: Some(committer), sweeper: Some(sweeper) })
    }

    /// Removes an item, durably.
    async fn remove_item(&self, item: &Item) -> Result<bool> {
        if item.place.file().is_none() {
            // The committer takes it out, so that memory and disk see the same order; unless the sweeper has just moved it.
            let mut item = *item;
            loop {
                self.shared.write_gone(&item).await?;
                let found = self.shared.lock().index.get(item.fingerprint).copied();
                match found {
                    Some(moved) if moved.place != item.place && moved.place.file().is_none() => item = moved,
                    _ => return Ok(true),
                }
            }
        }
        let removed = self.shared.lock().remove(item.fingerprint, |found| found.place == item.place);
        let Some(removed) = removed else { return Ok(false) };
        self.shared.bury(&removed).await.map(|()| true)
    }
}

impl Drop for DiskBlobs {
    fn drop(&mut self) {
        self.shared.space.stop();
        join(self.sweeper.take());
        self.shared.stop_committer();
        join(self.committer.take());
        write_last_uses(&self.shared);
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("a thread of the blob store panicked");
    }
}

/// Each caller's answer, when all have the same.
fn same_for_all(count: usize, answer: &Result<()>) -> Vec<Result<()>> {
    let again = || match answer {
        Ok(()) => Ok(()),
        Err(Error::Exhausted(message)) => Err(Error::Exhausted(message.clone())),
        Err(error) => Err(Error::internal(error)),
    };
    (0..count).map(|_| again()).collect()
}
