//! The logs whose files are open: a bounded number, those used last. An entry is the one place that knows how far its
//! log has come, so no log ever has two.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_engine::logs::{LogAppend, LogError, LogHead, LogId};

use super::fault::log_error;
use super::files::LogFiles;
use super::name::LogPath;
use super::read::LogReader;
use super::record::{Change, Record};

/// A log that may be written and read.
pub struct OpenLog {
    id: LogId,
    path: LogPath,
    /// Held while files are opened, by threads that may block; else for a few instructions.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: bool,
    /// None: there is no such log.
    log: Option<(Arc<LogFiles>, LogHead)>,
    /// A change is on its way through the journal.
    changing: bool,
}

impl OpenLog {
    /// Opens the files, if nobody did. Blocks.
    pub fn look(&self) -> Result<(), LogError> {
        let mut state = self.lock();
        if !state.looked {
            let opened = LogFiles::open(&self.path, &self.id);
            let opened = opened.map_err(|error| log_error(&format!("opening log {}", self.id), &error))?;
            state.log = opened.map(|(files, head)| (Arc::new(files), head));
            state.looked = true;
        }
        Ok(())
    }

    /// Whether the files were opened, so that [`Self::look`] would do nothing.
    pub fn looked(&self) -> bool {
        // An entry that is being opened by another thread is not open yet; nobody waits for it here.
        self.state.try_lock().is_ok_and(|state| state.looked)
    }

    /// How far it has come.
    pub fn head(&self) -> Result<LogHead, LogError> {
        self.lock().log.as_ref().map(|(_, head)| *head).ok_or_else(|| LogError::NotFound(self.id.clone()))
    }

    /// Reads it as it is now.
    pub fn read<T>(&self, read: impl FnOnce(LogReader<'_>) -> Result<T, LogError>) -> Result<T, LogError> {
        let (files, head) = self.lock().log.clone().ok_or_else(|| LogError::NotFound(self.id.clone()))?;
        read(LogReader { files: &files, head })
    }

    /// Checks a change and makes its record; until [`Self::settle`] there can be no other.
    pub fn begin(&self, change: Change) -> Result<Record, LogError> {
        let mut state = self.lock();
        let before = match (&state.log, &change) {
            (Some((_, head)), Change::Append(_)) if head.complete => return Err(LogError::Closed(self.id.clone())),
            (None, Change::Delete) => return Err(LogError::NotFound(self.id.clone())),
            (Some((_, head)), _) => *head,
            (None, _) => LogHead::default(),
        };
        let fits = match &change {
            Change::Append(append) => append.at_lines == before.lines,
            Change::Delete => true,
        };
        if !fits || state.changing {
            return Err(LogError::Stale(self.id.clone()));
        }
        state.changing = true;
        Ok(Record { id: self.id.clone(), before, change, old: false })
    }

    /// Does to the files what the journal has made durable. Blocks.
    pub fn apply(&self, record: &Record) -> io::Result<LogHead> {
        let files = self.lock().log.as_ref().map(|(files, _)| files.clone());
        match &record.change {
            Change::Append(append) => {
                let (files, after) = match files {
                    Some(files) => files.apply(&record.before, append).map(|after| (files, after))?,
                    None => self.create(&record.before, append)?,
                };
                self.lock().log = Some((files, after));
                Ok(after)
            }
            Change::Delete => {
                self.lock().log = None;
                LogFiles::remove(&self.path)?;
                Ok(LogHead::default())
            }
        }
    }

    fn create(&self, before: &LogHead, append: &LogAppend) -> io::Result<(Arc<LogFiles>, LogHead)> {
        let made = LogFiles::create(&self.path, &self.id)
            .and_then(|files| files.apply(before, append).map(|after| (Arc::new(files), after)));
        if made.is_err() {
            // Half a log is none.
            let _ = LogFiles::remove(&self.path);
        }
        made
    }

    /// The change is done, or failed.
    pub fn settle(&self) {
        self.lock().changing = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them.
pub struct OpenLogs {
    root: PathBuf,
    max: usize,
    /// Held for a look-up, and to choose what is closed.
    logs: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    logs: HashMap<LogId, (Arc<OpenLog>, u64)>,
    clock: u64,
}

impl OpenLogs {
    /// None yet; at most about `max`, more only while all are in use.
    pub fn new(root: &Path, max: usize) -> Self {
        Self { root: root.into(), max, logs: Mutex::default() }
    }

    /// The entry of this log.
    pub fn get(&self, id: &LogId) -> Arc<OpenLog> {
        let mut closed = Vec::new();
        let mut used = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        used.clock += 1;
        let now = used.clock;
        if let Some((log, last_use)) = used.logs.get_mut(id) {
            *last_use = now;
            return log.clone();
        }
        if used.logs.len() >= self.max {
            used.close_the_older_half(&mut closed);
        }
        let log = Arc::new(OpenLog { id: id.clone(), path: LogPath::new(&self.root, id), state: Mutex::default() });
        used.logs.insert(id.clone(), (log.clone(), now));
        drop(used);
        // The files are closed out here.
        drop(closed);
        log
    }
}

impl Used {
    fn close_the_older_half(&mut self, closed: &mut Vec<Arc<OpenLog>>) {
        let mut uses: Vec<u64> = self.logs.values().map(|(_, last_use)| *last_use).collect();
        let middle = uses.len() / 2;
        let (_, middle, _) = uses.select_nth_unstable(middle);
        let middle = *middle;
        closed.extend(
            self.logs
                .extract_if(|_, (log, last_use)| *last_use < middle && Arc::strong_count(log) == 1)
                .map(|(_, (log, _))| log),
        );
    }
}
