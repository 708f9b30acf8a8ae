//! The suite of all stores on logs that are sealed, and on ones that are archived: what the suite reads is read from a
//! copy of the folder in which the log was ended.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_engine::logs::{
    LogAppend, LogError, LogHead, LogId, LogLines, LogMark, LogStore, LogSummary, ReadFrom, conformance,
};
use millrace_store::logs::disk::{ArchiveOptions, DiskLogs, DiskLogsOptions};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::model::quick_folder;
use super::sealed::files_of_kind;
use super::tiny;

/// Writes to one store and reads from a sealed copy.
struct SealedView {
    folder: TempDir,
    logs: DiskLogs,
    archived: bool,
    view: Mutex<Option<View>>,
}

struct View {
    id: LogId,
    head: LogHead,
    logs: Arc<DiskLogs>,
    _folder: TempDir,
}

impl SealedView {
    fn new(archived: bool) -> Self {
        let folder = quick_folder();
        let logs = DiskLogs::open(&folder.path().join("logs"), &tiny()).unwrap();
        Self { folder, logs, archived, view: Mutex::new(None) }
    }

    async fn sealed(&self, id: &LogId) -> Result<Arc<DiskLogs>, LogError> {
        let head = self.logs.head(id).await?;
        let mut view = self.view.lock().await;
        if let Some(view) = view.as_ref().filter(|view| view.id == *id && view.head == head) {
            return Ok(view.logs.clone());
        }
        let folder = quick_folder();
        copy_folder(&self.folder.path().join("logs"), &folder.path().join("logs"));
        let archive = ArchiveOptions { folder: folder.path().join("archive"), after_ms: 0 };
        let options = DiskLogsOptions {
            seal_after: Some(Duration::ZERO),
            seal_frame_bytes: 700,
            archive: self.archived.then_some(archive),
            ..tiny()
        };
        let logs = Arc::new(DiskLogs::open(&folder.path().join("logs"), &options).unwrap());
        if !head.complete {
            logs.append(id, LogAppend::end(head.lines)).await.unwrap();
        }
        logs.settle().await;
        assert!(logs.stored(id).await.unwrap().1, "{id} is sealed");
        let sealed = files_of_kind(folder.path(), "zst");
        assert!(sealed.iter().all(|path| path.starts_with(folder.path().join("archive")) == self.archived));
        assert_eq!(logs.head(id).await.unwrap(), LogHead { complete: true, ..head });
        *view = Some(View { id: id.clone(), head, logs: logs.clone(), _folder: folder });
        Ok(logs)
    }
}

/// All that is in a folder.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[async_trait]
impl LogStore for SealedView {
    async fn head(&self, id: &LogId) -> Result<LogHead, LogError> {
        self.logs.head(id).await
    }

    async fn append(&self, id: &LogId, append: LogAppend) -> Result<LogHead, LogError> {
        self.logs.append(id, append).await
    }

    async fn read(&self, id: &LogId, from: ReadFrom, max_lines: u64, max_bytes: usize) -> Result<LogLines, LogError> {
        self.sealed(id).await?.read(id, from, max_lines, max_bytes).await
    }

    async fn read_bytes(&self, id: &LogId, offset: u64, max_bytes: usize) -> Result<Bytes, LogError> {
        self.sealed(id).await?.read_bytes(id, offset, max_bytes).await
    }

    async fn marks(&self, id: &LogId) -> Result<Vec<LogMark>, LogError> {
        self.sealed(id).await?.marks(id).await
    }

    async fn list(&self, after: Option<&LogId>, limit: usize) -> Result<Vec<LogId>, LogError> {
        self.logs.list(after, limit).await
    }

    async fn delete(&self, id: &LogId) -> Result<(), LogError> {
        self.logs.delete(id).await
    }

    async fn trim(&self, id: &LogId, before_line: u64) -> Result<LogHead, LogError> {
        self.logs.trim(id, before_line).await
    }

    async fn survey(&self, shard: u16) -> Result<Vec<LogSummary>, LogError> {
        self.logs.survey(shard).await
    }

    async fn stored(&self, id: &LogId) -> Result<(u64, bool), LogError> {
        self.logs.stored(id).await
    }
}

#[tokio::test]
async fn a_sealed_log_reads_like_any() {
    conformance::run(|| Arc::new(SealedView::new(false))).await;
}

#[tokio::test]
async fn an_archived_log_reads_like_any() {
    conformance::run(|| Arc::new(SealedView::new(true))).await;
}
