//! The logs whose files are open: a bounded number, those used last. An entry is the one place that knows how far its
//! log has come, so no log ever has two.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use millrace_engine::logs::{LogAppend, LogError, LogHead, LogId, LogLines, LogMark, LogPlace, ReadFrom};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::fault::log_error;
use super::files::LogFiles;
use super::layout::Layout;
use super::name::remove_if_there;
use super::on_disk::{self, OnDisk};
use super::read::LogReader;
use super::record::{Change, Record};
use super::sealed::{FrameCache, SealedLog, SealedReader};
use crate::positioned::sync_folder;

/// A log that may be written and read.
pub struct OpenLog {
    id: LogId,
    layout: Arc<Layout>,
    frames: Arc<FrameCache>,
    mending: Arc<RwLock<Mending>>,
    /// Told when a change or a move is done.
    settled: Notify,
    /// Held while files are opened, by threads that may block; else for a few instructions.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: bool,
    /// None: there is no such log.
    log: Option<(Content, LogHead)>,
    /// A change is on its way through the journal, or it is being moved.
    changing: bool,
    /// It is being moved to other files, which changes nothing of it.
    moving: bool,
}

/// Whether the files of logs are what their heads say. Written while they are mended, read by all who read files or move them;
/// taken before any log's own state.
#[derive(Default)]
pub struct Mending {
    /// They are being mended, or that has failed half-way: what is not open can't be opened.
    torn: bool,
}

/// How a log is kept.
#[derive(Clone)]
pub enum Content {
    /// As plain files.
    Plain(Arc<LogFiles>),
    /// As one file.
    Sealed(Arc<SealedLog>),
}

impl Content {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(this), Self::Plain(other)) => Arc::ptr_eq(this, other),
            (Self::Sealed(this), Self::Sealed(other)) => Arc::ptr_eq(this, other),
            _ => false,
        }
    }
}

/// Reads a log as it was at some time.
pub enum Reader<'a> {
    /// From its plain files.
    Plain(LogReader<'a>),
    /// From its one file.
    Sealed(SealedReader<'a>),
}

impl Reader<'_> {
    /// As [`millrace_engine::logs::LogStore::read`].
    pub fn read(&self, from: ReadFrom, max_lines: u64, max_bytes: usize) -> Result<LogLines, LogError> {
        match self {
            Self::Plain(log) => log.read(from, max_lines, max_bytes),
            Self::Sealed(log) => log.read(from, max_lines, max_bytes),
        }
    }

    /// As [`millrace_engine::logs::LogStore::read_bytes`].
    pub fn read_bytes(&self, offset: u64, max_bytes: usize) -> Result<Bytes, LogError> {
        match self {
            Self::Plain(log) => log.read_bytes(offset, max_bytes),
            Self::Sealed(log) => log.read_bytes(offset, max_bytes),
        }
    }

    /// As [`millrace_engine::logs::LogStore::marks`].
    pub fn marks(&self) -> Result<Vec<LogMark>, LogError> {
        match self {
            Self::Plain(log) => log.marks(),
            Self::Sealed(log) => Ok(log.marks()),
        }
    }

    /// What would be the first line after a trim; none if nothing can be taken.
    pub fn first_after_trim(&self, before_line: u64) -> Result<Option<LogPlace>, LogError> {
        match self {
            Self::Plain(log) => log.first_after_trim(before_line),
            Self::Sealed(_) => Ok(None),
        }
    }
}

