//! Logs that are there twice, as plain files and sealed, after a crash between sealing and clearing up: the good copy wins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_engine::logs::{LogError, LogRoom, LogStore, ReadFrom, survey_shard};
use millrace_store::logs::disk::{DiskLogs, DiskLogsOptions};
use tempfile::TempDir;

use super::model::quick_folder;
use super::sealed::{files_of_kind, sealing};
use super::sealed_view::copy_folder;
use super::{append, id, room_over, text, tiny};

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

/// A complete log as plain files, and in the journal.
async fn plain_log(rows: &[String]) -> TempDir {
    let folder = quick_folder();
    let (_, room) = open(folder.path(), &tiny());
    append(&room, &id("a"), 0, rows, true).await.unwrap();
    folder
}

/// What sealing makes of it, and where.
async fn sealed_of(plain: &TempDir) -> (Vec<u8>, PathBuf) {
    let folder = quick_folder();
    copy_folder(&plain.path().join("logs"), &folder.path().join("logs"));
    let (logs, _) = open(folder.path(), &sealing());
    logs.settle().await;
    let files = files_of_kind(folder.path(), "zst");
    assert_eq!(files.len(), 1);
    (std::fs::read(&files[0]).unwrap(), plain.path().join(files[0].strip_prefix(folder.path()).unwrap()))
}

