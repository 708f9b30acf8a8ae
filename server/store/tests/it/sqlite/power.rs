//! Kills and fails the store at its system calls, by strace: what was committed must be there afterwards, and every
//! answer must come after the sync that makes it true. (A kill alone keeps the page cache, so it can't notice a sync
//! that is missing: the order of the calls can.)
//!
//! The process that is killed is this test binary once more, running only [`child`].
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus};

use millrace_engine::error::Result;
use millrace_engine::scheduler::store::{Claim, RunStore};
use millrace_engine::scheduler::{Event, Report, Run, State};
use millrace_engine::testing::run_store::run_with_queued;
use millrace_store::sqlite::SqliteStore;
use sqlx::Connection;
use tempfile::TempDir;

const CHILD_DATABASE: &str = "MILLRACE_TEST_DATABASE";
const RUNS: u32 = 20;
const TRIES_MAX: usize = 20;

/// Not a test by itself: makes runs, takes them and ends them, and prints what was committed, when [`CHILD_DATABASE`]
/// is set.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD_DATABASE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
    runtime.block_on(async {
        match SqliteStore::open(Path::new(&path)).await {
            Ok(store) => work(&store).await,
            Err(error) => say(&format!("refused {error:?}")),
        }
    });
}

async fn work(store: &SqliteStore) {
    for place in 0..RUNS {
        // As a caller does who is not sure whether he was heard: each request has an id, and is made again.
        let run = Run { request_id: place.to_string(), ..run_with_queued(&place.to_string(), &[&["linux"]]) };
        again(async || store.create(run.clone()).await.map(|_| ())).await;
        say(&format!("ack {place} queued"));
        again(async || store.claim(claim(place), 1).await.map(|_| ())).await;
        say(&format!("ack {place} running"));
        let report = Report { state: Some(State::Success), ..Report::default() };
        again(async || store.apply(&place.to_string(), Event::Reported(report.clone()), 1).await.map(|_| ())).await;
        say(&format!("ack {place} success"));
    }
    say("finished");
}

async fn again(work: impl AsyncFn() -> Result<()>) {
    for _ in 0..TRIES_MAX {
        match work().await {
            Ok(()) => return,
            Err(error) => say(&format!("refused {error:?}")),
        }
    }
    panic!("refused too often");
}

fn claim(place: u32) -> Claim {
    Claim {
        runner_uuid: "r".into(),
        runner_name: String::new(),
        labels: vec!["linux".into()],
        request_id: place.to_string(),
        expires_ms: i64::MAX,
    }
}

/// One write call a line.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nchild: {line}\n").as_bytes()).expect("writes");
    out.flush().expect("writes");
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

    /// The newest state that was answered, by run.
    fn answered(&self) -> BTreeMap<&str, &str> {
        self.said.iter().filter_map(|line| line.strip_prefix("ack ")?.split_once(' ')).collect()
    }

    fn refusals(&self) -> Vec<&str> {
        self.said.iter().filter_map(|line| line.strip_prefix("refused ")).collect()
    }
}

