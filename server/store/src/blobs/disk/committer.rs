//! The thread that writes packs: takes records, syncs them as a group, puts them into the catalog, answers.
//!
//! The group needs no timer: while one sync is under way the next records gather, and an idle store syncs at once.
//! Because one thread does both, the order in the packs is the order in the catalog. Changes that depend on what is
//! there (moving a record, saying that one is gone) are a group of their own, so that they see all before them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::catalog::record_disk_bytes;
use super::fault::Fault;
use super::pack::{PACK_HEAD_BYTES, PackWriter, pack_path};
use super::pack_index::INDEX_FOOT_BYTES;
use super::record::{Kind, Record};
use super::shared::Shared;
use super::slab::{Item, Place};
use super::space::Reservation;

/// A group takes no more bytes than this (and one call more).
const GROUP_MAX_BYTES: u64 = 8 * 1024 * 1024;
/// So many calls may wait for the committer; their bytes are bounded by who reads them in.
pub const CALLS_WAITING_MAX: usize = 1024;

/// Something to be done, in order.
pub enum Job {
    /// Keep these.
    Put(Call),
    /// Make these changes, as far as what is there has not changed.
    Change(Vec<Change>, Call),
    /// Begin a new pack.
    Rotate(oneshot::Sender<()>),
    /// End.
    Stop,
}

/// Records and who waits for them.
pub struct Call {
    /// What to write. For changes none: they have their own.
    pub records: Vec<Record>,
    /// The space for it.
    pub reservation: Reservation,
    /// Who waits.
    pub reply: oneshot::Sender<Result<(), Fault>>,
}

/// A change that depends on what is there.
pub struct Change {
    /// The record to be written.
    pub record: Record,
    /// A blob or an entry that is moved: it must still be this. One that is gone: it may still be this, or nothing.
    pub item: Option<Item>,
}

/// Writes packs.
pub struct Committer {
    shared: Arc<Shared>,
    folder: PathBuf,
    pack_max_bytes: u64,
    active: Option<PackWriter>,
    next_number: u32,
}

