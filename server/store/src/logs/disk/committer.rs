//! Three threads take changes through: the committer writes them to the journal and syncs, the applier writes the
//! logs' own files and answers, the checkpointer makes those files durable and frees the journal.
//!
//! The group commit needs no timer: while one sync is under way the next changes gather, and an idle server syncs at
//! once.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use millrace_engine::logs::{LogError, LogHead, LogId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::checkpoint::{Dirty, make_durable};
use super::fault::log_error;
use super::journal::{Journal, SEGMENTS, free_segment};
use super::open_logs::OpenLog;
use super::record::{Change, Record};

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
/// How long a commit waits for the checkpointer before it fails.
const CHECKPOINT_WAIT_MAX: Duration = Duration::from_secs(30);

/// How soon to try again to free a segment.
const FREE_RETRY_WAIT: Duration = Duration::from_millis(200);

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
    threads: Vec<JoinHandle<()>>,
}

impl Committer {
    /// Starts the threads; the journal in `journal_folder` has no live segment.
    pub fn start(root: &Path, journal_folder: &Path, next_number: u64, segment_max_bytes: u64) -> io::Result<Self> {
        let slots = Arc::new(Slots::default());
        let (jobs, incoming) = mpsc::channel(CHANGES_WAITING_MAX);
        let (to_applier, commits) = sync_channel(COMMITS_WAITING_MAX);
        let (to_checkpointer, checkpoints) = sync_channel(SEGMENTS);
        slots.put_all(1..SEGMENTS);
        let committing = Committing {
            journal: Journal::new(journal_folder, 0, next_number),
            segment_max_bytes,
            dirty: HashSet::new(),
            slots: slots.clone(),
            applier: to_applier,
        };
        let checkpointing = Checkpointing { root: root.into(), journal_folder: journal_folder.into(), slots };
        let spawn =
            |name: &str, body: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.into()).spawn(body);
        let threads = vec![
            spawn("log-commit", Box::new(move || committing.run(incoming)))?,
            spawn("log-apply", Box::new(move || apply(&commits, &to_checkpointer)))?,
            spawn("log-checkpoint", Box::new(move || checkpointing.run(&checkpoints)))?,
        ];
        Ok(Self { jobs: Some(jobs), memory: Arc::new(Semaphore::new(CHANGES_WAITING_MAX_BYTES)), threads })
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
        // Nothing waits between these two, so what has begun is always sent.
        let record = log.begin(change)?;
        place.send(Job { log, record, reply, _share: share });
        answer.await.unwrap_or_else(|_| Err(ended(())))
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.jobs = None;
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
    /// Which logs the segment holds: their number decides about a checkpoint.
    dirty: HashSet<LogId>,
    slots: Arc<Slots>,
    applier: SyncSender<Committed>,
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
        if self.journal.len() >= self.segment_max_bytes || self.dirty.len() >= DIRTY_LOGS_MAX {
            let slot = self.slots.take()?;
            let done = self.journal.rotate(slot);
            self.dirty.clear();
            if self.applier.send(Committed::SegmentDone(done)).is_err() {
                return Err(LogError::Io("the log applier has ended".into()));
            }
        }
        self.slots.check()?;
        let records = jobs.iter().map(|job| &job.record);
        self.journal.commit(records).map_err(|error| log_error("writing the log journal", &error))?;
        self.dirty.extend(jobs.iter().map(|job| job.record.id.clone()));
        Ok(())
    }
}

/// The applier: it alone writes the logs' files, in the order of the journal.
fn apply(commits: &Receiver<Committed>, checkpointer: &SyncSender<(usize, Dirty)>) {
    let mut dirty = Dirty::default();
    while let Ok(committed) = commits.recv() {
        let jobs = match committed {
            Committed::Jobs(jobs) => jobs,
            Committed::SegmentDone(slot) => {
                if checkpointer.send((slot, std::mem::take(&mut dirty))).is_err() {
                    return;
                }
                continue;
            }
        };
        for job in jobs {
            dirty.insert(job.record.id.clone());
            // A failed append leaves the log as it was, for its head stays; what it wrote lies beyond.
            match job.log.apply(&job.record) {
                Ok(head) => {
                    job.log.settle();
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

struct Checkpointing {
    root: PathBuf,
    journal_folder: PathBuf,
    slots: Arc<Slots>,
}

impl Checkpointing {
    fn run(self, checkpoints: &Receiver<(usize, Dirty)>) {
        // All in them is durable, but that could not be written, for the disk is full.
        let mut done = Vec::new();
        loop {
            let wait = if done.is_empty() { Duration::MAX } else { FREE_RETRY_WAIT };
            match checkpoints.recv_timeout(wait) {
                Ok((slot, dirty)) => {
                    if let Err(error) = make_durable(&self.root, &dirty) {
                        // What a failed sync lost can't be known. The journal has it: the next start writes it again.
                        tracing::error!(%error, "log files could not be made durable; logs take no rows until a restart");
                        self.slots.fail(log_error("making logs durable failed, restart the server", &error));
                        return;
                    }
                    done.push(slot);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            done.retain(|slot| !self.free(*slot));
        }
    }

    fn free(&self, slot: usize) -> bool {
        match free_segment(&self.journal_folder, slot) {
            Ok(()) => self.slots.put_all([slot]),
            Err(error) => {
                tracing::warn!(%error, "a segment of the log journal could not be freed, trying again");
                return false;
            }
        }
        true
    }
}

/// The slots of the journal that are free.
#[derive(Default)]
struct Slots {
    /// Held for a few instructions, and let go while the committer waits for a slot.
    state: Mutex<SlotsState>,
    changed: Condvar,
}

#[derive(Default)]
struct SlotsState {
    free: Vec<usize>,
    failed: Option<LogError>,
}

impl Slots {
    /// A free slot, as soon as there is one.
    fn take(&self) -> Result<usize, LogError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let none_yet = |state: &mut SlotsState| state.free.is_empty() && state.failed.is_none();
        let waited = self.changed.wait_timeout_while(state, CHECKPOINT_WAIT_MAX, none_yet);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &state.failed {
            Some(error) => Err(error.clone()),
            None => state.free.pop().ok_or_else(|| LogError::Io("the disk does not keep up with the logs".into())),
        }
    }

    /// Fails after a checkpoint has failed.
    fn check(&self) -> Result<(), LogError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed.clone().map_or(Ok(()), Err)
    }

    fn put_all(&self, slots: impl IntoIterator<Item = usize>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).free.extend(slots);
        self.changed.notify_all();
    }

    fn fail(&self, error: LogError) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed = Some(error);
        self.changed.notify_all();
    }
}
