//! Complete logs as one file each: what is on the disk, damage, restarts, removal, readers in the middle of a read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millrace_engine::logs::{LogAppend, LogError, LogRoom, LogStore, ReadFrom, survey_shard};
use millrace_store::logs::disk::{ArchiveOptions, DiskLogs, DiskLogsOptions};
use tempfile::TempDir;

use super::model::quick_folder;
use super::{append, id, room_over, text, tiny};

/// Seals at once, in small pieces.
pub fn sealing() -> DiskLogsOptions {
    DiskLogsOptions { seal_after: Some(Duration::ZERO), seal_frame_bytes: 1000, ..tiny() }
}

fn archiving(folder: &Path) -> DiskLogsOptions {
    DiskLogsOptions { archive: Some(ArchiveOptions { folder: folder.join("archive"), after_ms: 0 }), ..sealing() }
}

/// All files of this kind below a folder.
pub fn files_of_kind(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_of_kind(&path, extension));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found
}

fn rows(count: usize) -> Vec<String> {
    (0..count).map(|row| format!("row {row} {}", "x".repeat(row * 7 % 50))).collect()
}

fn lines(rows: &[String]) -> String {
    rows.iter().flat_map(|row| [row, "\n"]).collect()
}

fn open(folder: &Path, options: &DiskLogsOptions) -> (Arc<DiskLogs>, LogRoom) {
    let logs = Arc::new(DiskLogs::open(&folder.join("logs"), options).unwrap());
    (logs.clone(), room_over(logs))
}

async fn one_sealed_log(folder: &TempDir, rows: &[String]) -> PathBuf {
    let (logs, room) = open(folder.path(), &sealing());
    append(&room, &id("a"), 0, rows, true).await.unwrap();
    logs.settle().await;
    assert!(files_of_kind(folder.path(), "text").is_empty() && files_of_kind(folder.path(), "lines").is_empty());
    let files = files_of_kind(folder.path(), "zst");
    assert_eq!(files.len(), 1);
    files[0].clone()
}

#[tokio::test]
async fn any_zstd_prints_a_sealed_log() {
    for count in [0, 1, 500] {
        let folder = quick_folder();
        let rows = rows(count);
        let path = one_sealed_log(&folder, &rows).await;
        let sealed = std::fs::read(&path).unwrap();
        assert!(zstd::stream::decode_all(&sealed[..]).unwrap() == lines(&rows).as_bytes());
        // The published footer of a seek table is the end of the file.
        assert!(sealed.ends_with(&0x8F92_EAB1_u32.to_le_bytes()));
    }
}