fn run_child(folder: &TempDir, strace: &[&str]) -> Outcome {
    let output = Command::new("strace")
        .args(["-f", "-qq", "--seccomp-bpf"])
        .args(strace)
        .arg(std::env::current_exe().expect("is a file"))
        .args(["sqlite::power::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD_DATABASE, folder.path().join("millrace.db"))
        .output()
        .expect("strace is needed for this test (Debian: apt-get install strace)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = text.lines().filter_map(|line| line.strip_prefix("child: ")).map(str::to_owned).collect();
    Outcome { status: output.status, said }
}

/// A database that was opened once, so that what fails is the work.
async fn with_tables() -> TempDir {
    let folder = TempDir::new().expect("makes a folder");
    SqliteStore::open(&folder.path().join("millrace.db")).await.expect("opens").close().await;
    folder
}

/// Opens what a child left: all that was answered must be there, in that state or in the one that comes next.
async fn check_what_is_left(folder: &TempDir, outcome: &Outcome, what: &str) {
    let path = folder.path().join("millrace.db");
    let store = SqliteStore::open(&path).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    for (id, state) in outcome.answered() {
        let run = store.get(id).await.expect("reads").unwrap_or_else(|| panic!("{what}: run {id} is lost"));
        let order = |state: &str| ["queued", "running", "success"].iter().position(|known| *known == state);
        assert!(order(run.state.word()) >= order(state), "{what}: run {id} was {state} and is {:?}", run.state);
        assert_eq!(run.state, run.jobs[0].state, "{what}: run {id} and its job are of the same moment");
    }
    for place in 0..RUNS {
        if let Some(run) = store.get(&place.to_string()).await.expect("reads") {
            let held = store.held().await.expect("lists").iter().any(|held| held.run_id == run.id);
            assert_eq!(held, run.state == State::Running, "{what}: run {place} and the queue are of the same moment");
        }
    }
    work(&store).await;
    store.close().await;
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.expect("opens");
    let check: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.expect("checks");
    assert_eq!(check, "ok", "{what}");
}

#[tokio::test]
async fn killed_at_any_call_it_keeps_what_it_answered() {
    let points = [("fdatasync", (1..60).step_by(6)), ("fsync", (1..60).step_by(6)), ("pwrite64", (1..300).step_by(25))];
    let mut killed = 0;
    for (call, times) in points {
        for time in times {
            let folder = TempDir::new().expect("makes a folder");
            let what = format!("killed at {call} {time}");
            let outcome = run_child(&folder, &["-e", &format!("inject={call}:signal=KILL:when={time}")]);
            // Which of the two syncs SQLite takes depends on how it was built.
            assert!(outcome.finished() == outcome.status.success(), "{what}: it said {:?}", outcome.said);
            killed += u32::from(!outcome.finished());
            check_what_is_left(&folder, &outcome, &what).await;
        }
    }
    assert!(killed >= 20, "only {killed} were killed");
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_full_and_later_it_goes_on() {
    let full_from_the_start = run_child(&with_tables().await, &["-e", "inject=pwrite64:error=ENOSPC:when=5"]);
    let refusals = full_from_the_start.refusals();
    assert!(!refusals.is_empty() && refusals.iter().all(|refusal| refusal.starts_with("Exhausted(")), "{refusals:?}");
    for when in ["40..41", "60..70", "80+40"] {
        let folder = with_tables().await;
        let outcome = run_child(&folder, &["-e", &format!("inject=pwrite64:error=ENOSPC:when={when}")]);
        let refusals = outcome.refusals();
        assert!(outcome.finished() && !refusals.is_empty(), "full at {when}: it said {:?}", outcome.said);
        assert!(refusals.iter().all(|refusal| refusal.starts_with("Exhausted(")), "full at {when}: {refusals:?}");
        check_what_is_left(&folder, &outcome, &format!("full at {when}")).await;
    }
}

#[tokio::test]
async fn a_sync_that_fails_is_a_refusal() {
    // strace counts for each thread, and each connection has its own: a call that all of them make first would fail for ever. The
    // second one is of the folder that has got the write-ahead log; SQLite does not tell when that one fails.
    for when in ["6", "20..22", "15+9"] {
        let folder = with_tables().await;
        let outcome = run_child(&folder, &["-e", &format!("inject=fdatasync,fsync:error=EIO:when={when}")]);
        assert!(outcome.finished() && !outcome.refusals().is_empty(), "fails at {when}: it said {:?}", outcome.said);
        check_what_is_left(&folder, &outcome, &format!("fails at {when}")).await;
    }
}

#[tokio::test]
async fn every_answer_comes_after_its_sync() {
    let (folder, trace_folder) = (TempDir::new().expect("makes a folder"), TempDir::new().expect("makes a folder"));
    let trace = trace_folder.path().join("trace");
    let calls = "trace=pwrite64,fdatasync,fsync,write";
    let outcome = run_child(&folder, &["-y", "-s", "32", "-e", calls, "-o", trace.to_str().expect("is text")]);
    assert!(outcome.finished(), "it said {:?}", outcome.said);
    let (mut unsynced, mut synced, mut answers) = (0, 0, 0);
    for line in std::fs::read_to_string(&trace).expect("reads").lines() {
        let is_log = line.contains("millrace.db-wal>");
        if is_log && line.contains("pwrite64(") {
            unsynced += 1;
        } else if is_log && (line.contains("fdatasync(") || line.contains("fsync(")) {
            (synced, unsynced) = (synced + unsynced, 0);
        } else if line.contains("child: ack ") {
            assert_eq!(unsynced, 0, "answered before the sync: {line}");
            assert!(synced > 0, "answered without a sync: {line}");
            (synced, answers) = (0, answers + 1);
        }
    }
    assert_eq!(answers, RUNS * 3);
    assert!(outcome.refusals().is_empty() && matches!(outcome.answered().get("0"), Some(&"success")));
}
