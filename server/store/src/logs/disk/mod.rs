//! Logs as plain files while they are written, made durable by one journal for all of them, and as one compressed file
//! each when they are complete.
//!
//! ```text
//! journal/0..3          every change of every log, synced before it is acknowledged (journal.rs, record.rs)
//! 00..ff/log-ID.text    the bytes            .lines  head, and a word for each line
//!               .index  each 256th line      .marks  groups, errors, warnings (both only where needed)
//!        log-ID~1.text  the first three are cut into segments of 64 MiB (segmented.rs): this is the second one
//!        log-ID.zst     all of a complete log, instead of these (sealed/)
//! ```
//!
//! An append is written to the journal and synced, then to the log's own files, then answered; readers read those
//! files. They are made durable later, when a journal segment is full, which is then used again. After a crash the
//! journal is done again over whatever the files have kept of it, in whatever order they were flushed.
//!
//! Why a journal, on ext4 and a virtual disk with two cores: one sync of one appended file takes 0.33 ms, 0.13 ms over
//! bytes that are there already (which is why segments are used again, and prepared for a busy server), syncing 8 logs
//! of 2 files each 5.7 to 6.4 ms. A thousand tiny logs with syncs of their own cost 0.95 ms each (0.26 ms with 16
//! threads), the files alone 0.065 ms. `cargo run --release -p millrace-store --example log_ingest` with 8 writers of
//! 100-byte lines, on that machine while it was busy with builds (load 10): 1.56 million lines/s in calls of 10 000
//! rows, 1.0 million in calls of 1 000, 0.15 million in calls of 100; a row alone is durable after 0.26 ms and with a
//! tail at the same time (p50); a thousand small logs at once take 0.2 to 0.4 s; a start over a full journal 0.25 s. Without
//! prepared segments it was about half. Over the wire and on an idle machine (`millrace-bench log-ingest`, `log-read`): 2.2
//! million lines/s; 100 lines from anywhere in 1 GB p99 0.9 ms, 6 ms when it is sealed.
//!
//! Retention takes whole segments from the front of a log, by a change like any other ([`record::Change::Trim`]); what can't
//! be seen from the files that are left, that they were more, stands in the head and is synced before they go.
//!
//! A complete log is sealed soon after its end by a thread of its own (sealer.rs): written beside its place, synced, renamed,
//! the folder synced, and only then the plain files are removed. A crash anywhere leaves one good copy, or two; the journal
//! does nothing again to a log that has its sealed file, but for its removal, and the next start clears up (leftovers.rs).
//! Of two copies that are not the same, or one of them damaged, the plain one is the log if it is whole (on_disk.rs).
//! Logs that end within a moment share their syncs. Later they may move to another folder (archive.rs). Readers hold
//! what they began with, and look again if it was replaced under them.
//!
//! When files can't be made durable nobody knows what a failed sync lost. The journal has all of it: nothing more is taken,
//! and as soon as that works it is done again as at a start, without one (mend.rs).
//!
//! This module knows files and nothing of rows, writers or tails.

mod archive;
mod checkpoint;
mod committer;
mod dirty;
mod fault;
mod file_system;
mod files;
mod header;
mod journal;
mod layout;
mod leftovers;
mod mend;
mod name;
mod on_disk;
mod open_logs;
mod read;
mod reader;
mod record;
mod recount;
mod recovery;
mod sealed;
mod sealer;
mod segmented;
mod slots;
mod survey;
mod unjoined;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_engine::logs::{LogAppend, LogError, LogHead, LogId, LogLines, LogMark, LogStore, LogSummary, ReadFrom};

pub use archive::ArchiveOptions;
use archive::{Archiver, make_archive};
use committer::{Committer, JournalPlace};
use fault::log_error;
use file_system::FileSystem;
use layout::Layout;
use name::{SHARDS, shard_name};
use open_logs::{OpenLog, OpenLogs};
use reader::Reader;
use record::Change;
use sealer::Sealer;

use crate::folder_lock::lock_folder;
use crate::positioned::sync_folder;

/// A segment of a log's files is at least so long: a header fits into it.
const FILE_SEGMENT_MIN_BYTES: u64 = 4096;

/// Logs in a folder.
pub struct DiskLogs {
    layout: Layout,
    open: Arc<OpenLogs>,
    /// Before the sealer: it sends to it.
    committer: Committer,
    sealer: Sealer,
    archiver: Option<Archiver>,
    /// Locked as long as this lives: two servers must not share a folder, nor an archive.
    _locks: Vec<Arc<File>>,
}

/// What an operator or a test may set.
#[derive(Clone, Debug)]
pub struct DiskLogsOptions {
    /// A journal segment is checkpointed when it is longer. There are four of them.
    pub segment_max_bytes: u64,
    /// So many logs are kept open, with 2 to 4 files each.
    pub open_logs_max: usize,
    /// A log's files are cut into files of this length: retention takes so much of a log at a time. It must stay the same
    /// for the life of a folder.
    pub file_segment_bytes: u64,
    /// A complete log is sealed so soon after its end, with others that end within that time; never if there is none.
    pub seal_after: Option<Duration>,
    /// A sealed log is compressed in pieces of so many bytes: larger ones take less space, to read a line takes longer.
    pub seal_frame_bytes: usize,
    /// Sealed logs move there some time later.
    pub archive: Option<ArchiveOptions>,
}

impl Default for DiskLogsOptions {
    fn default() -> Self {
        Self {
            segment_max_bytes: 64 * 1024 * 1024,
            open_logs_max: 128,
            file_segment_bytes: 64 * 1024 * 1024,
            seal_after: Some(Duration::from_secs(2)),
            seal_frame_bytes: 1024 * 1024,
            archive: None,
        }
    }
}

