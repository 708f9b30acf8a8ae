//! Kills the store at the system calls of sealing, trimming and archiving, by strace: whatever was acknowledged must be there
//! afterwards, in one good copy. The process that is killed is this test binary once more, running only [`child`].

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use millrace_engine::logs::{LogId, LogStore, survey_shard};
use millrace_store::logs::disk::{ArchiveOptions, DiskLogs, DiskLogsOptions};
use tempfile::TempDir;

use super::sealed::{files_of_kind, sealing};
use super::{append, id, room_over, text};

const CHILD_FOLDER: &str = "MILLRACE_TEST_SEAL_FOLDER";
const LOGS: u64 = 3;
const ROWS_A_CALL: u64 = 60;
const CALLS: u64 = 4;
const ROWS: u64 = ROWS_A_CALL * CALLS;

fn settings(folder: &Path) -> DiskLogsOptions {
    let archive = ArchiveOptions { folder: folder.join("archive"), after_ms: 0 };
    DiskLogsOptions { segment_max_bytes: 20_000, archive: Some(archive), ..sealing() }
}

/// Not a test by itself: writes, trims, ends and removes logs, and says what was acknowledged.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work(Path::new(&folder)));
}

async fn work(folder: &Path) {
    let logs = Arc::new(DiskLogs::open(&folder.join("logs"), &settings(folder)).unwrap());
    let room = room_over(logs.clone());
    for log in 0..LOGS {
        for call in 0..CALLS {
            if call == CALLS - 1 && log == 1 {
                let head = logs.trim(&log_id(log), 150).await.unwrap();
                say(&format!("trimmed {}", head.first.line));
            }
            let rows = call * ROWS_A_CALL..(call + 1) * ROWS_A_CALL;
            let end = rows.end;
            let rows: Vec<String> = rows.map(|row| row_text(log, row)).collect();
            append(&room, &log_id(log), call * ROWS_A_CALL, &rows, end == ROWS).await.unwrap();
            say(&format!("ack {log} {end}"));
        }
        logs.settle().await;
    }
    room.delete(&log_id(2)).await.unwrap();
    say("removed");
    logs.settle().await;
    say(&format!("sealed {}", logs.stored(&log_id(0)).await.unwrap().1));
    say("finished");
}

fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nchild: {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn log_id(log: u64) -> LogId {
    id(&format!("run.{log}"))
}

fn row_text(log: u64, row: u64) -> String {
    format!("log {log} row {row} {}", "y".repeat((row * 11 % 70) as usize))
}

fn run_child(folder: &Path, strace: &[&str]) -> Vec<String> {
    let output = Command::new("strace")
        .args(["-f", "-qq"])
        .args(strace)
        .arg(std::env::current_exe().unwrap())
        .args(["logs::seal_kill::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD_FOLDER, folder)
        .output()
        .expect("strace is needed for this test (Debian: apt-get install strace)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.strip_prefix("child: ")).map(str::to_owned).collect()
}

fn finished(said: &[String]) -> bool {
    said.last().is_some_and(|line| line == "finished")
}

/// Opens what a child left: first as it is, then when all that was begun is done.
async fn check(folder: &TempDir, said: &[String], what: &str) {
    for _ in 0..2 {
        let logs = Arc::new(DiskLogs::open(&folder.path().join("logs"), &settings(folder.path())).unwrap());
        for log in 0..LOGS {
            check_log(&logs, log, said, what).await;
        }
        logs.settle().await;
        let (sealed, plain) = (files_of_kind(folder.path(), "zst"), files_of_kind(folder.path(), "lines"));
        let count = logs.list(None, 10).await.unwrap().len();
        assert_eq!(sealed.len() + plain.len(), count, "{what}: each log in one copy, {sealed:?} {plain:?}");
        assert!(files_of_kind(folder.path(), "tmp").is_empty(), "{what}");
    }
}

async fn check_log(logs: &Arc<DiskLogs>, log: u64, said: &[String], what: &str) {
    let prefix = format!("ack {log} ");
    let told = said.iter().filter_map(|line| line.strip_prefix(&prefix)?.parse::<u64>().ok()).max().unwrap_or(0);
    let Ok(head) = logs.head(&log_id(log)).await else {
        let may_be_gone = log == 2 && told == ROWS;
        assert!(told == 0 || may_be_gone, "{what}: log {log} is gone, {told} rows were acknowledged");
        return;
    };
    assert!(log != 2 || !said.iter().any(|line| line == "removed"), "{what}: log 2 is back");
    assert!(head.rows >= told, "{what}: log {log} has {} rows of {told}", head.rows);
    assert_eq!(head.complete, head.rows == ROWS, "{what}: log {log}");
    if let Some(first) = said.iter().find_map(|line| line.strip_prefix("trimmed ")).filter(|_| log == 1) {
        assert_eq!(head.first.line.to_string(), first, "{what}");
    }
    let expected: String = (head.first.line..head.rows).map(|row| row_text(log, row) + "\n").collect();
    assert!(text(&room_over(logs.clone()), &log_id(log)).await == expected, "{what}: log {log} has other rows");
}

#[tokio::test]
async fn killed_at_any_call_of_sealing_there_is_one_good_copy() {
    let folder = TempDir::new().unwrap();
    let said = run_child(folder.path(), &["-e", "trace=none"]);
    assert!(finished(&said) && said.contains(&"sealed true".to_owned()), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("trimmed ") && line != "trimmed 0"), "{said:?}");
    check(&folder, &said, "not killed").await;
    let points: [(&str, Vec<u32>); 6] = [
        // Each thread counts its own.
        ("rename", (1..=3).collect()),
        ("unlink", (1..22).step_by(3).collect()),
        ("fsync", (2..30).step_by(4).collect()),
        ("fdatasync", (2..13).step_by(2).collect()),
        ("ftruncate", vec![1, 2, 4]),
        ("pwrite64", (5..80).step_by(16).collect()),
    ];
    let mut killed = 0;
    for (call, times) in points {
        for time in times {
            let folder = TempDir::new().unwrap();
            let inject = format!("inject={call}:signal=KILL:when={time}");
            let said = run_child(folder.path(), &["--seccomp-bpf", "-e", &inject]);
            killed += usize::from(!finished(&said));
            check(&folder, &said, &format!("killed at {call} {time}")).await;
        }
    }
    assert!(killed > 20, "only {killed} were killed");
}

#[tokio::test]
async fn killed_at_any_call_of_archiving_there_is_one_good_copy() {
    let shard = format!("{:02x}", survey_shard(&log_id(0)));
    for log in [0, 1] {
        for (call, path) in [
            ("openat", format!("archive/{shard}/log-run.{log}.zst.tmp")),
            ("fsync", format!("archive/{shard}/log-run.{log}.zst.tmp")),
            ("rename", format!("archive/{shard}/log-run.{log}.zst.tmp")),
            ("openat", format!("archive/{shard}/log-run.{log}.zst")),
            ("unlink", format!("logs/{shard}/log-run.{log}.zst")),
        ] {
            let folder = TempDir::new().unwrap();
            let (path, inject) = (folder.path().join(&path), format!("inject={call}:signal=KILL:when=1"));
            let said = run_child(folder.path(), &["-P", path.to_str().unwrap(), "-e", &inject]);
            let what = format!("killed at {call} of {}", path.display());
            assert!(!finished(&said), "{what}: it was not");
            check(&folder, &said, &what).await;
        }
    }
}

#[tokio::test]
async fn a_full_disk_leaves_a_log_plain_until_there_is_space() {
    for (call, error) in [("write", "ENOSPC"), ("fsync", "ENOSPC"), ("fsync", "EIO")] {
        let folder = TempDir::new().unwrap();
        let shard = folder.path().join(format!("logs/{:02x}", survey_shard(&log_id(0))));
        let path = shard.join("log-run.0.zst.tmp");
        let inject = format!("inject={call}:error={error}:when=1");
        let said = run_child(folder.path(), &["-P", path.to_str().unwrap(), "-e", &inject]);
        // It is sealed in the end: the next time somebody settles it is tried again.
        assert!(finished(&said) && said.contains(&"sealed true".to_owned()), "{call} {error}: {said:?}");
        check(&folder, &said, &format!("{call} {error}")).await;
    }
}
