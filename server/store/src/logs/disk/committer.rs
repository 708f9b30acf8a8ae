//! Three threads take changes through: the committer writes them to the journal and syncs, the applier writes the
//! logs' own files and answers, the checkpointer makes those files durable and frees the journal.
//!
//! When the checkpointer fails, the committer does again what the journal holds (see mend.rs): while it does, nothing is on
//! its way, and the applier has nothing to do.
//!
//! The group commit needs no timer: while one sync is under way the next changes gather, and an idle server syncs at
//! once.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use millrace_engine::logs::{LogError, LogHead, LogId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::checkpoint::{Checkpoint, Checkpointer, Done, sync_fault};
use super::dirty::Dirty;
use super::fault::log_error;
use super::file_system::FileSystem;
use super::journal::{Journal, SEGMENTS, ready_slots};
use super::layout::Layout;
use super::mend::{MendRequest, Mender};
use super::open_logs::{ApplyError, OpenLog, OpenLogs};
use super::record::{Change, Record};
use super::recovery::recover;
use super::sealer::SealQueue;
use super::slots::{Slot, Slots};

/// One commit takes no more than this (and one record more).
const COMMIT_MAX_BYTES: usize = 16 * 1024 * 1024;
/// So many changes may wait for the committer; more wait before they begin.
const CHANGES_WAITING_MAX: usize = 4096;
/// All changes on their way take no more memory than this, and one of any size alone.
const CHANGES_WAITING_MAX_BYTES: usize = 64 * 1024 * 1024;
/// So many commits may wait for the applier.
const COMMITS_WAITING_MAX: usize = 4;
/// A checkpoint starts when so many logs are dirty, even if the segment is not full.
const DIRTY_LOGS_MAX: usize = 8192;
/// A segment that has taken this much, or a quarter of what it may, has a next one prepared: a quiet server needs none.
const PREPARE_AFTER_BYTES: u64 = 1024 * 1024;

/// A change on its way.
struct Job {
    /// The log.
    log: Arc<OpenLog>,
    /// What happens to it.
    record: Record,
    /// Who waits.
    reply: oneshot::Sender<Result<LogHead, LogError>>,
    /// Its share of the memory.
    _share: OwnedSemaphorePermit,
}

/// What the committer gets.
enum Incoming {
    Change(Box<Job>),
    Mend(MendRequest),
}

/// Where the journal is, and what it is of.
#[derive(Clone, Debug)]
pub struct JournalPlace {
    /// The logs.
    pub layout: Layout,
    /// The folder of the journal.
    pub folder: PathBuf,
    /// A segment is checkpointed when it is longer.
    pub segment_max_bytes: u64,
}

impl JournalPlace {
    /// The slot to begin with, and the others: when no segment is live.
    fn slots(&self) -> io::Result<(Slot, Vec<Slot>)> {
        let ready = ready_slots(&self.folder, self.segment_max_bytes)?;
        let first = Slot { number: ready.first().copied().unwrap_or(0), ready: !ready.is_empty() };
        let others = (0..SEGMENTS).filter(|number| *number != first.number);
        Ok((first, others.map(|number| Slot { number, ready: ready.contains(&number) }).collect()))
    }
}

/// The threads. Dropping it takes through what was sent, and ends them.
pub struct Committer {
    jobs: Option<mpsc::Sender<Incoming>>,
    memory: Arc<Semaphore>,
    slots: Arc<Slots>,
    threads: Vec<JoinHandle<()>>,
}

