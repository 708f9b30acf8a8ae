//! Moves sealed logs to another folder (a larger disk, a mounted bucket) some time after their end. Readers find them
//! there and don't notice the move.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use millrace_engine::logs::LogId;

use super::layout::Layout;
use super::name::{Kept, LogPath, Named, SHARDS, read_name, remove_if_there, shard_name};
use super::open_logs::{Content, OpenLogs};
use super::sealed::SealedLog;
use super::survey::read_id;
use crate::positioned::sync_folder;

/// How often sealed logs are looked through.
pub const ARCHIVE_EVERY: Duration = Duration::from_mins(10);
const COPY_BYTES: usize = 1024 * 1024;

/// Where sealed logs go, and when.
#[derive(Clone, Debug)]
pub struct ArchiveOptions {
    /// A folder of its own, made if need be.
    pub folder: PathBuf,
    /// So many milliseconds after it was sealed a log goes there.
    pub after_ms: u64,
}

/// Moves logs.
pub struct Archiver {
    layout: Layout,
    open: Arc<OpenLogs>,
    after: Duration,
    stop: Arc<AtomicBool>,
}

impl Archiver {
    /// To the archive of this layout.
    pub fn new(layout: &Layout, open: &Arc<OpenLogs>, options: &ArchiveOptions, stop: Arc<AtomicBool>) -> Self {
        let after = Duration::from_millis(options.after_ms);
        Self { layout: layout.clone(), open: open.clone(), after, stop }
    }

    /// Makes the folders of the archive.
    pub fn make_folders(archive: &Path) -> io::Result<()> {
        for shard in 0..SHARDS {
            std::fs::create_dir_all(archive.join(shard_name(shard)))?;
        }
        sync_folder(archive)
    }

    /// Moves all logs for which it is time. What fails is tried again the next time.
    pub fn archive_all(&self) {
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
        let Some((content @ Content::Sealed(_), _)) = log.content() else { return Ok(()) };
        if !self.copy(&from.sealed(), &to)? || !log.begin_swap(&content) {
            // Removed meanwhile, or the server stops.
            remove_if_there(&to.unfinished())?;
            return Ok(());
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