fn flipped(good: &[u8], at: usize) -> Vec<u8> {
    let mut bad = good.to_vec();
    bad[at] ^= 0x55;
    bad
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Plain {
    FilesAndJournal,
    /// As after a power loss: what the journal has is not in the files.
    Journal,
    Files,
}

#[tokio::test]
async fn a_damaged_sealed_file_hides_no_good_plain_one() {
    let all = rows(300);
    let (shorter, _) = sealed_of(&plain_log(&all[..200]).await).await;
    for plain in [Plain::FilesAndJournal, Plain::Journal, Plain::Files] {
        for damage in ["a piece", "the index", "the end", "nothing in it", "shorter"] {
            let what = format!("{plain:?}, damaged: {damage}");
            let folder = plain_log(&all).await;
            let (good, place) = sealed_of(&folder).await;
            if plain == Plain::Files {
                // A start makes the files durable and frees the journal.
                drop(open(folder.path(), &tiny()));
            }
            let bad = match damage {
                "a piece" => flipped(&good, good.len() / 3),
                "the index" => flipped(&good, good.len() - 400),
                "the end" => good[..good.len() / 2].to_vec(),
                "nothing in it" => Vec::new(),
                // Of a whole one of another length the journal alone does not tell.
                _ if plain == Plain::Journal => continue,
                _ => shorter.clone(),
            };
            std::fs::write(&place, bad).unwrap();
            if plain == Plain::Journal {
                for kind in ["text", "lines", "index"] {
                    for path in files_of_kind(folder.path(), kind) {
                        std::fs::write(path, b"").unwrap();
                    }
                }
            }
            check(&folder, &all, &what).await;
        }
    }
}

/// It is read, by a store that seals nothing and by one that does; then there is one good copy.
async fn check(folder: &TempDir, all: &[String], what: &str) {
    let (logs, room) = open(folder.path(), &tiny());
    assert!(text(&room, &id("a")).await == lines(all), "{what}");
    assert!(!logs.stored(&id("a")).await.unwrap().1, "{what}");
    drop((logs, room));
    let (logs, room) = open(folder.path(), &sealing());
    let summaries = logs.survey(survey_shard(&id("a"))).await.unwrap();
    assert_eq!(summaries[0].head.lines, all.len() as u64, "{what}");
    logs.settle().await;
    assert!(text(&room, &id("a")).await == lines(all), "{what}");
    assert!(logs.stored(&id("a")).await.unwrap().1, "{what}");
    let files = (files_of_kind(folder.path(), "zst").len(), files_of_kind(folder.path(), "lines").len());
    assert_eq!(files, (1, 0), "{what}");
    drop((logs, room));
    assert!(text(&open(folder.path(), &sealing()).1, &id("a")).await == lines(all), "{what}");
}

#[tokio::test]
async fn beside_a_damaged_piece_all_is_read_and_the_error_says_where() {
    let all = rows(300);
    let plain = plain_log(&all).await;
    let (good, place) = sealed_of(&plain).await;
    let folder = quick_folder();
    copy_folder(&plain.path().join("logs"), &folder.path().join("logs"));
    let place = folder.path().join(place.strip_prefix(plain.path()).unwrap());
    {
        let (logs, _) = open(folder.path(), &sealing());
        logs.settle().await;
    }
    std::fs::write(place, flipped(&good, good.len() / 3)).unwrap();
    let (logs, _) = open(folder.path(), &sealing());
    let expected = lines(&all);
    let (mut offset, mut read) = (0, Vec::new());
    for (line, row) in (0..).zip(&all) {
        match logs.read(&id("a"), ReadFrom::Line(line), 1, 1).await {
            Ok(lines) => {
                assert_eq!(lines.data, format!("{row}\n"));
                assert_eq!(logs.read_bytes(&id("a"), offset, row.len()).await.unwrap(), *row);
                read.push(true);
            }
            Err(error @ LogError::Corrupt { .. }) => {
                let message = error.to_string();
                let range = message.split_once("bytes ").unwrap().1.split_once(", from line").unwrap().0;
                let (from, to) = range.split_once(" to ").unwrap();
                let range = from.parse::<u64>().unwrap()..to.parse().unwrap();
                assert!(range.contains(&offset) && message.contains("log a "), "at {offset}: {message}");
                read.push(false);
            }
            Err(other) => panic!("{other}"),
        }
        offset += row.len() as u64 + 1;
    }
    assert_eq!(offset, expected.len() as u64);
    let damaged = read.iter().filter(|read| !**read).count();
    assert!(read[0] && read[299] && damaged > 0 && damaged < 100, "{damaged} lines can't be read");
}

/// The end of a seek table that says that the index before it is huge: nothing is reserved for that.
#[tokio::test]
async fn a_size_that_cannot_be_is_refused_by_name() {
    use std::io::{Seek, SeekFrom, Write};
    let folder = quick_folder();
    drop(open(folder.path(), &tiny()));
    let shard = folder.path().join(format!("logs/{:02x}", survey_shard(&id("a"))));
    let mut file = std::fs::File::create(shard.join("log-a.zst")).unwrap();
    let (length, said) = (400_u64 << 20, 300_u32 << 20);
    file.set_len(length).unwrap();
    file.seek(SeekFrom::Start(length - 17)).unwrap();
    let entry = [said.to_le_bytes(), 0_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    file.write_all(&[&entry[..], &[0], &0x8F92_EAB1_u32.to_le_bytes()].concat()).unwrap();
    let (logs, _) = open(folder.path(), &tiny());
    let error = logs.head(&id("a")).await.unwrap_err();
    assert!(matches!(error, LogError::Corrupt { .. }));
    assert!(error.to_string().contains(&said.to_string()) && error.to_string().contains("the limit is"), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_holds_up_no_other_and_is_tried_again() {
    let folder = quick_folder();
    let all = rows(20);
    let ids: Vec<_> = (0..40).map(|log| id(&format!("run{log}.1"))).collect();
    {
        let (_, room) = open(folder.path(), &tiny());
        for id in &ids {
            append(&room, id, 0, &all, true).await.unwrap();
        }
    }
    // So that the journal has nothing of them.
    drop(open(folder.path(), &tiny()));
    let hidden = survey_shard(&ids[0]);
    let (place, away) = (folder.path().join(format!("logs/{hidden:02x}")), folder.path().join("away"));
    std::fs::rename(&place, &away).unwrap();
    std::fs::write(&place, b"not a folder").unwrap();
    let (logs, room) = open(folder.path(), &sealing());
    logs.settle().await;
    let (seen, unseen): (Vec<_>, Vec<_>) = ids.iter().partition(|id| survey_shard(id) != hidden);
    assert!(!seen.is_empty() && !unseen.is_empty());
    for id in seen {
        assert!(logs.stored(id).await.unwrap().1, "{id}");
    }
    std::fs::remove_file(&place).unwrap();
    std::fs::rename(&away, &place).unwrap();
    logs.settle().await;
    for id in unseen {
        assert_eq!(text(&room, id).await, lines(&all));
    }
    assert_eq!((files_of_kind(folder.path(), "zst").len(), files_of_kind(folder.path(), "lines").len()), (40, 0));
}
