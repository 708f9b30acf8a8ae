//! Kills and fails the store at its system calls, by strace: what was acknowledged must be there afterwards, and every
//! acknowledgement must come after the syncs that make it true. (A kill alone keeps the page cache, so it can't notice
//! a sync that is missing: the order of the calls can.)
//!
//! The process that is killed is this test binary once more, running only [`child`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use millrace_engine::logs::{LogError, LogRoom};
use tempfile::TempDir;

use super::{append, id, open, options, text};
use crate::strace::whole_calls;

const CHILD_FOLDER: &str = "MILLRACE_TEST_LOG_FOLDER";
const LOGS: u64 = 3;
const CALLS: u64 = 16;
const ROWS_A_CALL: u64 = 4;
/// So small that the child checkpoints several times.
const SEGMENT_MAX_BYTES: u64 = 2_500;
const TRIES_MAX: usize = 100;
/// How often the child looks whether logs are written again.
const LOOK_AGAIN_WAIT: Duration = Duration::from_millis(5);

/// Not a test by itself: appends to some logs and prints what was acknowledged, when [`CHILD_FOLDER`] is set.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let logs = millrace_store::logs::disk::DiskLogs::open(Path::new(&folder), &options(SEGMENT_MAX_BYTES, 8)).unwrap();
    runtime.block_on(write_logs(super::room_over(std::sync::Arc::new(logs))));
}

async fn write_logs(room: LogRoom) {
    for call in 0..CALLS {
        for log in 0..LOGS {
            let rows: Vec<String> =
                (call * ROWS_A_CALL..(call + 1) * ROWS_A_CALL).map(|row| row_text(log, row)).collect();
            let end = call + 1 == CALLS;
            let mut tries = 0;
            let acknowledged = loop {
                match append(&room, &log_id(log), call * ROWS_A_CALL, &rows, end).await {
                    Ok(acknowledged) => break acknowledged,
                    Err(error @ (LogError::Exhausted(_) | LogError::Io(_))) if tries < TRIES_MAX => {
                        say(&format!("failed {error}"));
                        tries += 1;
                        // Others are over when a commit works: that is for the next try.
                        while room.fault().is_some_and(|fault| fault.to_string().contains("trying again")) {
                            tokio::time::sleep(LOOK_AGAIN_WAIT).await;
                        }
                    }
                    Err(error) => {
                        say(&format!("gave up {error}"));
                        return;
                    }
                }
            };
            say(&format!("ack {log} {acknowledged}"));
        }
    }
    say("finished");
}

/// One write call a line.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nchild: {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn log_id(log: u64) -> millrace_engine::logs::LogId {
    id(&format!("run.{log}"))
}

fn row_text(log: u64, row: u64) -> String {
    format!("log {log} row {row} {}", "x".repeat((row * 7 % 40) as usize))
}

/// What a child did.
struct Outcome {
    status: ExitStatus,
    said: Vec<String>,
}

impl Outcome {
    fn finished(&self) -> bool {
        self.said.iter().any(|line| line == "finished")
    }

    fn acknowledged(&self) -> BTreeMap<u64, u64> {
        let acks = self.said.iter().filter_map(|line| line.strip_prefix("ack ")?.split_once(' '));
        acks.map(|(log, rows)| (log.parse().unwrap(), rows.parse().unwrap())).collect()
    }
}