impl Committer {
    /// Starts the threads; the journal has no live segment. `file_system` is the checkpointer's.
    pub fn start(
        place: JournalPlace,
        open: &Arc<OpenLogs>,
        next_number: u64,
        sealer: Option<SealQueue>,
        file_system: FileSystem,
    ) -> io::Result<Self> {
        let (first, others) = place.slots()?;
        let slots = Arc::new(Slots::default());
        slots.put_all(others);
        let (jobs, incoming) = mpsc::channel(CHANGES_WAITING_MAX);
        let (to_applier, commits) = sync_channel(COMMITS_WAITING_MAX);
        let (to_checkpointer, checkpoints) = sync_channel(2 * SEGMENTS);
        let checkpointer =
            Checkpointer::new(&place.layout, &place.folder, place.segment_max_bytes, slots.clone(), file_system);
        let mender = Mender::new(slots.clone(), jobs.downgrade(), Incoming::Mend);
        let committing = Committing {
            journal: Journal::new(&place.folder, first.number, next_number),
            place,
            open: open.clone(),
            sealer: sealer.clone(),
            growing: !first.ready,
            asked_for_more: false,
            dirty: HashSet::new(),
            slots: slots.clone(),
            applier: to_applier,
            checkpointer: to_checkpointer.clone(),
        };
        let applying =
            Applying { dirty: Dirty::default(), asked: false, slots: slots.clone(), to_checkpointer, sealer };
        let spawn =
            |name: &str, body: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.into()).spawn(body);
        let threads = vec![
            spawn("log-commit", Box::new(move || committing.run(incoming)))?,
            spawn("log-apply", Box::new(move || applying.run(&commits)))?,
            spawn("log-checkpoint", Box::new(move || checkpointer.run(&checkpoints, &mender)))?,
        ];
        let memory = Arc::new(Semaphore::new(CHANGES_WAITING_MAX_BYTES));
        Ok(Self { jobs: Some(jobs), memory, slots, threads })
    }

    /// Why no change is taken now; it is tried again whether that can be mended.
    pub fn fault(&self) -> Option<LogError> {
        self.slots.fault()
    }

    /// Takes a change through; answers when it is durable and can be read. Dropped while it waits for its share of
    /// the memory it does nothing, later it goes on.
    pub async fn change(&self, log: Arc<OpenLog>, change: Change) -> Result<LogHead, LogError> {
        let ended = |()| LogError::Io("the log committer has ended".into());
        let bytes = change.len().min(CHANGES_WAITING_MAX_BYTES);
        let share = self.memory.clone().acquire_many_owned(bytes as u32).await.map_err(|_| ended(()))?;
        let jobs = self.jobs.as_ref().ok_or(()).map_err(ended)?;
        let place = jobs.reserve().await.map_err(|_| ended(()))?;
        let (reply, answer) = oneshot::channel();
        let mut change = change;
        let record = loop {
            // Made before the look, so that nothing is missed.
            let settled = log.settled();
            match log.begin(change)? {
                Ok(record) => break record,
                Err(back) => change = back,
            }
            settled.await;
        };
        // Nothing waits between these two, so what has begun is always sent.
        place.send(Incoming::Change(Box::new(Job { log, record, reply, _share: share })));
        answer.await.unwrap_or_else(|_| Err(ended(())))
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.jobs = None;
        self.slots.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log committer panicked");
            }
        }
    }
}

impl Job {
    fn fail(self, error: LogError) {
        self.log.settle();
        // Nobody waits any more: that is the caller's choice.
        let _ = self.reply.send(Err(error));
    }
}

/// What the applier gets.
enum Committed {
    Jobs(Vec<Job>),
    /// All of this segment was sent before.
    SegmentDone(Done),
    /// All that was sent before is to be done when this is answered.
    Drain(SyncSender<()>),
}

struct Committing {
    journal: Journal,
    place: JournalPlace,
    open: Arc<OpenLogs>,
    sealer: Option<SealQueue>,
    /// The segment's file is not as long yet as it will be, so that syncs take longer.
    growing: bool,
    /// A better segment was asked for, while this one is written.
    asked_for_more: bool,
    /// Which logs the segment holds: their number decides about a checkpoint.
    dirty: HashSet<LogId>,
    slots: Arc<Slots>,
    applier: SyncSender<Committed>,
    checkpointer: SyncSender<Checkpoint>,
}

impl Committing {
    fn run(mut self, mut incoming: mpsc::Receiver<Incoming>) {
        while let Some(first) = incoming.blocking_recv() {
            let (mut jobs, mut bytes, mut mend) = (Vec::new(), 0, None);
            let mut next = Some(first);
            while let Some(now) = next {
                match now {
                    Incoming::Change(job) if job.log.fits(&job.record) => {
                        bytes += job.record.encoded_len();
                        jobs.push(*job);
                    }
                    Incoming::Change(job) => {
                        let error = LogError::Stale(job.record.id.clone());
                        job.fail(error);
                    }
                    Incoming::Mend(request) => {
                        mend = Some(request);
                        break;
                    }
                }
                next = if bytes < COMMIT_MAX_BYTES { incoming.try_recv().ok() } else { None };
            }
            if !jobs.is_empty() && !self.take_through(jobs) {
                return;
            }
            if let Some(request) = mend {
                let mended = self.mend().inspect_err(|error| {
                    tracing::warn!(%error, "logs could not be mended, trying again");
                });
                // Who asked may be gone: the store is being closed.
                let _ = request.send(mended.ok());
            }
        }
    }

    /// False if there is no applier any more.
    fn take_through(&mut self, jobs: Vec<Job>) -> bool {
        let done = self.commit(&jobs);
        self.slots.committed(done.as_ref().err());
        match done {
            Ok(()) => self.applier.send(Committed::Jobs(jobs)).is_ok(),
            Err(error) => {
                for job in jobs {
                    job.fail(error.clone());
                }
                true
            }
        }
    }

