//! What the store's threads and its callers share.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_engine::error::{Error, Result};
use tokio::sync::{mpsc, oneshot};

use super::catalog::{Catalog, Pack, record_disk_bytes};
use super::committer::{Call, Change, Job};
use super::fault::Fault;
use super::fingerprint::FingerprintKey;
use super::large::LargeFiles;
use super::record::Record;
use super::slab::Item;
use super::space::{Reservation, Space};
use super::ticks::Ticks;

/// What the store's threads and its callers share.
pub struct Shared {
    /// The folder.
    pub root: PathBuf,
    /// Makes names.
    pub key: FingerprintKey,
    /// The time for the order of use.
    pub ticks: Ticks,
    /// The account of bytes.
    pub space: Arc<Space>,
    /// The files of large blobs.
    pub large: Arc<LargeFiles>,
    /// Blobs of more bytes have a file of their own.
    pub small_max_bytes: u64,
    /// Changes since the order of use was last written down.
    pub changes: AtomicU64,
    catalog: Mutex<Catalog>,
    jobs: mpsc::Sender<Job>,
    /// Locked as long as this lives: two servers must not share a folder.
    _lock: File,
}

impl Shared {
    /// Puts it together.
    #[expect(clippy::too_many_arguments, reason = "each is a part of its own, made once at the start")]
    pub fn new(
        root: PathBuf,
        key: FingerprintKey,
        ticks: Ticks,
        space: Arc<Space>,
        large: Arc<LargeFiles>,
        small_max_bytes: u64,
        catalog: Catalog,
        jobs: mpsc::Sender<Job>,
        lock: File,
    ) -> Self {
        let catalog = Mutex::new(catalog);
        Self { root, key, ticks, space, large, small_max_bytes, changes: AtomicU64::new(0), catalog, jobs, _lock: lock }
    }

    /// The catalog, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has records written; answers when they are durable and can be found.
    pub async fn put(&self, records: Vec<Record>, reservation: Reservation) -> Result<()> {
        self.send(|reply| Job::Put(Call { records, reservation, reply })).await
    }

    /// Has it written down, durably, that this item is gone, unless something newer has its name.
    pub async fn write_gone(&self, item: &Item) -> Result<()> {
        let reservation = self.space.reserve(record_disk_bytes(0)).await?;
        let changes = vec![Change { record: Record::gone(item.fingerprint), item: Some(*item) }];
        self.send(|reply| Job::Change(changes, Call { records: Vec::new(), reservation, reply })).await
    }

    /// Makes changes; for the sweeper's thread.
    pub fn change_blocking(&self, changes: Vec<Change>, reservation: Reservation) -> std::result::Result<(), Fault> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Change(changes, Call { records: Vec::new(), reservation, reply });
        self.jobs.blocking_send(job).map_err(|_| Fault::ended())?;
        answer.blocking_recv().unwrap_or_else(|_| Err(Fault::ended()))
    }

    /// Begins a new pack; for the sweeper's thread.
    pub fn rotate_blocking(&self) {
        let (reply, answer) = oneshot::channel();
        if self.jobs.blocking_send(Job::Rotate(reply)).is_ok() {
            // It may be ending.
            let _ = answer.blocking_recv();
        }
    }

    /// Ends the committer, after all that was sent. Blocks until there is room for the word.
    pub fn stop_committer(&self) {
        let mut stop = Job::Stop;
        while let Err(mpsc::error::TrySendError::Full(again)) = self.jobs.try_send(stop) {
            stop = again;
            std::thread::yield_now();
        }
    }

    /// A pack begins.
    pub fn add_pack(&self, number: u32, file: Arc<File>, len: u64, disk_bytes: u64) {
        let pack = Pack { file, len, disk_bytes, live_bytes: 0, gone_bytes: 0, sealed: false };
        self.lock().packs.insert(number, pack);
    }

    /// Nothing more is written to a pack.
    pub fn sealed(&self, number: u32) {
        if let Some(pack) = self.lock().packs.get_mut(&number) {
            pack.sealed = true;
        }
    }

    /// Something else has this item's name, or nothing: its own file can go, if it has one.
    pub fn unlink_later(&self, item: Option<Item>) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        if let Some(item) = item.filter(|item| item.place.file().is_some()) {
            let freed = self.large.remove(&item);
            self.space.remove(freed);
        }
    }

    async fn send(&self, job: impl FnOnce(oneshot::Sender<std::result::Result<(), Fault>>) -> Job) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| Error::from(Fault::ended()))?;
        answer.await.unwrap_or_else(|_| Err(Fault::ended())).map_err(Error::from)
    }
}