#[tokio::test]
async fn a_damaged_file_is_corrupt_and_never_wrong() {
    let folder = quick_folder();
    let rows = rows(100);
    let path = one_sealed_log(&folder, &rows).await;
    let good = std::fs::read(&path).unwrap();
    let mut damages: Vec<Vec<u8>> = Vec::new();
    for at in (0..good.len()).step_by(good.len() / 90) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        damages.push(bad);
        damages.push(good[..at].to_vec());
    }
    let mut corrupt = 0;
    for bad in &damages {
        std::fs::write(&path, bad).unwrap();
        let (logs, _) = open(folder.path(), &sealing());
        let (mut read, mut line, expected) = (Vec::new(), 0, lines(&rows));
        while line < rows.len() as u64 {
            match logs.read(&id("a"), ReadFrom::Line(line), u64::MAX, usize::MAX / 2).await {
                Ok(more) => {
                    assert!(more.lines() > 0);
                    read.extend_from_slice(&more.data);
                    line += more.lines();
                }
                Err(LogError::Corrupt { id: named, .. }) => {
                    assert_eq!(named, id("a"));
                    corrupt += 1;
                    break;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(expected.as_bytes().starts_with(&read), "other bytes than were written");
        assert!(line < rows.len() as u64 || read.len() == expected.len());
    }
    // In the middle of the seek table nothing is read, nor in some headers.
    assert!(corrupt > damages.len() / 2, "{corrupt} of {}", damages.len());
}

#[tokio::test]
async fn a_start_seals_what_was_left_and_clears_up() {
    let folder = quick_folder();
    let all = rows(300);
    let (logs, room) = open(folder.path(), &tiny());
    let long = "L".repeat(200);
    for name in ["run.1", "run.2", &long] {
        append(&room, &id(name), 0, &all, name != "run.2").await.unwrap();
    }
    logs.settle().await;
    assert!(files_of_kind(folder.path(), "zst").is_empty());
    drop((logs, room));
    let shard = folder.path().join(format!("logs/{:02x}", survey_shard(&id("run.1"))));
    let unfinished = shard.join("log-run.9.zst.tmp");
    std::fs::write(&unfinished, b"half of a log").unwrap();
    let (logs, room) = open(folder.path(), &sealing());
    logs.settle().await;
    assert!(!unfinished.exists());
    assert_eq!(files_of_kind(folder.path(), "zst").len(), 2);
    assert_eq!(files_of_kind(folder.path(), "lines").len(), 1, "run.2 is not complete");
    let stored = logs.stored(&id("run.1")).await.unwrap();
    assert!(stored.1 && stored.0 < 5000, "{stored:?}");
    drop((logs, room));
    // It was sealed, and its plain files not removed.
    std::fs::write(shard.join("log-run.1.lines"), b"left").unwrap();
    std::fs::write(shard.join("log-run.1.text"), b"left").unwrap();
    let (logs, room) = open(folder.path(), &sealing());
    logs.settle().await;
    assert_eq!(files_of_kind(folder.path(), "lines").len(), 1);
    let mut ids = ["run.1", "run.2", &long].map(id);
    ids.sort();
    assert_eq!(room.list(None, 10).await.unwrap(), ids);
    for id in &ids {
        assert_eq!(text(&room, id).await, lines(&all));
    }
    let summaries = logs.survey(survey_shard(&id("run.1"))).await.unwrap();
    let compressed: Vec<_> = summaries.iter().map(|log| (log.id.as_str(), log.compressed)).collect();
    assert!(compressed.contains(&("run.1", true)) && compressed.contains(&("run.2", false)), "{compressed:?}");
}

#[tokio::test]
async fn archived_logs_are_read_removed_and_made_again() {
    let folder = quick_folder();
    let all = rows(200);
    let (logs, room) = open(folder.path(), &archiving(folder.path()));
    for name in ["run.1", "run.2"] {
        append(&room, &id(name), 0, &all, true).await.unwrap();
    }
    logs.settle().await;
    assert!(files_of_kind(&folder.path().join("logs"), "zst").is_empty());
    assert_eq!(files_of_kind(&folder.path().join("archive"), "zst").len(), 2);
    assert_eq!(text(&room, &id("run.1")).await, lines(&all));
    drop((logs, room));
    let (logs, room) = open(folder.path(), &archiving(folder.path()));
    assert_eq!(text(&room, &id("run.1")).await, lines(&all));
    assert_eq!(room.list(None, 10).await.unwrap(), [id("run.1"), id("run.2")]);
    assert!(logs.survey(survey_shard(&id("run.1"))).await.unwrap().iter().all(|log| log.compressed));
    room.delete(&id("run.1")).await.unwrap();
    assert_eq!(files_of_kind(folder.path(), "zst").len(), 1);
    append(&room, &id("run.1"), 0, &all[..2], false).await.unwrap();
    drop((logs, room));
    // The journal has its removal and its second life.
    let (logs, room) = open(folder.path(), &archiving(folder.path()));
    assert_eq!(text(&room, &id("run.1")).await, lines(&all[..2]));
    assert_eq!(text(&room, &id("run.2")).await, lines(&all));
    append(&room, &id("run.1"), 2, &all[2..], true).await.unwrap();
    logs.settle().await;
    assert_eq!(files_of_kind(&folder.path().join("archive"), "zst").len(), 2);
    assert_eq!(text(&room, &id("run.1")).await, lines(&all));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_and_removers_notice_nothing() {
    let folder = quick_folder();
    let all = rows(400);
    let (logs, room) = open(folder.path(), &archiving(folder.path()));
    let mut tasks = tokio::task::JoinSet::new();
    for log in 0..40 {
        let (logs, reader, all) = (logs.clone(), room.clone(), all.clone());
        tasks.spawn(async move {
            let (id, expected) = (id(&format!("run.{log}")), lines(&all));
            append(&reader, &id, 0, &all, true).await.unwrap();
            let mut reads = 0;
            while !logs.stored(&id).await.unwrap().1 || reads < 20 {
                let first = reads * 37 % 400;
                let read = logs.read(&id, ReadFrom::Line(first), 300, usize::MAX / 2).await.unwrap();
                let rest = &expected.as_bytes()[read.place.offset as usize..];
                assert!(rest.starts_with(&read.data) && read.lines() == 300.min(400 - first));
                let bytes = logs.read_bytes(&id, read.place.offset, 5000).await.unwrap();
                assert!(rest.starts_with(&bytes) && !bytes.is_empty());
                reads += 1;
            }
            if log % 2 == 0 {
                reader.delete(&id).await.unwrap();
                assert_eq!(reader.head(&id).await, Err(LogError::NotFound(id)));
            }
        });
        let (room, all) = (room.clone(), rows(400));
        tasks.spawn(async move {
            let id = id(&format!("gone.{log}"));
            append(&room, &id, 0, &all, true).await.unwrap();
            room.delete(&id).await.unwrap();
            append(&room, &id, 0, &all[..1], false).await.unwrap();
            assert_eq!(text(&room, &id).await, lines(&all[..1]));
        });
    }
    tasks.join_all().await;
    logs.settle().await;
    assert_eq!(room.list(None, 1000).await.unwrap().len(), 60);
    assert_eq!(files_of_kind(folder.path(), "zst").len(), 20);
    for log in 0..40 {
        assert_eq!(text(&room, &id(&format!("gone.{log}"))).await, lines(&all[..1]));
    }
}

#[tokio::test]
async fn a_trim_frees_space_and_outlives_restarts() {
    let folder = quick_folder();
    let all = rows(2000);
    let (logs, room) = open(folder.path(), &tiny());
    let log = id("r.x.named");
    for (call, rows) in (0..).zip(all.chunks(100)) {
        append(&room, &log, call * 100, rows, false).await.unwrap();
    }
    let before = logs.stored(&log).await.unwrap().0;
    let head = logs.trim(&log, 1500).await.unwrap();
    let after = logs.stored(&log).await.unwrap().0;
    assert!(head.first.line > 1200 && after * 2 < before, "{head:?}: {before} bytes, then {after}");
    drop((logs, room));
    for _ in 0..2 {
        let (logs, room) = open(folder.path(), &tiny());
        assert_eq!(logs.head(&log).await.unwrap(), head);
        assert_eq!(logs.stored(&log).await.unwrap().0, after);
        assert_eq!(text(&room, &log).await, lines(&all[head.first.line as usize..]));
    }
    let (logs, room) = open(folder.path(), &sealing());
    logs.append(&log, LogAppend::end(head.lines)).await.unwrap();
    logs.settle().await;
    assert_eq!(text(&room, &log).await, lines(&all[head.first.line as usize..]));
    room.delete(&log).await.unwrap();
    drop((logs, room));
    assert!(super::crash::log_files(&folder.path().join("logs")).is_empty());
}
