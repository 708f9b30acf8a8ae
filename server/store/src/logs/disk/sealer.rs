//! The thread that seals complete logs: writes each as one compressed file, and when that is durable lets the plain files
//! go. What can't be done now (the disk is full, a file is in use) is tried again; readers don't notice.
//!
//! Several logs share their syncs: those that end within a moment are sealed together.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millrace_engine::logs::{LogError, LogId};
use tokio::sync::oneshot;

use super::DiskLogsOptions;
use super::file_system::FileSystem;
use super::files::LogFiles;
use super::layout::Layout;
use super::leftovers;
use super::name::remove_if_there;
use super::open_logs::{Content, OpenLog, OpenLogs};
use super::sealed::{SealedLog, write_sealed};
use crate::positioned::sync_folder;

/// So many logs may wait to be sealed; if there are more, they are looked for later.
const SEALS_WAITING_MAX: usize = 64 * 1024;
/// So many logs share their syncs.
const SEAL_BATCH_MAX_LOGS: usize = 256;
/// So many bytes of sealed files are made durable together.
const SEAL_BATCH_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// More files than this are synced by one call for the whole file system, where there is one.
const SYNC_EACH_MAX: usize = 8;
/// How soon to try again what failed.
const SEAL_RETRY_WAIT: Duration = Duration::from_secs(30);
const WRITE_BUFFER_BYTES: usize = 256 * 1024;

/// Where logs are sent that have come to their end.
#[derive(Clone)]
pub struct SealQueue {
    requests: SyncSender<Request>,
    missed: Arc<AtomicBool>,
}

enum Request {
    Seal(LogId),
    /// Answered when all that was sent before is done, or failed.
    Settle(oneshot::Sender<()>),
}

impl SealQueue {
    /// This log is complete. Never waits.
    pub fn push(&self, id: &LogId) {
        if let Err(TrySendError::Full(_)) = self.requests.try_send(Request::Seal(id.clone())) {
            self.look_for_more();
        }
    }

    /// Logs that are complete may not have been sent.
    pub fn look_for_more(&self) {
        self.missed.store(true, Ordering::Relaxed);
    }
}

/// The thread. Dropping it stops it, wherever it is.
pub struct Sealer {
    queue: Option<SealQueue>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sealer {
    /// Starts the thread. `file_system` is its own.
    pub fn start(
        layout: &Layout,
        open: &Arc<OpenLogs>,
        options: &DiskLogsOptions,
        file_system: FileSystem,
    ) -> io::Result<Self> {
        let (requests, incoming) = sync_channel(SEALS_WAITING_MAX);
        let (missed, stop) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let sealing = Sealing {
            layout: layout.clone(),
            open: open.clone(),
            file_system,
            seal_after: options.seal_after,
            frame_bytes: options.seal_frame_bytes,
            missed: missed.clone(),
            stop: stop.clone(),
            retry: Vec::new(),
            uncleared: Vec::new(),
            unread: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("log-seal".into()).spawn(move || sealing.run(&incoming))?;
        Ok(Self { queue: Some(SealQueue { requests, missed }), stop, thread: Some(thread) })
    }

    /// Where to send logs.
    pub fn queue(&self) -> Option<SealQueue> {
        self.queue.clone()
    }

    /// Comes back when all that was sent before was tried.
    pub async fn settle(&self) {
        let (done, answer) = oneshot::channel();
        let Some(queue) = self.queue() else { return };
        // The channel is full only for a moment; a thread may wait for it, a task may not.
        let sent = tokio::task::spawn_blocking(move || queue.requests.send(Request::Settle(done)));
        if matches!(sent.await, Ok(Ok(()))) {
            // An error: the store is being closed.
            let _ = answer.await;
        }
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.queue = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that seals logs panicked");
        }
    }
}

struct Sealing {
    layout: Layout,
    open: Arc<OpenLogs>,
    file_system: FileSystem,
    seal_after: Option<Duration>,
    frame_bytes: usize,
    missed: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    retry: Vec<LogId>,
    /// Sealed logs whose plain files could not all be removed.
    uncleared: Vec<LogId>,
    /// Parts of the store that could not be looked through.
    unread: Vec<u16>,
}

/// A log whose sealed file is written, but not in its place yet.
struct Sealed {
    log: Arc<OpenLog>,
    plain: Arc<LogFiles>,
    unfinished: PathBuf,
    place: PathBuf,
    bytes: u64,
}

impl Sealing {
    fn run(mut self, incoming: &Receiver<Request>) {
        let mut retry_at = Instant::now() + SEAL_RETRY_WAIT;
        loop {
            let (mut logs, mut waiting) = (Vec::new(), Vec::new());
            if !self.missed.load(Ordering::Relaxed)
                && !gather(incoming, retry_at, self.seal_after, &mut logs, &mut waiting)
            {
                return;
            }
            if self.stopped() {
                return;
            }
            let now = Instant::now();
            let again = now >= retry_at || !waiting.is_empty();
            if self.missed.swap(false, Ordering::Relaxed) {
                logs.extend(self.look_for_more(leftovers::all_shards()));
            } else if again && !self.unread.is_empty() {
                let unread = std::mem::take(&mut self.unread);
                logs.extend(self.look_for_more(unread));
            }
            if again {
                logs.append(&mut self.retry);
                logs.extend(self.clear_again());
                retry_at = now + SEAL_RETRY_WAIT;
            }
            if self.seal_after.is_some() {
                self.seal(logs);
            }
            for waits in waiting {
                // Who waited may be gone.
                let _ = waits.send(());
            }
        }
    }

