//! Makes the files of many logs durable, so that the journal needs no longer hold what is in them, and gives the
//! journal's segments back to be written again.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use millrace_engine::logs::LogError;

use super::dirty::{Dirty, Written};
use super::fault::log_error;
use super::file_system::FileSystem;
use super::files::{INDEX_ENTRY_BYTES, index_at, words_at};
use super::journal::{free_segment, prepare_segment};
use super::layout::Layout;
use super::mend::Mender;
use super::name::{LogPath, Part};
use super::slots::{Slot, Slots};
use crate::positioned::sync_folder;

/// More logs than this are synced by one call for the whole file system, where there is one: 27 ms against 500 ms for
/// a thousand logs.
const SYNC_EACH_MAX: usize = 32;

/// How soon to try again to free a segment.
const FREE_RETRY_WAIT: Duration = Duration::from_millis(200);

/// What the checkpointer gets.
pub enum Checkpoint {
    /// A segment is done; these are the logs in it.
    Segment(Done, Dirty),
    /// A sync of a log's files failed elsewhere, and no change is taken any more: they are to be mended.
    Mend(LogError),
    /// A slot should be made ready.
    Prepare,
}

/// A segment of the journal that is full.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Where it is.
    pub slot: usize,
    /// Its number.
    pub number: u64,
}

/// Brings slots back to where the committer takes them.
pub struct Checkpointer {
    layout: Layout,
    journal_folder: PathBuf,
    segment_max_bytes: u64,
    slots: Arc<Slots>,
    file_system: FileSystem,
}

impl Checkpointer {
    /// For these logs; none of them was written since `file_system` is there.
    pub fn new(
        layout: &Layout,
        journal_folder: &Path,
        segment_max_bytes: u64,
        slots: Arc<Slots>,
        file_system: FileSystem,
    ) -> Self {
        Self { layout: layout.clone(), journal_folder: journal_folder.into(), segment_max_bytes, slots, file_system }
    }

    /// Works until nobody can send any more.
    pub fn run<T>(self, checkpoints: &Receiver<Checkpoint>, mender: &Mender<T>) {
        // What was before this one was mended, which frees it.
        let mut first_number = 0;
        // All in them is durable, but that could not be written, for the disk is full.
        let mut done = Vec::new();
        loop {
            let wait = if done.is_empty() { Duration::MAX } else { FREE_RETRY_WAIT };
            let fault = match checkpoints.recv_timeout(wait) {
                Ok(Checkpoint::Segment(segment, _)) if segment.number < first_number => None,
                Ok(Checkpoint::Segment(segment, dirty)) => {
                    let made = make_durable(&self.layout, &dirty, &self.file_system);
                    // A failure that the applier was told of is not told again.
                    let fault = made.err().as_ref().map(sync_fault).or_else(|| self.slots.fault_of_syncs());
                    if fault.is_none() {
                        done.push(segment.slot);
                    }
                    fault
                }
                Ok(Checkpoint::Mend(fault)) => Some(fault),
                Ok(Checkpoint::Prepare) => {
                    self.prepare();
                    None
                }
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // What a failed sync lost can't be known, and to sync again tells nothing. The journal has it.
            if let Some(fault) = fault {
                tracing::warn!(error = %fault, "log files could not be made durable; logs take no rows until they are");
                let Some(number) = mender.mend(fault) else { return checkpoints.iter().for_each(drop) };
                first_number = number;
                done.clear();
            }
            // In their order: one must not be done again without those that came after it.
            while done.first().is_some_and(|slot| self.free(*slot)) {
                done.remove(0);
            }
        }
    }

    fn free(&self, number: usize) -> bool {
        match free_segment(&self.journal_folder, number) {
            Ok(len) => self.slots.put_all([Slot { number, ready: len >= self.segment_max_bytes }]),
            Err(error) => {
                tracing::warn!(%error, "a segment of the log journal could not be freed, trying again");
                return false;
            }
        }
        true
    }

    fn prepare(&self) {
        let Some(Slot { number, .. }) = self.slots.take_unready() else { return };
        let go_on = || !self.slots.stopped();
        let prepared = prepare_segment(&self.journal_folder, number, self.segment_max_bytes, go_on);
        let ready = prepared.unwrap_or_else(|error| {
            tracing::warn!(%error, "a segment of the log journal could not be prepared");
            false
        });
        self.slots.put_all([Slot { number, ready }]);
    }
}

/// Why no change is taken after a sync that failed.
pub fn sync_fault(error: &io::Error) -> LogError {
    log_error("making logs durable failed, trying again", error)
}

/// Makes the files of these logs durable. The file system is from before they were written.
pub fn make_durable(layout: &Layout, dirty: &Dirty, file_system: &FileSystem) -> io::Result<()> {
    if dirty.len() > SYNC_EACH_MAX && file_system.sync()? {
        return Ok(());
    }
    let mut folders = HashSet::new();
    for (id, written) in dirty.iter() {
        let path = layout.path(id);
        for file in files_of(&path, written) {
            // Windows syncs only what is open for writing.
            match OpenOptions::new().read(true).write(true).open(file) {
                Ok(file) => file.sync_all()?,
                // It has no such part, or was removed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        folders.insert(path.folder().to_owned());
    }
    folders.iter().try_for_each(|folder| sync_folder(folder))
}

/// The files that were written.
fn files_of(path: &LogPath, written: &Written) -> Vec<PathBuf> {
    let mut files = vec![path.part(Part::Lines), path.part(Part::Marks)];
    let mut add = |part, from: u64, to: u64| {
        let (first, last) = (from / path.segment_bytes(), to / path.segment_bytes());
        files.extend((first..=last).filter(|number| part != Part::Lines || *number > 0).map(|n| path.segment(part, n)));
    };
    if let Some(text) = &written.text {
        add(Part::Text, *text.start(), *text.end());
    }
    if let Some(lines) = &written.lines {
        add(Part::Lines, words_at(*lines.start()), words_at(*lines.end()));
        // The entry of the first line is before that place, that of the last one may be after it.
        add(Part::Index, index_at(lines.start().saturating_sub(1)), index_at(*lines.end()) + INDEX_ENTRY_BYTES as u64);
    }
    files
}
