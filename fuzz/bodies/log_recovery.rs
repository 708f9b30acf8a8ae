//! A folder of logs that was damaged anyhow opens or is refused; what is read fits together and is no more than the files
//! have.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_engine::clock::SystemClock;
use millrace_engine::logs::{LogId, LogLimits, LogRoom, LogStore, Row};
use millrace_store::logs::disk::{DiskLogs, DiskLogsOptions};

use super::{Script, block_on};

/// The most logs of one folder.
const LOGS_MAX: u8 = 3;

pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    // In memory where that is to be had: it is the contents that count.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder");
    let root = folder.path().join("logs");
    write(&root, &mut script);
    damage(&root, &mut script);
    let Ok(disk) = DiskLogs::open(&root, &options()) else { return };
    let room = LogRoom::new(Arc::new(disk), Arc::new(SystemClock), LogLimits::default());
    block_on(read(&room, bytes_below(&root)));
}

fn options() -> DiskLogsOptions {
    DiskLogsOptions { segment_max_bytes: 4096, ..DiskLogsOptions::default() }
}

/// Some appends, by the rules.
fn write(root: &Path, script: &mut Script<'_>) {
    let disk: Arc<dyn LogStore> = Arc::new(DiskLogs::open(root, &options()).expect("an empty folder opens"));
    let room = LogRoom::new(disk, Arc::new(SystemClock), LogLimits::default());
    block_on(async {
        for _ in 0..script.byte() % 12 {
            let log = LogId::parse(&format!("fuzz.{}", script.byte() % LOGS_MAX)).expect("an id");
            let ack = room.head(&log).await.map_or(0, |head| head.rows);
            let mut batch = room.batch();
            for _ in 0..script.byte() % 20 {
                let text = script.bytes(7).repeat(usize::from(script.byte() % 32));
                batch.push(Row { time_ms: 0, stderr: false, text: &text }).expect("within the limits");
            }
            // One that is complete takes no more.
            let _ = room.append(&log, ack, batch, script.byte() == 255).await;
        }
    });
}

/// Files cut, changed, made longer, removed, and others put there.
fn damage(root: &Path, script: &mut Script<'_>) {
    let files = files_below(root);
    while !script.is_empty() {
        let Some(path) = files.get(script.number() % files.len().max(1)) else { return };
        let kind = script.byte() % 6;
        let Ok(mut content) = std::fs::read(path) else { continue };
        let at = script.number() * 7 % (content.len() + 1);
        let piece = script.bytes(16);
        match kind {
            0 => content.truncate(at),
            1 => content.splice(at..content.len().min(at + piece.len()), piece.iter().copied()).for_each(drop),
            2 => content.splice(at..at, piece.iter().copied()).for_each(drop),
            3 => content = script.bytes(200).to_vec(),
            4 => content.extend_from_slice(piece),
            _ => {
                std::fs::remove_file(path).expect("removed");
                continue;
            }
        }
        std::fs::write(path, content).expect("written");
    }
}

async fn read(room: &LogRoom, most_bytes: u64) {
    let ids = room.list(None, 1000).await.expect("a list");
    for id in ids {
        // What can't be read is said to be damaged, or not there.
        let Ok(stat) = room.stat(&id).await else { continue };
        let head = stat.head;
        let kept = head.bytes - head.first.offset;
        assert!(kept <= most_bytes, "{id}: {head:?} of {most_bytes} bytes");
        assert!(head.first.line <= head.lines && stat.marks.iter().all(|mark| mark.line < head.lines));
        if let Ok(lines) = room.read_lines(&id, 0, u64::MAX, usize::MAX).await {
            assert!(lines.data.len() as u64 <= kept, "{id}");
            assert_eq!(memchr::memchr_iter(b'\n', &lines.data).count() as u64, lines.lines(), "{id}");
            assert!(lines.end().line <= head.lines, "{id}");
        }
        if let Ok(bytes) = room.read_bytes(&id, head.first.stream_offset(), usize::MAX).await {
            assert!(bytes.len() as u64 <= kept, "{id}");
        }
        let _ = room.last_lines(&id, 3, 100).await;
        // It goes on, or says why not.
        let mut batch = room.batch();
        batch.push(Row { time_ms: 0, stderr: false, text: b"more" }).expect("a row");
        let _ = room.append(&id, head.rows, batch, false).await;
    }
}

fn bytes_below(root: &Path) -> u64 {
    files_below(root).iter().filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).sum()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return files };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