    fn look_for_more(&mut self, shards: Vec<u16>) -> Vec<LogId> {
        let mut found = leftovers::find(&self.layout, shards, || self.stopped());
        self.unread = found.unread;
        self.uncleared.extend(found.twice);
        found.complete.extend(self.clear_again());
        found.complete
    }

    fn seal(&mut self, mut logs: Vec<LogId>) {
        let mut seen = HashSet::new();
        logs.retain(|id| seen.insert(id.clone()));
        let mut batch: Vec<Sealed> = Vec::new();
        for id in logs {
            if self.stopped() {
                break;
            }
            match self.write(&id) {
                Ok(written) => batch.extend(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => break,
                Err(error) => {
                    tracing::warn!(log = %id, %error, "a log could not be sealed, trying again");
                    self.retry.push(id);
                }
            }
            if batch.len() >= SEAL_BATCH_MAX_LOGS
                || batch.iter().map(|log| log.bytes).sum::<u64>() >= SEAL_BATCH_MAX_BYTES
            {
                self.put_in_place(std::mem::take(&mut batch));
            }
        }
        self.put_in_place(batch);
    }

    /// Writes the file beside its place; none if there is nothing to seal.
    fn write(&self, id: &LogId) -> io::Result<Option<Sealed>> {
        let log = self.open.get(id);
        log.look().map_err(io::Error::other)?;
        let (plain, head) = match log.content() {
            Ok((Content::Plain(plain), head)) if head.complete => (plain, head),
            Ok(_) | Err(LogError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(io::Error::other(error)),
        };
        let path = self.layout.path(id);
        let (unfinished, place) = (path.unfinished(), path.sealed());
        let written = File::create(&unfinished).and_then(|file| {
            let mut out = BufWriter::with_capacity(WRITE_BUFFER_BYTES, file);
            let reader = super::read::LogReader { files: &plain, head };
            write_sealed(id, &reader, &mut out, self.frame_bytes, || !self.stopped())
        });
        match written {
            Ok(bytes) => Ok(Some(Sealed { log, plain, unfinished, place, bytes })),
            Err(error) => {
                remove_if_there(&unfinished)?;
                // Removed while it was read: there is nothing to seal any more.
                if matches!(log.content(), Err(LogError::NotFound(_))) { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Makes the files durable, puts them where they belong, and removes the plain ones.
    fn put_in_place(&mut self, batch: Vec<Sealed>) {
        if batch.is_empty() {
            return;
        }
        let synced = self
            .sync(batch.iter().map(|log| &log.unfinished), |path| File::options().write(true).open(path)?.sync_all());
        let open = self.open.clone();
        // As long as this lives nothing is mended.
        let ready = synced.and_then(|()| open.steady().map_err(io::Error::other));
        let mut placed = Vec::new();
        for log in batch {
            if ready.is_ok() && log.log.begin_swap(&Content::Plain(log.plain.clone())) {
                match std::fs::rename(&log.unfinished, &log.place) {
                    Ok(()) => placed.push(log),
                    Err(error) => self.give_up(&log, &error),
                }
            } else {
                // Removed or, if a sync or a mend failed, to be written again.
                let _ = remove_if_there(&log.unfinished);
                if let Err(error) = &ready {
                    tracing::warn!(log = %log.log.id(), %error, "a log could not be sealed, trying again");
                    self.retry.push(log.log.id().clone());
                }
            }
        }
        let folders: HashSet<_> = placed.iter().filter_map(|log| log.place.parent()).collect();
        let durable = self.sync(folders.iter(), |folder| sync_folder(folder));
        for log in placed {
            let opened = match &durable {
                Ok(()) => SealedLog::open(&log.place, self.open.frames()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            match opened.and_then(|sealed| sealed.ok_or_else(|| io::ErrorKind::NotFound.into())) {
                Ok(sealed) => {
                    log.log.swap(Content::Sealed(Arc::new(sealed)));
                    self.clear(&log.log);
                    log.log.settle();
                }
                Err(error) => self.give_up(&log, &error),
            }
        }
    }

    fn give_up(&mut self, log: &Sealed, error: &io::Error) {
        tracing::warn!(log = %log.log.id(), %error, "a log could not be sealed, trying again");
        // The plain files are whole: whatever is left of the other does no harm, for it is whole too.
        let _ = remove_if_there(&log.unfinished);
        let _ = remove_if_there(&log.place);
        log.log.settle();
        self.retry.push(log.log.id().clone());
    }

    /// Removes the plain files of a sealed log; only while nothing else can happen to it.
    fn clear(&mut self, log: &OpenLog) {
        if let Err(error) = LogFiles::remove(&self.layout.path(log.id())) {
            tracing::debug!(log = %log.id(), %error, "plain files of a sealed log could not be removed, trying again");
            self.uncleared.push(log.id().clone());
        }
    }

    /// The same for all that could not be cleared. Returns those that are to be sealed again: their sealed file is damaged.
    fn clear_again(&mut self) -> Vec<LogId> {
        let (open, mut damaged) = (self.open.clone(), Vec::new());
        for id in std::mem::take(&mut self.uncleared) {
            let log = self.open.get(&id);
            let looked = log.look();
            let steady = open.steady();
            if let Err(error) = looked {
                tracing::error!(log = %id, %error, "a log is there twice and can't be opened");
                if steady.is_err() {
                    self.uncleared.push(id);
                }
                continue;
            }
            match log.content() {
                // Which of both is whole is known when they are mended.
                _ if steady.is_err() => self.uncleared.push(id),
                Ok((sealed @ Content::Sealed(_), _)) if log.begin_swap(&sealed) => {
                    self.clear(&log);
                    log.settle();
                }
                Err(LogError::Io(_)) | Ok((Content::Sealed(_), _)) => self.uncleared.push(id),
                Ok((Content::Plain(_), head)) if head.complete => damaged.push(id),
                _ => {}
            }
        }
        damaged
    }

    fn sync<T>(&self, what: impl ExactSizeIterator<Item = T>, each: impl FnMut(T) -> io::Result<()>) -> io::Result<()> {
        if what.len() > SYNC_EACH_MAX && self.file_system.sync()? {
            return Ok(());
        }
        what.into_iter().try_for_each(each)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Takes what comes: until `idle_until` if nothing does, and after the first log for as long as others may come with it.
/// False when nobody can send any more.
fn gather(
    incoming: &Receiver<Request>,
    idle_until: Instant,
    seal_after: Option<Duration>,
    logs: &mut Vec<LogId>,
    waiting: &mut Vec<oneshot::Sender<()>>,
) -> bool {
    let mut until = idle_until;
    while waiting.is_empty() && logs.len() < SEAL_BATCH_MAX_LOGS {
        match incoming.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Request::Seal(id)) => {
                if logs.is_empty() {
                    until = Instant::now() + seal_after.unwrap_or_default();
                }
                logs.push(id);
            }
            Ok(Request::Settle(done)) => waiting.push(done),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
    true
}
