//! The archive: one server for each, and a slow one holds up nothing else.

use std::path::Path;
use std::sync::Arc;

use millrace_engine::logs::{LogStore, survey_shard};
use millrace_store::logs::disk::{ArchiveOptions, DiskLogs, DiskLogsOptions};

use super::model::quick_folder;
use super::sealed::{files_of_kind, sealing};
use super::{append, id, room_over, text};

fn archiving(folder: &Path) -> DiskLogsOptions {
    DiskLogsOptions { archive: Some(ArchiveOptions { folder: folder.join("archive"), after_ms: 0 }), ..sealing() }
}

#[tokio::test]
async fn an_archive_has_one_server() {
    let folder = quick_folder();
    let open = |name: &str| DiskLogs::open(&folder.path().join(name), &archiving(folder.path()));
    let first = open("first").unwrap();
    let error = open("second").err().unwrap().to_string();
    let archive = folder.path().join("archive");
    assert!(error.contains("another server") && error.contains(archive.to_str().unwrap()), "{error}");
    drop(first);
    let second = open("second").unwrap();
    assert!(second.list(None, 10).await.unwrap().is_empty());
    let itself = ArchiveOptions { folder: folder.path().join("third"), after_ms: 0 };
    let options = DiskLogsOptions { archive: Some(itself), ..sealing() };
    assert!(DiskLogs::open(&folder.path().join("third"), &options).is_err(), "the folder of the logs is no archive");
}

/// A pipe that nobody reads stands for a disk that takes its time: who opens it to write waits.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_archive_holds_up_no_sealing() {
    let folder = quick_folder();
    let logs = Arc::new(DiskLogs::open(&folder.path().join("logs"), &archiving(folder.path())).unwrap());
    let room = room_over(logs.clone());
    // The first round is over, with nothing to do.
    logs.settle().await;
    let shard = format!("archive/{:02x}", survey_shard(&id("run.1")));
    let pipe = folder.path().join(shard).join("log-run.1.zst.tmp");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    append(&room, &id("run.1"), 0, &["one"], true).await.unwrap();
    let settling = tokio::spawn({
        let logs = logs.clone();
        async move { logs.settle().await }
    });
    for log in 2..30 {
        let id = id(&format!("run.{log}"));
        append(&room, &id, 0, &["more"], true).await.unwrap();
        let sealed = async {
            while !logs.stored(&id).await.unwrap().1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), sealed).await.expect("sealing goes on");
    }
    assert!(!settling.is_finished());
    // Somebody reads what comes: the copy ends, but a pipe can't be made durable.
    let read = tokio::task::spawn_blocking(move || std::fs::read(pipe).unwrap());
    settling.await.unwrap();
    assert!(!read.await.unwrap().is_empty());
    logs.settle().await;
    assert_eq!(files_of_kind(&folder.path().join("archive"), "zst").len(), 29);
    assert!(files_of_kind(&folder.path().join("archive"), "tmp").is_empty());
    assert_eq!(text(&room, &id("run.1")).await, "one\n");
}