impl OpenLog {
    /// Opens the files, if nobody did. Blocks.
    pub fn look(&self) -> Result<(), LogError> {
        let mending = steady(&self.mending);
        let mut state = self.lock();
        if !state.looked {
            if mending.torn {
                return Err(LogError::Io(format!("log {} can't be opened before the logs are mended", self.id)));
            }
            state.log = self.open_content().map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => LogError::Corrupt { id: self.id.clone(), message: error.to_string() },
                _ => log_error(&format!("opening log {}", self.id), &error),
            })?;
            state.looked = true;
        }
        Ok(())
    }

    /// Opens the files again, if they were open: they were mended.
    fn look_again(&self) {
        let mut state = self.lock();
        if !state.looked {
            return;
        }
        state.log = self.open_content().unwrap_or_else(|error| {
            tracing::error!(log = %self.id, %error, "a log that was mended can't be opened");
            state.looked = false;
            None
        });
    }

    /// Whether a change can be made to the log as it is now: it can't if it was mended since the change began, and has
    /// come to something else.
    pub fn fits(&self, record: &Record) -> bool {
        let state = self.lock();
        state.looked && state.log.as_ref().map_or(LogHead::default(), |(_, head)| *head) == record.before
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

    /// How it is kept, and how far it has come.
    pub fn content(&self) -> Option<(Content, LogHead)> {
        self.lock().log.clone()
    }

    /// Its id.
    pub fn id(&self) -> &LogId {
        &self.id
    }

    /// Reads it as it is now; once more, if the log's files were replaced meanwhile, or cut and it fails.
    pub fn read<T>(&self, read: impl Fn(Reader<'_>) -> Result<T, LogError>) -> Result<T, LogError> {
        loop {
            let _steady = steady(&self.mending);
            let (content, head) = self.content().ok_or_else(|| LogError::NotFound(self.id.clone()))?;
            let result = read(match &content {
                Content::Plain(files) => Reader::Plain(LogReader { files, head }),
                Content::Sealed(log) => Reader::Sealed(SealedReader(log)),
            });
            let replaced =
                || self.content().is_none_or(|(now, now_head)| !now.is(&content) || now_head.first != head.first);
            match result {
                Err(LogError::Corrupt { .. } | LogError::Io(_)) if replaced() => {}
                // Files are opened when they are needed: those of another log of this id may be among them.
                Ok(_) if self.content().is_none_or(|(now, _)| !now.is(&content)) => {}
                result => return result,
            }
        }
    }

    /// How many bytes its files take, and whether they are compressed. Blocks.
    pub fn stored(&self) -> Result<(u64, bool), LogError> {
        let _steady = steady(&self.mending);
        let (content, head) = self.content().ok_or_else(|| LogError::NotFound(self.id.clone()))?;
        match content {
            Content::Sealed(log) => Ok((log.bytes(), true)),
            Content::Plain(files) => {
                let bytes = files.stored_bytes(&head);
                Ok((bytes.map_err(|error| log_error(&format!("looking at log {}", self.id), &error))?, false))
            }
        }
    }

    fn open_content(&self) -> io::Result<Option<(Content, LogHead)>> {
        let found = on_disk::find(&self.layout, &self.id, &self.frames)?;
        Ok(found.map(|found| match found {
            OnDisk::Sealed(log) => {
                let head = log.head();
                (Content::Sealed(Arc::new(log)), head)
            }
            OnDisk::Plain(files, head) => (Content::Plain(files), head),
        }))
    }

    /// Checks a change and makes its record; until [`Self::settle`] there can be no other. Gives the change back while the
    /// log is being moved.
    pub fn begin(&self, change: Change) -> Result<Result<Record, Change>, LogError> {
        let mut state = self.lock();
        if !state.looked {
            return Err(LogError::Stale(self.id.clone()));
        }
        let before = match (&state.log, &change) {
            (Some((_, head)), Change::Append(_)) if head.complete => return Err(LogError::Closed(self.id.clone())),
            (None, Change::Delete | Change::Trim(_)) => return Err(LogError::NotFound(self.id.clone())),
            (Some((_, head)), _) => *head,
            (None, _) => LogHead::default(),
        };
        let fits = match &change {
            Change::Append(append) => append.at_lines == before.lines,
            Change::Trim(first) => first.line > before.first.line && !before.complete,
            Change::Delete => true,
        };
        if state.moving {
            return Ok(Err(change));
        }
        if !fits || state.changing {
            return Err(LogError::Stale(self.id.clone()));
        }
        state.changing = true;
        Ok(Ok(Record { id: self.id.clone(), before, change, old: false }))
    }

    /// Does to the files what the journal has made durable. Blocks.
    pub fn apply(&self, record: &Record) -> io::Result<LogHead> {
        let files = match &self.lock().log {
            Some((Content::Plain(files), _)) => Some(files.clone()),
            Some((Content::Sealed(_), _)) | None => None,
        };
        match &record.change {
            Change::Append(append) => {
                let (files, after) = match files {
                    Some(files) => files.apply(&record.before, append).map(|after| (files, after))?,
                    None => self.create(&record.before, append)?,
                };
                self.lock().log = Some((Content::Plain(files), after));
                Ok(after)
            }
            Change::Trim(first) => {
                let files = files.ok_or(io::ErrorKind::NotFound)?;
                let after = files.write_first(&record.before, *first)?;
                // Readers first: what they don't know of they don't miss.
                self.lock().log = Some((Content::Plain(files.clone()), after));
                if let Err(error) = files.remove_between(record.before.first, *first) {
                    tracing::warn!(log = %self.id, %error, "files that retention took could not all be removed");
                }
                Ok(after)
            }
            Change::Delete => {
                self.lock().log = None;
                let removed = remove_log(&self.layout, &self.id);
                // What could not be removed is still there, and is looked for again.
                self.lock().looked = removed.is_ok();
                removed.map(|()| LogHead::default())
            }
        }
    }

    fn create(&self, before: &LogHead, append: &LogAppend) -> io::Result<(Arc<LogFiles>, LogHead)> {
        let path = self.layout.path(&self.id);
        let made = LogFiles::create(&path, &self.id)
            .and_then(|files| files.apply(before, append).map(|after| (Arc::new(files), after)));
        if made.is_err() {
            // Half a log is none.
            let _ = LogFiles::remove(&path);
        }
        made
    }

    /// The change or the move is done, or failed.
    pub fn settle(&self) {
        let mut state = self.lock();
        (state.changing, state.moving) = (false, false);
        drop(state);
        self.settled.notify_waiters();
    }

    /// Begins to move it to other files, if it is kept like this and nothing else happens to it; until
    /// [`Self::settle`] nothing else can.
    pub fn begin_swap(&self, from: &Content) -> bool {
        let mut state = self.lock();
        let fits = !state.changing && state.log.as_ref().is_some_and(|(now, _)| now.is(from));
        if fits {
            (state.changing, state.moving) = (true, true);
        }
        fits
    }

    /// From now on it is read from here.
    pub fn swap(&self, to: Content) {
        if let Some((content, _)) = &mut self.lock().log {
            *content = to;
        }
    }

    /// Comes when something that is under way now is done, or failed.
    pub fn settled(&self) -> Notified<'_> {
        self.settled.notified()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn steady(mending: &RwLock<Mending>) -> RwLockReadGuard<'_, Mending> {
    mending.read().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all files of a log, however it is kept.
pub fn remove_log(layout: &Layout, id: &LogId) -> io::Result<()> {
    let path = layout.path(id);
    remove_if_there(&path.sealed())?;
    if let Some(archived) = layout.archived(id) {
        remove_if_there(&archived.sealed())?;
        // No checkpoint looks there, and it may have been removed by a process that was killed before it came to this.
        sync_folder(archived.folder())?;
    }
    LogFiles::remove(&path)
}

/// All of them.
pub struct OpenLogs {
    layout: Arc<Layout>,
    frames: Arc<FrameCache>,
    mending: Arc<RwLock<Mending>>,
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
    pub fn new(layout: &Layout, max: usize) -> Self {
        Self {
            layout: Arc::new(layout.clone()),
            frames: Arc::default(),
            mending: Arc::default(),
            max,
            logs: Mutex::default(),
        }
    }

    /// The pieces of sealed logs that were read last.
    pub fn frames(&self) -> &Arc<FrameCache> {
        &self.frames
    }

    /// As long as this lives nothing is mended. Never taken twice by one thread.
    pub fn steady(&self) -> RwLockReadGuard<'_, Mending> {
        steady(&self.mending)
    }

    /// Does something to the files of many logs while nobody reads them, and opens again what is open. When it fails nothing
    /// more is opened until it is done again.
    pub fn mend<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut mending = self.mending.write().unwrap_or_else(PoisonError::into_inner);
        mending.torn = true;
        let done = work()?;
        let used = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let logs: Vec<_> = used.logs.values().map(|(log, _)| log.clone()).collect();
        drop(used);
        for log in logs {
            log.look_again();
        }
        mending.torn = false;
        Ok(done)
    }

    /// The entry of this log, if it has one already.
    pub fn peek(&self, id: &LogId) -> Option<Arc<OpenLog>> {
        let used = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        used.logs.get(id).map(|(log, _)| log.clone())
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
        let log = Arc::new(OpenLog {
            id: id.clone(),
            layout: self.layout.clone(),
            frames: self.frames.clone(),
            mending: self.mending.clone(),
            settled: Notify::new(),
            state: Mutex::default(),
        });
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
