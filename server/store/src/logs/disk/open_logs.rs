//! The logs whose files are open: a bounded number, those used last. An entry is the one place that knows how far its
//! log has come, so no log ever has two.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use millrace_engine::logs::{LogAppend, LogError, LogHead, LogId};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::fault::log_error;
use super::files::LogFiles;
use super::layout::Layout;
use super::name::remove_if_there;
use super::on_disk::{self, OnDisk};
use super::read::LogReader;
use super::reader::Reader;
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
    /// Held while files are opened, by threads that may block.
    opening: Mutex<()>,
    /// Held for a few instructions.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: bool,
    /// None: there is no such log, if it was looked at.
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
    /// They are being mended, or that has failed half-way: they may be older than what is known of them.
    torn: bool,
}

/// Why a change that is durable in the journal is not in the files.
pub enum ApplyError {
    /// It could not be written: the log is as before.
    Write(io::Error),
    /// It could not be made durable: what the failed sync lost no other sync of the file tells.
    Sync(io::Error),
}

impl From<io::Error> for ApplyError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
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

impl OpenLog {
    /// Opens the files, if nobody did. Blocks.
    pub fn look(&self) -> Result<(), LogError> {
        if self.looked() {
            return Ok(());
        }
        let _steady = steady(&self.mending)?;
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if self.looked() {
            return Ok(());
        }
        let log = self.open_content().map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => LogError::Corrupt { id: self.id.clone(), message: error.to_string() },
            _ => log_error(&format!("opening log {}", self.id), &error),
        })?;
        let mut state = self.lock();
        (state.log, state.looked) = (log, true);
        Ok(())
    }

    /// Opens the files again, if they were open: they were mended, and nothing else opens or moves them.
    fn look_again(&self) {
        if !self.looked() {
            return;
        }
        let opened = self.open_content();
        if let Err(error) = &opened {
            tracing::error!(log = %self.id, %error, "a log that was mended can't be opened");
        }
        let mut state = self.lock();
        state.looked = opened.is_ok();
        state.log = opened.unwrap_or_default();
    }

    /// Whether a change can be made to the log as it is now: it can't if it was mended since the change began, and has
    /// come to something else.
    pub fn fits(&self, record: &Record) -> bool {
        let state = self.lock();
        state.looked && state.log.as_ref().map_or(LogHead::default(), |(_, head)| *head) == record.before
    }

    /// Whether the files were opened, so that [`Self::look`] would do nothing.
    pub fn looked(&self) -> bool {
        self.lock().looked
    }

    /// How far it has come.
    pub fn head(&self) -> Result<LogHead, LogError> {
        self.lock().found(&self.id).map(|(_, head)| *head)
    }

    /// How it is kept, and how far it has come.
    pub fn content(&self) -> Result<(Content, LogHead), LogError> {
        self.lock().found(&self.id).cloned()
    }

    /// Its id.
    pub fn id(&self) -> &LogId {
        &self.id
    }

    /// Reads it as it is now; once more, if the log's files were replaced meanwhile, or cut and it fails.
    pub fn read<T>(&self, read: impl Fn(Reader<'_>) -> Result<T, LogError>) -> Result<T, LogError> {
        loop {
            let _steady = steady(&self.mending)?;
            let (content, head) = self.content()?;
            let result = read(match &content {
                Content::Plain(files) => Reader::Plain(LogReader { files, head }),
                Content::Sealed(log) => Reader::Sealed(SealedReader(log)),
            });
            let same = || self.content().is_ok_and(|(now, now_head)| now.is(&content) && now_head.first == head.first);
            match result {
                Err(LogError::Corrupt { .. } | LogError::Io(_)) if !same() => {}
                // Files are opened when they are needed: those of another log of this id may be among them.
                Ok(_) if !self.content().is_ok_and(|(now, _)| now.is(&content)) => {}
                result => return result,
            }
        }
    }

    /// How many bytes its files take, and whether they are compressed. Blocks.
    pub fn stored(&self) -> Result<(u64, bool), LogError> {
        let _steady = steady(&self.mending)?;
        let (content, head) = self.content()?;
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
    pub fn apply(&self, record: &Record) -> Result<LogHead, ApplyError> {
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
                let files = files.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
                let after = files.write_first(&record.before, *first)?;
                files.sync_first().map_err(ApplyError::Sync)?;
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
                Ok(removed.map(|()| LogHead::default())?)
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

impl State {
    fn found(&self, id: &LogId) -> Result<&(Content, LogHead), LogError> {
        match &self.log {
            Some(found) => Ok(found),
            None if self.looked => Err(LogError::NotFound(id.clone())),
            None => Err(LogError::Io(format!("log {id} could not be opened again, trying again"))),
        }
    }
}

fn steady(mending: &RwLock<Mending>) -> Result<RwLockReadGuard<'_, Mending>, LogError> {
    let mending = mending.read().unwrap_or_else(PoisonError::into_inner);
    if mending.torn {
        return Err(LogError::Io("files of logs can't be read or moved before they are mended, trying again".into()));
    }
    Ok(mending)
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

    /// As long as this lives nothing is mended; there is none after a mend that failed. Never taken twice by one thread.
    pub fn steady(&self) -> Result<RwLockReadGuard<'_, Mending>, LogError> {
        steady(&self.mending)
    }

    /// Does something to the files of many logs while nobody reads them, and opens again what is open. When it fails nothing
    /// is opened, read or moved until it is done again.
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
            opening: Mutex::default(),
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

#[cfg(test)]
mod tests {
    use super::super::name::Part;
    use super::*;

    #[test]
    fn nothing_is_read_or_moved_between_a_mend_that_failed_and_one_that_worked() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { root: folder.path().into(), archive: None, file_segment_bytes: 1 << 20 };
        let id = LogId::parse("a").unwrap();
        let path = layout.path(&id);
        std::fs::create_dir(path.folder()).unwrap();
        let text = LogAppend { text: "one\n".into(), words: vec![0; 8].into(), ..LogAppend::default() };
        let head = LogFiles::create(&path, &id).unwrap().apply(&LogHead::default(), &text).unwrap();
        let open = OpenLogs::new(&layout, 4);
        let log = open.get(&id);
        assert!(matches!(log.head(), Err(LogError::Io(_))), "nobody looked");
        log.look().unwrap();
        let bytes = || log.read(|log| log.read_bytes(0, 9));
        assert_eq!((bytes().unwrap().as_ref(), log.stored().unwrap().1), (&b"one\n"[..], false));

        open.mend(|| Err::<(), _>(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert!(matches!(bytes(), Err(LogError::Io(_))));
        assert!(matches!(log.stored(), Err(LogError::Io(_))));
        assert!(matches!(open.get(&LogId::parse("b").unwrap()).look(), Err(LogError::Io(_))));
        assert!(open.steady().is_err());
        assert_eq!(log.head(), Ok(head), "what was acknowledged");
        open.mend(|| Ok(())).unwrap();
        assert_eq!(bytes().unwrap().as_ref(), b"one\n");

        // Its files are there and can't be opened.
        let (lines, aside) = (path.part(Part::Lines), folder.path().join("aside"));
        std::fs::rename(&lines, &aside).unwrap();
        std::fs::create_dir(&lines).unwrap();
        open.mend(|| Ok(())).unwrap();
        assert!(matches!(log.head(), Err(LogError::Io(_))));
        assert!(matches!(bytes(), Err(LogError::Io(_))));
        assert!(matches!(log.stored(), Err(LogError::Io(_))));
        std::fs::remove_dir(&lines).unwrap();
        std::fs::rename(&aside, &lines).unwrap();
        log.look().unwrap();
        assert_eq!((log.head(), bytes().unwrap().as_ref()), (Ok(head), &b"one\n"[..]));
    }
}