impl Committer {
    /// Starts the thread. It goes on with `active`, or begins with pack `next_number`.
    pub fn start(
        shared: Arc<Shared>,
        folder: &Path,
        pack_max_bytes: u64,
        active: Option<PackWriter>,
        next_number: u32,
        jobs: mpsc::Receiver<Job>,
    ) -> io::Result<JoinHandle<()>> {
        let committer = Self { shared, folder: folder.into(), pack_max_bytes, active, next_number };
        std::thread::Builder::new().name("blob-commit".into()).spawn(move || committer.run(jobs))
    }

    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut next = None;
        while let Some(job) = next.take().or_else(|| jobs.blocking_recv()) {
            match job {
                Job::Put(first) => {
                    let mut bytes = first.reservation.bytes();
                    let mut calls = vec![first];
                    while bytes < GROUP_MAX_BYTES.min(self.pack_max_bytes) {
                        match jobs.try_recv() {
                            Ok(Job::Put(call)) => {
                                bytes += call.reservation.bytes();
                                calls.push(call);
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.put(calls);
                }
                Job::Change(changes, call) => self.change(&changes, call),
                Job::Rotate(reply) => {
                    self.seal();
                    // Nobody waits any more: fine.
                    let _ = reply.send(());
                }
                Job::Stop => break,
            }
        }
        self.seal_if_large();
    }

    fn put(&mut self, calls: Vec<Call>) {
        let records: Vec<&Record> = calls.iter().flat_map(|call| &call.records).collect();
        let result = self.write(&records).map(|places| {
            let mut catalog = self.shared.lock();
            let now = self.shared.ticks.now();
            for (record, place) in records.iter().zip(places) {
                let item = item_of(record, place);
                let known = catalog.index.get(item.fingerprint);
                // Two callers brought the same blob at the same time: the first is as good.
                if known.is_none_or(|known| item.entry || known.size != item.size) {
                    let before = catalog.insert(item, now);
                    self.shared.unlink_later(before);
                }
            }
        });
        for call in calls {
            let bytes = call.records.iter().map(|record| record_disk_bytes(record.data.len() as u64)).sum();
            call.answer(result.clone().map(|()| bytes));
        }
    }

    fn change(&mut self, changes: &[Change], call: Call) {
        let wanted: Vec<&Change> = {
            let catalog = self.shared.lock();
            changes
                .iter()
                .filter(|change| change.still_holds(catalog.index.get(change.record.header.fingerprint)))
                .collect()
        };
        let records: Vec<&Record> = wanted.iter().map(|change| &change.record).collect();
        let bytes = records.iter().map(|record| record_disk_bytes(record.data.len() as u64)).sum();
        let result = self.write(&records).map(|places| {
            let mut catalog = self.shared.lock();
            for (change, place) in wanted.iter().zip(places) {
                match (change.record.header.kind, &change.item) {
                    (Kind::Gone, item) => {
                        if let Some(pack) = place.pack().and_then(|(pack, _)| catalog.packs.get_mut(&pack)) {
                            pack.gone_bytes += record_disk_bytes(0);
                        }
                        if let Some(item) = item {
                            catalog.remove(item.fingerprint, |found| found.place == item.place);
                        }
                    }
                    (_, Some(item)) => catalog.relocate(item, place),
                    (_, None) => {}
                }
            }
        });
        call.answer(result.map(|()| bytes));
    }

    /// Writes and syncs; returns where the records are.
    fn write(&mut self, records: &[&Record]) -> Result<Vec<Place>, Fault> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let bytes: u64 = records.iter().map(|record| record.header.record_len()).sum();
        if self
            .active
            .as_ref()
            .is_some_and(|pack| pack.len() > PACK_HEAD_BYTES && pack.len() + bytes > self.pack_max_bytes)
        {
            self.seal();
        }
        let pack = match &mut self.active {
            Some(pack) => pack,
            None => {
                let pack = self.begin_pack().map_err(|error| Fault::new("making a pack for blobs", &error))?;
                self.active.insert(pack)
            }
        };
        match pack.commit(records) {
            Ok(offsets) => {
                let (number, len) = (pack.number, pack.len());
                if let Some(pack) = self.shared.lock().packs.get_mut(&number) {
                    pack.len = len;
                    pack.disk_bytes +=
                        records.iter().map(|record| record_disk_bytes(record.data.len() as u64)).sum::<u64>();
                }
                Ok(offsets.into_iter().map(|offset| Place::in_pack(number, offset)).collect())
            }
            Err(error) => {
                // After a failed sync nobody knows what is on the disk: this file is never written again.
                if let Some(pack) = self.active.take() {
                    self.shared.sealed(pack.number);
                    pack.give_up();
                }
                Err(Fault::new("writing a pack of blobs", &error))
            }
        }
    }

    fn begin_pack(&mut self) -> io::Result<PackWriter> {
        let number = self.next_number;
        // A name whose sync failed is never used again.
        self.next_number += 1;
        let pack = PackWriter::create(&self.folder, number).inspect_err(|_| {
            let _gone = std::fs::remove_file(pack_path(&self.folder, number));
        })?;
        let file = Arc::new(File::open(pack_path(&self.folder, number))?);
        let disk_bytes = PACK_HEAD_BYTES + INDEX_FOOT_BYTES;
        self.shared.space.add(disk_bytes);
        self.shared.add_pack(number, file, PACK_HEAD_BYTES, disk_bytes);
        Ok(pack)
    }

    fn seal(&mut self) {
        if let Some(pack) = self.active.take() {
            self.shared.sealed(pack.number);
            pack.seal();
        }
    }

    /// At the end: a pack that is small is gone on with at the next start.
    fn seal_if_large(&mut self) {
        if self.active.as_ref().is_some_and(|pack| pack.len() > self.pack_max_bytes / 2) {
            self.seal();
        }
    }
}

impl Call {
    fn answer(self, result: Result<u64, Fault>) {
        if let Ok(bytes) = &result {
            self.reservation.settle(*bytes);
        }
        // Nobody waits any more: that is the caller's choice.
        let _ = self.reply.send(result.map(|_| ()));
    }
}

impl Change {
    fn still_holds(&self, found: Option<&Item>) -> bool {
        let same = found.map(|found| found.place) == self.item.map(|item| item.place);
        if self.record.header.kind == Kind::Gone { same || found.is_none() } else { same && found.is_some() }
    }
}

fn item_of(record: &Record, place: Place) -> Item {
    let header = &record.header;
    Item {
        fingerprint: header.fingerprint,
        place,
        stored_len: u64::from(header.stored_len),
        size: header.size,
        encoding: header.encoding,
        entry: header.kind == Kind::Entry,
    }
}
