//! Logs on disk: the suite of all stores, crashes, a full disk, and the room over them.

mod archive;
mod crash;
mod index;
mod kill;
mod model;
mod seal_kill;
mod sealed;
mod sealed_view;
mod twice;

use std::sync::Arc;

use millrace_engine::clock::SystemClock;
use millrace_engine::logs::{
    LogError, LogId, LogLimits, LogRoom, LogStore, LogTail, Missing, Row, RowBatch, Start, TailEvent, conformance,
};
use millrace_store::logs::disk::{DiskLogs, DiskLogsOptions};
use tempfile::TempDir;

fn id(text: &str) -> LogId {
    LogId::parse(text).unwrap()
}

/// Complete logs stay as they are.
fn plain() -> DiskLogsOptions {
    DiskLogsOptions { seal_after: None, ..DiskLogsOptions::default() }
}

fn options(segment_max_bytes: u64, open_logs_max: usize) -> DiskLogsOptions {
    DiskLogsOptions { segment_max_bytes, open_logs_max, ..plain() }
}

fn room_over(logs: Arc<dyn LogStore>) -> LogRoom {
    LogRoom::new(logs, Arc::new(SystemClock), LogLimits::default())
}

fn open(folder: &TempDir, options: &DiskLogsOptions) -> LogRoom {
    room_over(Arc::new(DiskLogs::open(folder.path(), options).unwrap()))
}

fn batch(room: &LogRoom, rows: &[impl AsRef<[u8]>]) -> RowBatch {
    let mut batch = room.batch();
    for text in rows {
        batch.push(Row { time_ms: 0, stderr: false, text: text.as_ref() }).unwrap();
    }
    batch
}

async fn append(
    room: &LogRoom,
    id: &LogId,
    index: u64,
    rows: &[impl AsRef<[u8]>],
    no_more: bool,
) -> Result<u64, LogError> {
    room.append(id, index, batch(room, rows), no_more).await
}

async fn text(room: &LogRoom, id: &LogId) -> String {
    let lines = room.read_lines(id, 0, u64::MAX, usize::MAX).await.unwrap();
    String::from_utf8(lines.data.to_vec()).unwrap()
}

async fn drain(mut tail: LogTail) -> String {
    let mut text = Vec::new();
    while let TailEvent::Data(lines) = tail.next().await.unwrap() {
        text.extend_from_slice(&lines.data);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn disk_keeps_what_stores_promise() {
    let folder = TempDir::new().unwrap();
    let next = std::cell::Cell::new(0);
    conformance::run(|| {
        next.set(next.get() + 1);
        let root = folder.path().join(next.get().to_string());
        Arc::new(DiskLogs::open(&root, &plain()).unwrap())
    })
    .await;
}

#[tokio::test]
async fn disk_keeps_it_with_tiny_segments_and_two_open_logs() {
    let folder = TempDir::new().unwrap();
    let next = std::cell::Cell::new(0);
    conformance::run(|| {
        next.set(next.get() + 1);
        let root = folder.path().join(next.get().to_string());
        Arc::new(DiskLogs::open(&root, &options(1, 2)).unwrap())
    })
    .await;
}

/// Logs of tiny files: trims take something, and reads cross from one file to the next.
fn tiny() -> DiskLogsOptions {
    DiskLogsOptions { file_segment_bytes: 4096, ..options(100_000, 4) }
}

#[tokio::test]
async fn disk_keeps_it_in_tiny_files() {
    let folder = TempDir::new().unwrap();
    let next = std::cell::Cell::new(0);
    conformance::run(|| {
        next.set(next.get() + 1);
        let root = folder.path().join(next.get().to_string());
        Arc::new(DiskLogs::open(&root, &tiny()).unwrap())
    })
    .await;
}

#[tokio::test]
async fn a_folder_has_one_server() {
    let folder = TempDir::new().unwrap();
    let first = DiskLogs::open(folder.path(), &plain()).unwrap();
    let second = DiskLogs::open(folder.path(), &plain()).err().unwrap();
    assert!(second.to_string().contains("another server"), "{second}");
    drop(first);
    DiskLogs::open(folder.path(), &plain()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_tails_fast_and_slow_see_everything_in_order() {
    let folder = TempDir::new().unwrap();
    let room = open(&folder, &options(100_000, 8));
    let log = id("followed");
    let mut tails = Vec::new();
    for _ in 0..50 {
        tails.push(tokio::spawn(drain(room.tail(&log, Start::Offset(0), Missing::Wait).await.unwrap())));
    }
    // It reads nothing until all is written, much more than is kept hot.
    let slow = room.tail(&log, Start::Offset(0), Missing::Wait).await.unwrap();
    let mut expected = String::new();
    let mut rows_sent = 0;
    for call in 0..400 {
        let rows: Vec<String> =
            (0..call % 60).map(|row| format!("call {call} row {row} {}", "x".repeat(300))).collect();
        expected.extend(rows.iter().flat_map(|row| [row, "\n"]));
        rows_sent += rows.len() as u64;
        assert_eq!(append(&room, &log, rows_sent - rows.len() as u64, &rows, call == 399).await, Ok(rows_sent));
    }
    assert!(expected.len() > 3_000_000);
    for tail in tails {
        assert!(tail.await.unwrap() == expected, "a tail lost or mixed up something");
    }
    assert!(drain(slow).await == expected, "the slow tail lost or mixed up something");
    assert_eq!(room.live_logs(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_small_logs_at_once() {
    let folder = TempDir::new().unwrap();
    let room = open(&folder, &options(20_000, 16));
    let mut calls = tokio::task::JoinSet::new();
    for log in 0..1000 {
        let room = room.clone();
        calls.spawn(async move {
            let log = id(&format!("run{}.{log}", log % 7));
            let rows: Vec<String> = (0..5).map(|row| format!("{log} row {row}")).collect();
            assert_eq!(append(&room, &log, 0, &rows[..3], false).await, Ok(3));
            assert_eq!(append(&room, &log, 3, &rows[3..], true).await, Ok(5));
        });
    }
    calls.join_all().await;
    drop(room);
    let room = open(&folder, &plain());
    assert_eq!(room.list(None, 10_000).await.unwrap().len(), 1000);
    for log in 0..1000 {
        let log = id(&format!("run{}.{log}", log % 7));
        let expected: String = (0..5).fold(String::new(), |text, row| text + &format!("{log} row {row}\n"));
        assert_eq!(text(&room, &log).await, expected);
        assert!(room.head(&log).await.unwrap().complete);
    }
}
