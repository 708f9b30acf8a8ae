//! The start after a stop of any kind: does again what the journal holds, for the logs' own files may have lost any
//! part of it. A record says how far its log had come before, so doing it again is the same as having done it.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use millrace_engine::logs::{LogAppend, LogHead, LogId, LogPlace};

use super::checkpoint::make_durable;
use super::dirty::Dirty;
use super::file_system::FileSystem;
use super::files::LogFiles;
use super::journal::Segments;
use super::layout::Layout;
use super::on_disk::is_sealed;
use super::open_logs::remove_log;
use super::record::{Change, Record};

/// So many logs are open at a time.
const OPEN_MAX: usize = 64;

/// Does again what the journal holds and frees it; returns the number of the next segment.
pub fn recover(layout: &Layout, journal_folder: &Path) -> io::Result<u64> {
    // Before anything is written, to hear of all that goes wrong with it.
    let file_system = FileSystem::of(&layout.root)?;
    let segments = Segments::find(journal_folder)?;
    let mut replay = Replay { layout, open: HashMap::new(), dirty: Dirty::default(), undeleted: HashMap::new() };
    for segment in &segments.live {
        segment.replay(journal_folder, |record| replay.redo(&record))?;
    }
    if !segments.live.is_empty() {
        tracing::info!(logs = replay.dirty.len(), "log journal replayed");
        make_durable(layout, &replay.dirty, &file_system)?;
    }
    for segment in &segments.live {
        segment.free(journal_folder)?;
    }
    Ok(segments.next_number)
}

struct Replay<'a> {
    layout: &'a Layout,
    open: HashMap<LogId, Found>,
    dirty: Dirty,
    /// What could not be removed.
    undeleted: HashMap<LogId, io::Error>,
}

/// A log as it was found.
enum Found {
    /// It was sealed, so all that the journal says of it is done.
    Sealed,
    /// Its files, and where they begin: what is before was removed, and no record brings it back.
    Plain(Box<LogFiles>, LogPlace),
}

impl Replay<'_> {
    fn redo(&mut self, record: &Record) -> io::Result<()> {
        if matches!(record.change, Change::Delete) {
            self.dirty.add(record);
            self.open.remove(&record.id);
            if let Err(error) = remove_log(self.layout, &record.id) {
                tracing::warn!(log = %record.id, %error, "a log could not be removed; it stays until retention tries again");
                self.undeleted.insert(record.id.clone(), error);
            }
            return Ok(());
        }
        // What follows is of another log of that id: it can't go on top of this one.
        if let Some(error) = self.undeleted.remove(&record.id) {
            return Err(error);
        }
        let Found::Plain(files, first) = self.find(&record.id)? else {
            // Its name may not be durable yet, and the journal is about to be freed.
            self.dirty.add(record);
            return Ok(());
        };
        let mut before = record.before;
        if first.line > before.first.line {
            before.first = *first;
        }
        match &record.change {
            Change::Append(append) => redo_append(files, record, &before, append)?,
            Change::Trim(to) => {
                *first = if to.line > first.line { *to } else { *first };
                files.write_first(&record.before, *first)?;
                files.sync_first()?;
                files.remove_between(record.before.first, *first)?;
            }
            Change::Delete => {}
        }
        self.dirty.add(record);
        Ok(())
    }

    fn find(&mut self, id: &LogId) -> io::Result<&mut Found> {
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(id) {
            self.open.clear();
        }
        let found = match self.open.remove(id) {
            Some(found) => found,
            None => self.look(id)?,
        };
        Ok(self.open.entry(id.clone()).or_insert(found))
    }

    fn look(&self, id: &LogId) -> io::Result<Found> {
        let path = self.layout.path(id);
        if is_sealed(self.layout, id)? {
            return Ok(Found::Sealed);
        }
        let files = LogFiles::create(&path, id)?;
        let first = files.stored_header()?.map_or(LogPlace::default(), |header| header.head.first);
        Ok(Found::Plain(Box::new(files), first))
    }
}

fn redo_append(files: &LogFiles, record: &Record, before: &LogHead, append: &LogAppend) -> io::Result<()> {
    let first = before.first;
    if first.line > 0 && before.after(append).bytes <= first.offset {
        // All of it was removed later, but for its marks.
        return if record.old { Ok(()) } else { files.apply_marks(before, append) };
    }
    // What was removed later can't be held; what is left of this record may be all there is at the beginning.
    if before.bytes > first.offset && !files.holds(before)? {
        tracing::error!(log = %record.id, "a log lost what was durable; later rows of it are left out");
        return Ok(());
    }
    if record.old {
        return files.apply_old(before, append);
    }
    files.apply(before, append).map(|_| ())
}
