//! The thread that moves sealed logs to another folder (a larger disk, a mounted bucket) some time after their end. Readers
//! find them there and don't notice the move. It is a thread of its own, for a copy to a far disk may take long.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use millrace_engine::logs::LogId;
use tokio::sync::oneshot;

use super::layout::Layout;
use super::leftovers::remove_unfinished;
use super::name::{Kept, LogPath, Named, SHARDS, read_name, remove_if_there, shard_name};
use super::open_logs::{Content, OpenLogs};
use super::sealed::SealedLog;
use super::survey::read_id;
use crate::folder_lock::lock_folder;
use crate::positioned::sync_folder;

/// How often sealed logs are looked through.
const ARCHIVE_EVERY: Duration = Duration::from_mins(10);
/// How long the server waits at its end for a disk that does not answer.
const ARCHIVE_STOP_WAIT: Duration = Duration::from_secs(10);
const COPY_BYTES: usize = 1024 * 1024;
/// So many may wait for a round; more wait before they ask.
const ASKING_MAX: usize = 16;

/// Where sealed logs go, and when.
#[derive(Clone, Debug)]
pub struct ArchiveOptions {
    /// A folder of its own, made if need be.
    pub folder: PathBuf,
    /// So many milliseconds after it was sealed a log goes there.
    pub after_ms: u64,
}

/// Makes the folders of an archive, and locks it for as long as what it returns lives; none where a file system has no locks.
pub fn make_archive(archive: &Path) -> io::Result<Option<File>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("the archive {}: {error}", archive.display()));
    std::fs::create_dir_all(archive).map_err(named)?;
    let lock = match lock_folder(archive) {
        Ok(lock) => Some(lock),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let folder = archive.display();
            tracing::warn!(%folder, "the archive can't be locked there: see to it that no other server uses it");
            None
        }
        Err(error) => return Err(named(error)),
    };
    for shard in 0..SHARDS {
        std::fs::create_dir_all(archive.join(shard_name(shard))).map_err(named)?;
    }
    sync_folder(archive).map_err(named)?;
    Ok(lock)
}

/// The thread. Dropping it stops it, wherever it is, unless the disk does not answer: then it is left behind.
pub struct Archiver {
    rounds: Option<SyncSender<oneshot::Sender<()>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread ends. The lock is never waited for: it is only taken by who drops this.
    ended: Mutex<Receiver<()>>,
}

impl Archiver {
    /// Starts the thread, for the archive of this layout. It holds the locks for as long as it may write, even when it is
    /// left behind.
    pub fn start(
        layout: &Layout,
        open: &Arc<OpenLogs>,
        options: &ArchiveOptions,
        locks: Vec<Arc<File>>,
    ) -> io::Result<Self> {
        let (rounds, asked) = sync_channel(ASKING_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let after = Duration::from_millis(options.after_ms);
        let archiving = Archiving { layout: layout.clone(), open: open.clone(), after, stop: stop.clone() };
        let folder = options.folder.clone();
        let (ends, ended) = sync_channel(0);
        let body = move || {
            let _held: (Vec<Arc<File>>, SyncSender<()>) = (locks, ends);
            archiving.run(&folder, &asked);
        };
        let thread = std::thread::Builder::new().name("log-archive".into()).spawn(body)?;
        Ok(Self { rounds: Some(rounds), stop, thread: Some(thread), ended: Mutex::new(ended) })
    }

    /// Comes back when all for which it was time has been tried.
    pub async fn settle(&self) {
        let (done, answer) = oneshot::channel();
        let Some(rounds) = self.rounds.clone() else { return };
        // A thread may wait for a place, a task may not.
        let sent = tokio::task::spawn_blocking(move || rounds.send(done));
        if matches!(sent.await, Ok(Ok(()))) {
            // An error: the store is being closed.
            let _ = answer.await;
        }
    }
}

impl Drop for Archiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.rounds = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if matches!(ended.recv_timeout(ARCHIVE_STOP_WAIT), Err(RecvTimeoutError::Timeout)) {
            let wait = ARCHIVE_STOP_WAIT.as_secs();
            tracing::warn!("the archive has not answered for {wait} s: what was being archived is left as it is");
            return;
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that archives logs panicked");
        }
    }
}