    /// Does again all that the journal holds, makes it durable and begins a new segment; returns its number.
    fn mend(&mut self) -> io::Result<u64> {
        let (done, drained) = sync_channel(1);
        let ended = || io::Error::other("the log applier has ended");
        self.applier.send(Committed::Drain(done)).map_err(|_| ended())?;
        drained.recv().map_err(|_| ended())?;
        self.journal.cut()?;
        let number = self.open.mend(|| recover(&self.place.layout, &self.place.folder))?;
        let (first, others) = self.place.slots()?;
        self.journal = Journal::new(&self.place.folder, first.number, number);
        (self.growing, self.asked_for_more) = (!first.ready, false);
        self.dirty.clear();
        self.slots.reset(others);
        // Some may be complete only now, or were open in another way when they were to be sealed.
        self.sealer.iter().for_each(SealQueue::look_for_more);
        Ok(number)
    }

    fn commit(&mut self, jobs: &[Job]) -> Result<(), LogError> {
        let segment_max_bytes = self.place.segment_max_bytes;
        let full = self.journal.len() >= segment_max_bytes || self.dirty.len() >= DIRTY_LOGS_MAX;
        if self.journal.len() > 0 && (full || self.growing && self.slots.has_ready()) {
            self.rotate()?;
        }
        let busy = self.journal.len() > PREPARE_AFTER_BYTES.min(segment_max_bytes / 4);
        if busy && !self.asked_for_more && !self.slots.has_ready() {
            self.asked_for_more = self.checkpointer.try_send(Checkpoint::Prepare).is_ok();
        }
        self.slots.check()?;
        let records = jobs.iter().map(|job| &job.record);
        self.journal.commit(records).map_err(|error| log_error("writing the log journal", &error))?;
        self.dirty.extend(jobs.iter().map(|job| job.record.id.clone()));
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), LogError> {
        let slot = self.slots.take()?;
        let number = self.journal.number();
        let done = Done { slot: self.journal.rotate(slot.number), number };
        (self.growing, self.asked_for_more) = (!slot.ready, false);
        self.dirty.clear();
        let sent = self.applier.send(Committed::SegmentDone(done));
        sent.map_err(|_| LogError::Io("the log applier has ended".into()))
    }
}

/// The applier: it alone writes the logs' files, in the order of the journal.
struct Applying {
    dirty: Dirty,
    /// A mend was asked for since the last one.
    asked: bool,
    slots: Arc<Slots>,
    to_checkpointer: SyncSender<Checkpoint>,
    sealer: Option<SealQueue>,
}

impl Applying {
    fn run(mut self, commits: &Receiver<Committed>) {
        while let Ok(committed) = commits.recv() {
            match committed {
                Committed::Jobs(jobs) => jobs.into_iter().for_each(|job| self.apply(job)),
                Committed::SegmentDone(segment) => {
                    let dirty = std::mem::take(&mut self.dirty);
                    if self.to_checkpointer.send(Checkpoint::Segment(segment, dirty)).is_err() {
                        return;
                    }
                }
                Committed::Drain(done) => {
                    (self.dirty, self.asked) = (Dirty::default(), false);
                    // It waits for this.
                    let _ = done.send(());
                }
            }
        }
    }

    fn apply(&mut self, job: Job) {
        self.dirty.add(&job.record);
        let slots = self.slots.clone();
        let _syncing = matches!(job.record.change, Change::Trim(_)).then(|| slots.syncing());
        // A failed append leaves the log as it was, for its head stays; what it wrote lies beyond.
        let error = match job.log.apply(&job.record) {
            Ok(head) => {
                job.log.settle();
                if head.complete
                    && let Some(sealer) = &self.sealer
                {
                    sealer.push(&job.record.id);
                }
                let _ = job.reply.send(Ok(head));
                return;
            }
            Err(ApplyError::Write(error)) => error,
            Err(ApplyError::Sync(error)) => {
                self.ask_for_mend(&error);
                error
            }
        };
        let error = log_error(&format!("writing log {}", job.record.id), &error);
        job.fail(error);
    }

    /// The checkpointer would not be told what this sync was.
    fn ask_for_mend(&mut self, error: &io::Error) {
        let fault = sync_fault(error);
        self.slots.fail(fault.clone());
        // Once is enough, and more might not fit: the mend waits for this thread.
        if !self.asked {
            // If it has ended, the store is being closed, and the next start mends them.
            self.asked = self.to_checkpointer.send(Checkpoint::Mend(fault)).is_ok();
        }
    }
}
