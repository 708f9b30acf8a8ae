//! The start after a stop of any kind: does again what the journal holds, for the logs' own files may have lost any
//! part of it. A record says how far its log had come before, so doing it again is the same as having done it.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use millrace_engine::logs::LogId;

use super::checkpoint::{Dirty, make_durable};
use super::files::LogFiles;
use super::journal::Segments;
use super::name::LogPath;
use super::record::{Change, Record};

/// So many logs are open at a time.
const OPEN_MAX: usize = 64;

/// Does again what the journal holds and frees it; returns the number of the next segment.
pub fn recover(root: &Path, journal_folder: &Path) -> io::Result<u64> {
    let segments = Segments::find(journal_folder)?;
    let mut replay = Replay { root, open: HashMap::new(), dirty: Dirty::new() };
    for segment in &segments.live {
        segment.replay(journal_folder, |record| replay.redo(&record))?;
    }
    if !segments.live.is_empty() {
        tracing::info!(logs = replay.dirty.len(), "log journal replayed");
        make_durable(root, &replay.dirty)?;
    }
    for segment in &segments.live {
        segment.free(journal_folder)?;
    }
    Ok(segments.next_number)
}

struct Replay<'a> {
    root: &'a Path,
    open: HashMap<LogId, LogFiles>,
    dirty: Dirty,
}

impl Replay<'_> {
    fn redo(&mut self, record: &Record) -> io::Result<()> {
        let path = LogPath::new(self.root, &record.id);
        self.dirty.insert(record.id.clone());
        match &record.change {
            Change::Delete => {
                self.open.remove(&record.id);
                LogFiles::remove(&path)
            }
            Change::Append(append) => {
                let files = self.files(&path, record)?;
                if !files.holds(&record.before)? {
                    tracing::error!(log = %record.id, "a log lost what was durable; later rows of it are left out");
                    return Ok(());
                }
                if record.old {
                    return files.apply_old(&record.before, append);
                }
                files.apply(&record.before, append).map(|_| ())
            }
        }
    }

    fn files(&mut self, path: &LogPath, record: &Record) -> io::Result<&LogFiles> {
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(&record.id) {
            self.open.clear();
        }
        let files = match self.open.remove(&record.id) {
            Some(files) => files,
            None => LogFiles::create(path, &record.id)?,
        };
        Ok(self.open.entry(record.id.clone()).or_insert(files))
    }
}
