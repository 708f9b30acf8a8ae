//! What a log looks like after the machine has lost power: the journal is there, the logs' own files may have lost
//! anything that was written to them since the last start.

use std::path::{Path, PathBuf};

use millrace_engine::logs::LogError;
use millrace_store::logs::disk::DiskLogs;
use tempfile::TempDir;

use super::{append, id, open, plain, room_over, text};

/// All files of logs below a folder, in a fixed order.
pub fn log_files(root: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.ends_with("journal"))
        .flat_map(|shard| std::fs::read_dir(shard).unwrap().map(|entry| entry.unwrap().path()))
        .collect();
    files.sort();
    files
}

pub fn truncate(path: &Path, len: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn rows(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|row| format!("row {row} {}", "x".repeat(row % 50))).collect()
}

fn lines(rows: &[String]) -> String {
    rows.iter().flat_map(|row| [row, "\n"]).collect()
}

#[tokio::test]
async fn the_journal_mends_any_loss_in_the_files() {
    let all = rows(0, 700);
    for (name, damage) in [
        ("nothing", (|_, _| {}) as fn(&Path, u64)),
        ("all", |path, _| std::fs::remove_file(path).unwrap()),
        ("half", |path, len| truncate(path, len / 2)),
        ("a byte", |path, len| truncate(path, len - 1)),
        ("contents", |path, len| std::fs::write(path, vec![0; len as usize]).unwrap()),
        ("text", |path, _| {
            if path.extension().unwrap() == "text" {
                truncate(path, 10);
            }
        }),
        ("lines", |path, _| {
            if path.extension().unwrap() == "lines" {
                truncate(path, 10);
            }
        }),
        ("index", |path, _| {
            if path.extension().unwrap() == "index" {
                truncate(path, 10);
            }
        }),
    ] {
        let folder = TempDir::new().unwrap();
        let room = open(&folder, &plain());
        for (log, end) in [("a", false), ("b", true)] {
            assert_eq!(append(&room, &id(log), 0, &all[..300], false).await, Ok(300));
            assert_eq!(append(&room, &id(log), 300, &all[300..], end).await, Ok(700));
        }
        drop(room);
        for path in log_files(folder.path()) {
            damage(&path, path.metadata().unwrap().len());
        }
        let room = open(&folder, &plain());
        for (log, end) in [("a", false), ("b", true)] {
            assert_eq!(text(&room, &id(log)).await, lines(&all), "lost {name}");
            assert_eq!(room.head(&id(log)).await.unwrap().complete, end, "lost {name}");
            assert_eq!(room.read_lines(&id(log), 600, 1, 1000).await.unwrap().data, format!("{}\n", all[600]));
        }
        assert_eq!(append(&room, &id("a"), 700, &["more"], true).await, Ok(701), "lost {name}");
    }
}

#[tokio::test]
async fn a_removed_log_stays_removed() {
    let folder = TempDir::new().unwrap();
    let room = open(&folder, &plain());
    for log in ["a", "b"] {
        append(&room, &id(log), 0, &["first life"], true).await.unwrap();
        room.delete(&id(log)).await.unwrap();
    }
    append(&room, &id("b"), 0, &["second life"], false).await.unwrap();
    assert_eq!(log_files(folder.path()).len(), 2, "nothing is left of the first");
    drop(room);
    let room = open(&folder, &plain());
    assert_eq!(room.head(&id("a")).await, Err(LogError::NotFound(id("a"))));
    assert_eq!(text(&room, &id("b")).await, "second life\n");
}

#[tokio::test]
async fn what_the_journal_cannot_mend_is_cut_to_whole_lines() {
    let all = rows(0, 700);
    for part in ["text", "lines", "index", "marks"] {
        let folder = TempDir::new().unwrap();
        let room = open(&folder, &plain());
        append(&room, &id("a"), 0, &["##[error]x"], false).await.unwrap();
        append(&room, &id("a"), 1, &all, true).await.unwrap();
        drop(room);
        // This start frees the journal.
        drop(open(&folder, &plain()));
        let path = log_files(folder.path()).into_iter().find(|path| path.extension().unwrap() == part).unwrap();
        truncate(&path, path.metadata().unwrap().len() / 2 + 1);
        let room = open(&folder, &plain());
        let expected = format!("##[error]x\n{}", lines(&all));
        let left = text(&room, &id("a")).await;
        let head = room.head(&id("a")).await.unwrap();
        assert!(expected.starts_with(&left) && left.ends_with('\n'), "damaged {part}");
        assert_eq!(
            (head.lines as usize, head.bytes as usize),
            (left.matches('\n').count(), left.len()),
            "damaged {part}"
        );
        assert_eq!(left.len() == expected.len(), matches!(part, "index" | "marks"), "damaged {part}");
        let stat = room.stat(&id("a")).await.unwrap();
        assert_eq!((stat.marks.len(), head.first_error_line, head.complete), (1, Some(0), true));
        let last = head.lines - 1;
        let line = room.read_lines(&id("a"), last, 1, 1000).await.unwrap().data;
        assert_eq!(Some(&line[..line.len() - 1]), left.lines().last().map(str::as_bytes), "damaged {part}");
    }
}

#[tokio::test]
async fn a_journal_of_garbage_is_no_journal() {
    let folder = TempDir::new().unwrap();
    drop(DiskLogs::open(folder.path(), &plain()).unwrap());
    for (slot, bytes) in [
        b"".to_vec(),
        b"MRJRNL1\n".to_vec(),
        vec![0xFF; 5000],
        b"MRJRNL1\n\x09\0\0\0\0\0\0\0\x01\0\0\0garbage".to_vec(),
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(folder.path().join("journal").join(slot.to_string()), bytes).unwrap();
    }
    let room = room_over(std::sync::Arc::new(DiskLogs::open(folder.path(), &plain()).unwrap()));
    append(&room, &id("a"), 0, &["row"], false).await.unwrap();
    drop(room);
    assert_eq!(text(&open(&folder, &plain()), &id("a")).await, "row\n");
}
