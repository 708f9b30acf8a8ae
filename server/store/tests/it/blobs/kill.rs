//! Kills and fails the store at its system calls, by strace: what was acknowledged is there after the next start, and
//! what else is found is right. As the logs' test of the same name, whose remarks hold here too.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus};

use bytes::Bytes;
use millrace_engine::blobs::{BlobStore, EntryStore};
use millrace_engine::error::Error;
use millrace_engine::testing::blob_store::{blob, instance, noise};
use millrace_store::blobs::disk::{DiskBlobs, DiskBlobsOptions};
use tempfile::TempDir;

use super::{get, get_entry, key, open, options};
use crate::strace::whole_calls;

const CHILD_FOLDER: &str = "MILLRACE_TEST_BLOB_FOLDER";
const CHILD_LIMIT: &str = "MILLRACE_TEST_BLOB_LIMIT";
/// All that is kept fits into this.
const LIMIT_BYTES: u64 = 300_000;
/// And not into this: packs are emptied and removed.
const TIGHT_LIMIT_BYTES: u64 = 90_000;
const ROUNDS: u64 = 12;
const TRIES_MAX: usize = 50;

fn limited(limit_bytes: u64) -> DiskBlobsOptions {
    DiskBlobsOptions { limit_bytes, pack_max_bytes: 12_000, small_max_bytes: 3000, lease_ms: 0, ..options() }
}

/// Not a test by itself: keeps things and prints what was acknowledged, when [`CHILD_FOLDER`] is set.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    // One thread for files: strace counts the calls of each thread.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let limit = std::env::var(CHILD_LIMIT).unwrap().parse().unwrap();
        let store = open(Path::new(&folder), limited(limit));
        for round in 0..ROUNDS {
            if keep(&store, round).await.is_none() {
                return;
            }
        }
        say("finished");
    });
}

async fn keep(store: &DiskBlobs, round: u64) -> Option<()> {
    let data: Vec<Bytes> = (0..5).map(|number| content(round, number)).collect();
    let batch = async || {
        let answers = BlobStore::put(store, &instance("main"), data.iter().map(blob).collect()).await;
        answers.into_iter().collect::<Result<Vec<()>, Error>>().map(|_| ())
    };
    retried(batch).await?;
    (0..5).for_each(|number| say(&format!("blob {round} {number}")));
    let entry = async || EntryStore::put(store, &key("entry"), value(round)).await;
    retried(entry).await?;
    say(&format!("entry {round} 0"));
    if round % 3 == 2 {
        let gone = async || BlobStore::remove(store, &instance("main"), &blob(&data[0]).digest).await.map(|_| ());
        retried(gone).await?;
        say(&format!("gone {round} 0"));
    }
    Some(())
}

/// Tries until it succeeds; none if that is too often.
async fn retried(work: impl AsyncFn() -> Result<(), Error>) -> Option<()> {
    for _ in 0..TRIES_MAX {
        match work().await {
            Ok(()) => return Some(()),
            Err(error @ (Error::Exhausted(_) | Error::Internal(_))) => say(&format!("failed {error}")),
            Err(error) => panic!("{error}"),
        }
    }
    say("gave up");
    None
}

/// Three small ones and two with a file of their own.
fn content(round: u64, number: u64) -> Bytes {
    let len = match number {
        0..3 => 100 + 700 * number,
        3 => 3500,
        _ => {
            if round == 0 {
                40_000
            } else {
                5000
            }
        }
    };
    noise(round * 10 + number, len as usize)
}

fn value(round: u64) -> Bytes {
    format!("{round:4}{}", "v".repeat((round * 97 % 500) as usize)).into()
}

/// One write call a line.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nchild: {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// What a child did.
struct Outcome {
    limit: u64,
    status: ExitStatus,
    said: Vec<String>,
}

impl Outcome {
    fn finished(&self) -> bool {
        self.said.iter().any(|line| line == "finished")
    }

    /// What was said last of each thing.
    fn acknowledged(&self, what: &str) -> BTreeSet<(u64, u64)> {
        let lines = self.said.iter().filter_map(|line| line.strip_prefix(what)?.trim().split_once(' '));
        lines.map(|(round, number)| (round.parse().unwrap(), number.parse().unwrap())).collect()
    }
}