fn run_child(folder: &Path, strace: &[&str]) -> Outcome {
    let output = Command::new("strace")
        .args(["-f", "-qq", "--seccomp-bpf"])
        .args(strace)
        .arg(std::env::current_exe().unwrap())
        .args(["logs::kill::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD_FOLDER, folder)
        .output()
        .expect("strace is needed for this test (Debian: apt-get install strace)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = text.lines().filter_map(|line| line.strip_prefix("child: ")).map(str::to_owned).collect();
    Outcome { status: output.status, said }
}

/// Opens what a child left: all that it was told is stored must be there, and every log is a beginning of what it sent.
async fn check_what_is_left(folder: &TempDir, outcome: &Outcome, what: &str) {
    let room = open(folder, &options(SEGMENT_MAX_BYTES, 8));
    let acknowledged = outcome.acknowledged();
    for log in 0..LOGS {
        let left = match room.head(&log_id(log)).await {
            Ok(_) => text(&room, &log_id(log)).await,
            Err(LogError::NotFound(_)) => String::new(),
            Err(error) => panic!("{what}: {error}"),
        };
        let rows = left.matches('\n').count() as u64;
        let expected: String = (0..rows).map(|row| row_text(log, row) + "\n").collect();
        assert_eq!(left, expected, "{what}: log {log}");
        let told = acknowledged.get(&log).copied().unwrap_or(0);
        assert!(rows >= told, "{what}: log {log} has {rows} rows, {told} were acknowledged");
        // The writer goes on: it sends again from what it knows.
        let rest: Vec<String> = (told..CALLS * ROWS_A_CALL).map(|row| row_text(log, row)).collect();
        assert_eq!(append(&room, &log_id(log), told, &rest, true).await, Ok(CALLS * ROWS_A_CALL), "{what}");
        let all: String = (0..CALLS * ROWS_A_CALL).map(|row| row_text(log, row) + "\n").collect();
        assert_eq!(text(&room, &log_id(log)).await, all, "{what}");
    }
}

#[tokio::test]
async fn killed_at_any_call_it_keeps_what_it_acknowledged() {
    // How often each is called without a kill is not fixed, for commits gather; these are below.
    let points = [("fdatasync", (1..40).step_by(5)), ("fsync", (1..12).step_by(5)), ("pwrite64", (1..130).step_by(13))];
    for (call, times) in points {
        for time in times {
            let folder = TempDir::new().unwrap();
            let what = format!("killed at {call} {time}");
            let outcome = run_child(folder.path(), &["-e", &format!("inject={call}:signal=KILL:when={time}")]);
            assert!(!outcome.status.success() && !outcome.finished(), "{what}: it was not, it said {:?}", outcome.said);
            check_what_is_left(&folder, &outcome, &what).await;
        }
    }
}

#[tokio::test]
async fn it_goes_on_when_a_full_disk_has_space_again() {
    for when in ["1..2", "2..4", "7..30", "40..50", "3+5"] {
        let folder = TempDir::new().unwrap();
        let outcome = run_child(folder.path(), &["-e", &format!("inject=pwrite64:error=ENOSPC:when={when}")]);
        let failed = outcome.said.iter().filter(|line| line.starts_with("failed no space for logs: ")).count();
        assert!(outcome.finished() && failed > 0, "full at {when}: it said {:?}", outcome.said);
        check_what_is_left(&folder, &outcome, &format!("full at {when}")).await;
    }
}

#[tokio::test]
async fn a_sync_that_fails_is_not_acknowledged() {
    for (call, when) in
        [("fdatasync", "1"), ("fdatasync", "5..6"), ("fdatasync", "2+3"), ("fsync", "4"), ("fsync", "8")]
    {
        let folder = TempDir::new().unwrap();
        let outcome = run_child(folder.path(), &["-e", &format!("inject={call}:error=EIO:when={when}")]);
        let complained = outcome.said.iter().any(|line| line.starts_with("failed") || line.starts_with("gave up"));
        assert!(complained || !outcome.finished(), "{call} fails at {when}: it said {:?}", outcome.said);
        check_what_is_left(&folder, &outcome, &format!("{call} fails at {when}")).await;
    }
}

/// A checkpoint fails: what the failed sync may have lost is written again from the journal, and then it goes on.
#[tokio::test]
async fn it_goes_on_when_files_can_be_synced_again() {
    let mut failed = 0;
    for (error, when) in [("ENOSPC", "6"), ("EIO", "7..8"), ("ENOSPC", "9..12"), ("EIO", "8+60"), ("EIO", "20..22")] {
        let what = format!("{error} at {when}");
        let (folder, trace_folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let trace = trace_folder.path().join("trace");
        let inject = format!("inject=fsync:error={error}:when={when}");
        let calls = ["-e", "trace=pwrite64,fsync,write", "-y", "-s", "32", "-o", trace.to_str().unwrap()];
        let outcome = run_child(folder.path(), &[&calls[..], &["-e", &inject]].concat());
        assert!(outcome.finished(), "{what}: it said {:?}", outcome.said);
        let reason = if error == "ENOSPC" { "failed no space for logs: making" } else { "failed making" };
        if outcome.said.iter().any(|line| line.starts_with(reason)) {
            failed += 1;
            let calls = whole_calls(&std::fs::read_to_string(&trace).unwrap());
            let refused = calls.iter().rposition(|call| call.contains("child: failed")).unwrap();
            let mended =
                &calls[..refused + calls[refused..].iter().position(|call| call.contains("child: ack")).unwrap()];
            let from = mended.iter().rposition(|call| call.contains("INJECTED")).unwrap();
            // The journal may begin in the middle of a log: something of it was written before, at the same place.
            let text = |call: &&String| call.starts_with("pwrite64") && call.contains(".text>");
            // Without the number of the file, which was opened again, and the answer.
            let place = |call: &String| {
                let what = call.split_once('<').and_then(|(_, rest)| rest.rsplit_once(')'));
                what.map_or_else(String::new, |(what, _)| what.to_owned())
            };
            let before: BTreeSet<String> = mended[..from].iter().filter(text).map(place).collect();
            let again = |call: &String| text(&call) && before.contains(&place(call));
            assert!(mended[from..].iter().any(again), "{what}: the journal was not done again");
        }
        check_what_is_left(&folder, &outcome, &what).await;
    }
    assert!(failed >= 3, "only {failed} checkpoints failed");
}

#[tokio::test]
async fn every_acknowledgement_comes_after_its_syncs() {
    let folder = TempDir::new().unwrap();
    let trace_folder = TempDir::new().unwrap();
    let trace = trace_folder.path().join("trace");
    let calls = "trace=pwrite64,fdatasync,fsync,syncfs,write";
    let outcome = run_child(folder.path(), &["-y", "-s", "32", "-e", calls, "-o", trace.to_str().unwrap()]);
    assert!(outcome.finished(), "it said {:?}", outcome.said);
    let mut order = Order::default();
    for call in whole_calls(&std::fs::read_to_string(&trace).unwrap()) {
        order.see(&call);
    }
    assert_eq!(order.acknowledged, LOGS * CALLS);
    assert!(order.freed > 3, "only {} segments were freed", order.freed);
}

/// What has been written and not synced, as the calls come.
#[derive(Default)]
struct Order {
    unsynced_journal: u64,
    synced_since_ack: u64,
    /// The journal segment that is written, and when each was begun.
    segment: String,
    generation: u64,
    generation_of: BTreeMap<String, u64>,
    /// Since which generation a log's file has something that is not synced.
    unsynced_logs: BTreeMap<String, u64>,
    acknowledged: u64,
    freed: u64,
}

impl Order {
    fn see(&mut self, call: &str) {
        let path =
            call.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(path, _)| path).to_owned();
        let journal = path.contains("/journal/");
        let name = call.split('(').next().unwrap_or_default();
        match name {
            "pwrite64" if journal && is_free_header(call) => {
                let freed = self.generation_of[&path];
                let unsynced: Vec<_> = self.unsynced_logs.iter().filter(|(_, since)| **since <= freed).collect();
                assert!(unsynced.is_empty(), "segment {freed} was freed while {unsynced:?} were not synced");
                self.freed += 1;
            }
            // A segment is prepared: nothing in it counts.
            "pwrite64" if journal && call.contains("\"\\0\\0\\0\\0") => {}
            "pwrite64" if journal => {
                if self.segment != path {
                    self.generation += 1;
                    self.generation_of.insert(path.clone(), self.generation);
                    self.segment = path;
                }
                self.unsynced_journal += 1;
            }
            "pwrite64" => {
                self.unsynced_logs.entry(path).or_insert(self.generation);
            }
            "fdatasync" | "fsync" if journal && path != self.segment => {}
            "fdatasync" | "fsync" if journal => {
                self.synced_since_ack += self.unsynced_journal;
                self.unsynced_journal = 0;
            }
            "fdatasync" | "fsync" => {
                self.unsynced_logs.remove(&path);
            }
            "syncfs" => self.unsynced_logs.clear(),
            "write" if call.contains("child: ack ") => {
                assert_eq!(self.unsynced_journal, 0, "acknowledged before the sync: {call}");
                assert!(self.synced_since_ack > 0, "acknowledged without a sync: {call}");
                self.synced_since_ack = 0;
                self.acknowledged += 1;
            }
            _ => {}
        }
    }
}

/// The header of a segment alone, twenty bytes, with its last four zero.
fn is_free_header(call: &str) -> bool {
    call.contains("MRJRNL1\\n") && call.contains(", 20, 0)") && call.contains("\\0\\0\\0\\0\"")
}
