//! Three threads take changes through: the committer writes them to the journal and syncs, the applier writes the
//! logs' own files and answers, the checkpointer makes those files durable and frees the journal.
//!
//! The group commit needs no timer: while one sync is under way the next changes gather, and an idle server syncs at
//! once.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use millrace_engine::logs::{LogError, LogHead, LogId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::checkpoint::{Checkpoint, Checkpointer};
use super::dirty::Dirty;
use super::fault::log_error;
use super::journal::{Journal, SEGMENTS, ready_slots};
use super::layout::Layout;
use super::open_logs::OpenLog;
use super::record::{Change, Record};
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

/// The threads. Dropping it takes through what was sent, and ends them.
pub struct Committer {
    jobs: Option<mpsc::Sender<Job>>,
    memory: Arc<Semaphore>,
    slots: Arc<Slots>,
    threads: Vec<JoinHandle<()>>,
}

impl Committer {
    /// Starts the threads; the journal in `journal_folder` has no live segment.
    pub fn start(
        layout: &Layout,
        journal_folder: &Path,
        next_number: u64,
        segment_max_bytes: u64,
        sealer: Option<SealQueue>,
    ) -> io::Result<Self> {
        let ready = ready_slots(journal_folder, segment_max_bytes)?;
        let first = Slot { number: ready.first().copied().unwrap_or(0), ready: !ready.is_empty() };
        let others = (0..SEGMENTS).filter(|number| *number != first.number);
        let slots = Arc::new(Slots::default());
        slots.put_all(others.map(|number| Slot { number, ready: ready.contains(&number) }));
        let (jobs, incoming) = mpsc::channel(CHANGES_WAITING_MAX);
        let (to_applier, commits) = sync_channel(COMMITS_WAITING_MAX);
        let (to_checkpointer, checkpoints) = sync_channel(2 * SEGMENTS);
        let committing = Committing {
            journal: Journal::new(journal_folder, first.number, next_number),
            segment_max_bytes,
            growing: !first.ready,
            asked_for_more: false,
            dirty: HashSet::new(),
            slots: slots.clone(),
            applier: to_applier,
            checkpointer: to_checkpointer.clone(),
        };
        let checkpointer = Checkpointer::new(layout, journal_folder, segment_max_bytes, slots.clone());
        let spawn =
            |name: &str, body: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.into()).spawn(body);
        let threads = vec![
            spawn("log-commit", Box::new(move || committing.run(incoming)))?,
            spawn("log-apply", Box::new(move || apply(&commits, &to_checkpointer, sealer.as_ref())))?,
            spawn("log-checkpoint", Box::new(move || checkpointer.run(&checkpoints)))?,
        ];
        let memory = Arc::new(Semaphore::new(CHANGES_WAITING_MAX_BYTES));
        Ok(Self { jobs: Some(jobs), memory, slots, threads })
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
        place.send(Job { log, record, reply, _share: share });
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
    /// All of this slot's segment was sent before.
    SegmentDone(usize),
}

struct Committing {
    journal: Journal,
    segment_max_bytes: u64,
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
    fn run(mut self, mut incoming: mpsc::Receiver<Job>) {
        while let Some(first) = incoming.blocking_recv() {
            let mut bytes = first.record.encoded_len();
            let mut jobs = vec![first];
            while bytes < COMMIT_MAX_BYTES
                && let Ok(job) = incoming.try_recv()
            {
                bytes += job.record.encoded_len();
                jobs.push(job);
            }
            match self.commit(&jobs) {
                Ok(()) => {
                    if self.applier.send(Committed::Jobs(jobs)).is_err() {
                        return;
                    }
                }
                Err(error) => jobs.into_iter().for_each(|job| job.fail(error.clone())),
            }
        }
    }

    fn commit(&mut self, jobs: &[Job]) -> Result<(), LogError> {
        let full = self.journal.len() >= self.segment_max_bytes || self.dirty.len() >= DIRTY_LOGS_MAX;
        if self.journal.len() > 0 && (full || self.growing && self.slots.has_ready()) {
            self.rotate()?;
        }
        let busy = self.journal.len() > PREPARE_AFTER_BYTES.min(self.segment_max_bytes / 4);
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
        let done = self.journal.rotate(slot.number);
        (self.growing, self.asked_for_more) = (!slot.ready, false);
        self.dirty.clear();
        let sent = self.applier.send(Committed::SegmentDone(done));
        sent.map_err(|_| LogError::Io("the log applier has ended".into()))
    }
}

/// The applier: it alone writes the logs' files, in the order of the journal.
fn apply(commits: &Receiver<Committed>, checkpointer: &SyncSender<Checkpoint>, sealer: Option<&SealQueue>) {
    let mut dirty = Dirty::default();
    while let Ok(committed) = commits.recv() {
        let jobs = match committed {
            Committed::Jobs(jobs) => jobs,
            Committed::SegmentDone(slot) => {
                if checkpointer.send(Checkpoint::Segment(slot, std::mem::take(&mut dirty))).is_err() {
                    return;
                }
                continue;
            }
        };
        for job in jobs {
            dirty.add(&job.record);
            // A failed append leaves the log as it was, for its head stays; what it wrote lies beyond.
            match job.log.apply(&job.record) {
                Ok(head) => {
                    job.log.settle();
                    if head.complete
                        && let Some(sealer) = sealer
                    {
                        sealer.push(&job.record.id);
                    }
                    let _ = job.reply.send(Ok(head));
                }
                Err(error) => {
                    let error = log_error(&format!("writing log {}", job.record.id), &error);
                    job.fail(error);
                }
            }
        }
    }
}