impl DiskLogs {
    /// Opens the logs in `root`, a folder of their own that is made if need be, and brings them to where they were.
    /// Blocks, for as long as it takes to read the journal.
    pub fn open(root: &Path, options: &DiskLogsOptions) -> Result<Self, LogError> {
        Self::open_io(root, options).map_err(|error| log_error(&format!("opening logs in {}", root.display()), &error))
    }

    fn open_io(root: &Path, options: &DiskLogsOptions) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let lock = lock_folder(root)?;
        let journal_folder = root.join("journal");
        if !journal_folder.exists() {
            for shard in 0..SHARDS {
                std::fs::create_dir_all(root.join(shard_name(shard)))?;
            }
            std::fs::create_dir(&journal_folder)?;
            sync_folder(root)?;
            root.parent().filter(|parent| parent.is_dir()).map_or(Ok(()), sync_folder)?;
        }
        let archive_lock = match &options.archive {
            Some(archive) => make_archive(&archive.folder)?,
            None => None,
        };
        let layout = Layout {
            root: root.into(),
            archive: options.archive.as_ref().map(|archive| archive.folder.clone()),
            file_segment_bytes: options.file_segment_bytes.max(FILE_SEGMENT_MIN_BYTES),
        };
        let locks: Vec<_> = [Some(lock), archive_lock].into_iter().flatten().map(Arc::new).collect();
        // Of their own for the checkpointer and the sealer, from before anything is written.
        let (for_checkpoints, for_seals) = (FileSystem::of(root)?, FileSystem::of(root)?);
        let next_number = recovery::recover(&layout, &journal_folder)?;
        let open = Arc::new(OpenLogs::new(&layout, options.open_logs_max.max(2)));
        let archive = options.archive.as_ref();
        let archiver = archive.map(|archive| Archiver::start(&layout, &open, archive, locks.clone())).transpose()?;
        let sealer = Sealer::start(&layout, &open, options, for_seals)?;
        let journal = JournalPlace {
            layout: layout.clone(),
            folder: journal_folder,
            segment_max_bytes: options.segment_max_bytes,
        };
        let committer = Committer::start(journal, &open, next_number, sealer.queue(), for_checkpoints)?;
        Ok(Self { layout, open, committer, sealer, archiver, _locks: locks })
    }

    /// Comes back when all logs that are complete by now are sealed, and archived if it is time, or that has failed.
    pub async fn settle(&self) {
        self.sealer.settle().await;
        if let Some(archiver) = &self.archiver {
            archiver.settle().await;
            // Plain files that could not go while their log was on its way there.
            self.sealer.settle().await;
        }
    }

    async fn log(&self, id: &LogId) -> Result<Arc<OpenLog>, LogError> {
        let log = self.open.get(id);
        if !log.looked() {
            let opening = log.clone();
            blocking(move || opening.look()).await?;
        }
        Ok(log)
    }

    async fn change(&self, id: &LogId, change: Change) -> Result<LogHead, LogError> {
        self.committer.change(self.log(id).await?, change).await
    }

    async fn read_with<T: Send + 'static>(
        &self,
        id: &LogId,
        read: impl Fn(Reader<'_>) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let log = self.open.get(id);
        blocking(move || {
            log.look()?;
            log.read(read)
        })
        .await
    }
}

#[async_trait]
impl LogStore for DiskLogs {
    async fn head(&self, id: &LogId) -> Result<LogHead, LogError> {
        self.log(id).await?.head()
    }

    async fn append(&self, id: &LogId, append: LogAppend) -> Result<LogHead, LogError> {
        self.change(id, Change::Append(append)).await
    }

    async fn read(&self, id: &LogId, from: ReadFrom, max_lines: u64, max_bytes: usize) -> Result<LogLines, LogError> {
        self.read_with(id, move |log| log.read(from, max_lines, max_bytes)).await
    }

    async fn read_bytes(&self, id: &LogId, offset: u64, max_bytes: usize) -> Result<Bytes, LogError> {
        self.read_with(id, move |log| log.read_bytes(offset, max_bytes)).await
    }

    async fn marks(&self, id: &LogId) -> Result<Vec<LogMark>, LogError> {
        self.read_with(id, |log| log.marks()).await
    }

    async fn list(&self, after: Option<&LogId>, limit: usize) -> Result<Vec<LogId>, LogError> {
        let (layout, after) = (self.layout.clone(), after.cloned());
        blocking(move || {
            survey::list(&layout, after.as_ref(), limit).map_err(|error| log_error("listing logs", &error))
        })
        .await
    }

    async fn delete(&self, id: &LogId) -> Result<(), LogError> {
        self.change(id, Change::Delete).await.map(|_| ())
    }

    async fn trim(&self, id: &LogId, before_line: u64) -> Result<LogHead, LogError> {
        let log = self.log(id).await?;
        let Some(first) = self.read_with(id, move |log| log.first_after_trim(before_line)).await? else {
            return log.head();
        };
        match self.committer.change(log.clone(), Change::Trim(first)).await {
            // It has come to its end meanwhile.
            Err(LogError::Stale(_)) if log.head()?.complete => log.head(),
            result => result,
        }
    }

    async fn survey(&self, shard: u16) -> Result<Vec<LogSummary>, LogError> {
        let (layout, open) = (self.layout.clone(), self.open.clone());
        blocking(move || survey::survey(&layout, &open, shard)).await
    }

    fn fault(&self) -> Option<LogError> {
        self.committer.fault()
    }

    async fn stored(&self, id: &LogId) -> Result<(u64, bool), LogError> {
        let log = self.log(id).await?;
        blocking(move || log.stored()).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|fault| Err(LogError::Io(format!("reading a log failed: {fault}"))))
}