fn run_child(folder: &Path, limit: u64, strace: &[&str]) -> Outcome {
    let output = Command::new("strace")
        .args(["-f", "-qq", "--seccomp-bpf"])
        .args(strace)
        .arg(std::env::current_exe().unwrap())
        .args(["blobs::kill::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD_FOLDER, folder)
        .env(CHILD_LIMIT, limit.to_string())
        .output()
        .expect("strace is needed for this test (Debian: apt-get install strace)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = text.lines().filter_map(|line| line.strip_prefix("child: ")).map(str::to_owned).collect();
    Outcome { limit, status: output.status, said }
}

/// Opens what a child left: what it was told is kept is there if it fits, and nothing is wrong.
async fn check_what_is_left(folder: &TempDir, outcome: &Outcome, what: &str) {
    let store = open(folder.path(), limited(outcome.limit));
    // Before others are used: in a small place the one that was used first may go.
    let entry = get_entry(&store, "entry").await;
    let (kept, gone) = (outcome.acknowledged("blob"), outcome.acknowledged("gone"));
    let removing = |round: u64, number: u64| number == 0 && round % 3 == 2;
    for round in 0..ROUNDS {
        for number in 0..5 {
            let data = content(round, number);
            let found = get(&store, &blob(&data).digest).await;
            assert!(found.is_none() || found == Some(data), "{what}: blob {round} {number} is wrong");
            let fits = outcome.limit == LIMIT_BYTES;
            if fits && kept.contains(&(round, number)) && !removing(round, number) {
                assert!(found.is_some(), "{what}: blob {round} {number} is lost");
            }
            if gone.contains(&(round, number)) {
                assert!(found.is_none(), "{what}: blob {round} {number} came back");
            }
        }
    }
    assert_eq!(store.usage().corrupt, 0, "{what}: something could be found and not be read");
    let told = outcome.acknowledged("entry").into_iter().map(|(round, _)| round).max();
    if let Some(told) = told {
        match entry {
            Some(found) => assert!(found == value(told) || found == value(told + 1), "{what}: an old value"),
            None => assert!(outcome.limit != LIMIT_BYTES, "{what}: the entry is lost"),
        }
    }
    let temporary = std::fs::read_dir(folder.path().join("tmp")).unwrap().count();
    assert_eq!(temporary, 0, "{what}: something is left of uploads");
    // And it goes on.
    for round in 0..ROUNDS {
        keep(&store, round).await.unwrap_or_else(|| panic!("{what}: round {round} can't be kept"));
    }
}

/// How often each is called without a kill is not fixed, for commits gather; these are below.
async fn kill_at(limit: u64, call: &str, times: impl Iterator<Item = u64>) {
    for time in times {
        let folder = TempDir::new().unwrap();
        let what = format!("killed at {call} {time}, limit {limit}");
        let outcome = run_child(folder.path(), limit, &["-e", &format!("inject={call}:signal=KILL:when={time}")]);
        assert!(!outcome.status.success() && !outcome.finished(), "{what}: it was not, it said {:?}", outcome.said);
        check_what_is_left(&folder, &outcome, &what).await;
    }
}

#[tokio::test]
async fn killed_at_any_call_it_keeps_what_it_acknowledged() {
    kill_at(LIMIT_BYTES, "fdatasync", (1..25).step_by(4)).await;
    kill_at(LIMIT_BYTES, "fsync", (1..23).step_by(3)).await;
    kill_at(LIMIT_BYTES, "rename", (1..22).step_by(4)).await;
    kill_at(LIMIT_BYTES, "writev", (1..24).step_by(4)).await;
}

#[tokio::test]
async fn killed_while_it_makes_room() {
    kill_at(TIGHT_LIMIT_BYTES, "unlink", (1..12).step_by(2)).await;
    kill_at(TIGHT_LIMIT_BYTES, "writev", (16..24).step_by(2)).await;
}

#[tokio::test]
async fn it_goes_on_when_a_full_disk_has_space_again() {
    for (call, when) in [("writev", "1..2"), ("writev", "3+5"), ("writev", "6..16")] {
        let folder = TempDir::new().unwrap();
        let outcome =
            run_child(folder.path(), LIMIT_BYTES, &["-e", &format!("inject={call}:error=ENOSPC:when={when}")]);
        let failed = outcome.said.iter().any(|line| line.starts_with("failed no space for blobs: "));
        assert!(outcome.finished() && failed, "full at {call} {when}: it said {:?}", outcome.said);
        check_what_is_left(&folder, &outcome, &format!("full at {call} {when}")).await;
    }
}

#[tokio::test]
async fn a_sync_that_fails_is_not_acknowledged() {
    for (call, when) in [
        ("fdatasync", "2"),
        ("fdatasync", "5..6"),
        ("fdatasync", "3+2"),
        ("fsync", "8"),
        ("fsync", "10+3"),
        ("rename", "3+2"),
    ] {
        let folder = TempDir::new().unwrap();
        let outcome = run_child(folder.path(), LIMIT_BYTES, &["-e", &format!("inject={call}:error=EIO:when={when}")]);
        let complained = outcome.said.iter().any(|line| line.starts_with("failed") || line.starts_with("gave up"));
        assert!(complained || !outcome.finished(), "{call} fails at {when}: it said {:?}", outcome.said);
        check_what_is_left(&folder, &outcome, &format!("{call} fails at {when}")).await;
    }
}

/// A kill keeps the page cache, so it can't notice a sync that is missing: the order of the calls can.
#[tokio::test]
async fn every_acknowledgement_comes_after_its_syncs() {
    let folder = TempDir::new().unwrap();
    let trace_folder = TempDir::new().unwrap();
    let trace = trace_folder.path().join("trace");
    let calls = "trace=write,writev,rename,fdatasync,fsync";
    let outcome =
        run_child(folder.path(), LIMIT_BYTES, &["-y", "-s", "32", "-e", calls, "-o", trace.to_str().unwrap()]);
    assert!(outcome.finished(), "it said {:?}", outcome.said);
    let mut order = Order::default();
    for call in whole_calls(&std::fs::read_to_string(&trace).unwrap()) {
        order.see(&call);
    }
    assert!(order.acknowledged >= ROUNDS * 2 && order.renamed >= ROUNDS, "{order:?}");
}

/// What has been written and not synced, as the calls come.
#[derive(Debug, Default)]
struct Order {
    unsynced_packs: u64,
    unsynced_files: BTreeSet<String>,
    /// Folders in which something was renamed.
    unsynced_folders: BTreeSet<String>,
    renamed: u64,
    acknowledged: u64,
}

impl Order {
    fn see(&mut self, call: &str) {
        let path =
            call.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(path, _)| path).to_owned();
        match call.split('(').next().unwrap_or_default() {
            "writev" if is_pack(&path) => self.unsynced_packs += 1,
            "write" if is_upload(&path) => {
                self.unsynced_files.insert(path);
            }
            "fdatasync" | "fsync" if is_pack(&path) => self.unsynced_packs = 0,
            "fdatasync" | "fsync" => {
                self.unsynced_files.remove(&path);
                let name = path.rsplit_once("/large/").map_or("", |(_, name)| name);
                self.unsynced_folders.remove(name);
            }
            "rename" if call.contains("/large/") => {
                let from = call.split('"').nth(1).unwrap_or_default();
                assert!(!self.unsynced_files.contains(from), "renamed before the sync: {call} {self:?}");
                let target = call.rsplit_once("/large/").map_or("", |(_, rest)| rest);
                self.unsynced_folders.insert(target.split('/').next().unwrap_or_default().to_owned());
                self.renamed += 1;
            }
            "write" if ["child: blob", "child: entry", "child: gone"].iter().any(|word| call.contains(word)) => {
                assert_eq!(self.unsynced_packs, 0, "acknowledged before the sync: {call}");
                assert!(self.unsynced_folders.is_empty(), "acknowledged before the folder's sync: {call} {self:?}");
                self.acknowledged += 1;
            }
            _ => {}
        }
    }
}

/// Whether it is a file in the store's folder for uploads, whose names are numbers.
fn is_upload(path: &str) -> bool {
    path.rsplit_once("/tmp/").is_some_and(|(_, name)| name.parse::<u64>().is_ok())
}

fn is_pack(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "pack")
}