/// Moves logs.
struct Archiving {
    layout: Layout,
    open: Arc<OpenLogs>,
    after: Duration,
    stop: Arc<AtomicBool>,
}

impl Archiving {
    fn run(self, archive: &Path, asked: &Receiver<oneshot::Sender<()>>) {
        remove_unfinished(archive, || self.stop.load(Ordering::Relaxed));
        let mut next = Instant::now();
        loop {
            let waits = match asked.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(waits) => Some(waits),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.archive_all();
            next = Instant::now() + ARCHIVE_EVERY;
            if let Some(waits) = waits {
                // Who waited may be gone.
                let _ = waits.send(());
            }
        }
    }

    /// Moves all logs for which it is time. What fails is tried again the next time.
    fn archive_all(&self) {
        for shard in 0..SHARDS {
            let due = self.due(shard).unwrap_or_else(|error| {
                tracing::warn!(%error, "sealed logs could not be looked through");
                Vec::new()
            });
            for id in due {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                if let Err(error) = self.archive(&id) {
                    tracing::warn!(log = %id, %error, "a log could not be archived, trying again");
                }
            }
        }
    }

    fn due(&self, shard: u16) -> io::Result<Vec<LogId>> {
        let mut due = Vec::new();
        for entry in std::fs::read_dir(self.layout.root.join(shard_name(shard)))? {
            let entry = entry?;
            let id = match read_name(&entry.file_name().to_string_lossy()) {
                Named::Log(id, Kept::Sealed) => Some(id),
                Named::LongId(Kept::Sealed) => read_id(&entry.path(), Kept::Sealed)?,
                _ => None,
            };
            let old = |sealed: SystemTime| sealed.elapsed().is_ok_and(|age| age >= self.after);
            match (id, entry.metadata()) {
                (Some(id), Ok(file)) if old(file.modified()?) => due.push(id),
                (_, Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(due)
    }

    fn archive(&self, id: &LogId) -> io::Result<()> {
        let (from, Some(to)) = (self.layout.path(id), self.layout.archived(id)) else { return Ok(()) };
        let log = self.open.get(id);
        log.look().map_err(io::Error::other)?;
        let Ok((content @ Content::Sealed(_), _)) = log.content() else { return Ok(()) };
        let copied = self.copy(&from.sealed(), &to);
        let steady = self.open.steady();
        if !matches!(copied, Ok(true)) || steady.is_err() || !log.begin_swap(&content) {
            // Removed meanwhile, or the server stops, or it failed, or the logs are to be mended first.
            let steady = steady.map(drop).map_err(io::Error::other);
            remove_if_there(&to.unfinished())?;
            return copied.and(steady);
        }
        let moved = self.switch(&from, &to, |sealed| log.swap(Content::Sealed(Arc::new(sealed))));
        log.settle();
        moved
    }

    fn switch(&self, from: &LogPath, to: &LogPath, swap: impl FnOnce(SealedLog)) -> io::Result<()> {
        std::fs::rename(to.unfinished(), to.sealed())?;
        sync_folder(to.folder())?;
        let sealed = SealedLog::open(&to.sealed(), self.open.frames())?;
        swap(sealed.ok_or(io::ErrorKind::NotFound)?);
        remove_if_there(&from.sealed()).map(|_| ())
    }

    /// Copies and syncs; false if there is nothing to copy, or it is time to stop.
    fn copy(&self, from: &Path, to: &LogPath) -> io::Result<bool> {
        let mut from = match File::open(from) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut out = File::create(to.unfinished())?;
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => out.write_all(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        out.sync_all()?;
        Ok(true)
    }
}
