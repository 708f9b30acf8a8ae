//! Any sequence of appends, duplicates, restarts and losses of power, against a naive model: a list of rows a log.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use millrace_engine::logs::{LINE_MAX_BYTES, LogId, LogRoom};
use millrace_store::logs::disk::DiskLogsOptions;
use proptest::prelude::*;
use tempfile::TempDir;

use super::crash::{log_files, truncate};
use super::{append, id, open, options, plain};

#[derive(Clone, Debug)]
enum Step {
    /// Sends `again` of the last rows and then these.
    Append { log: u8, again: u8, rows: Vec<Vec<u8>>, end: bool },
    /// Stops; the files lose some of what was written since the last start; starts.
    Restart { losses: Vec<Loss> },
}

/// What one file loses.
#[derive(Clone, Debug)]
struct Loss {
    file: u16,
    at: u16,
    kind: LossKind,
}

#[derive(Clone, Debug)]
enum LossKind {
    /// All from some byte on.
    Tail,
    /// All from some byte on became zeros.
    Zeros,
    /// What was written over older bytes at its beginning.
    Head,
}

fn row() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-z ]{0,30}".prop_map(String::into_bytes),
        1 => "(##\\[(error|group|notice)\\])?[a-c]{1,3}(\n[a-c]{0,3}){0,3}[a-c]".prop_map(String::into_bytes),
        1 => proptest::collection::vec(prop_oneof![Just(0_u8), Just(0xFF), Just(b'\r'), Just(0x80)], 0..5),
        1 => (1_usize..3).prop_map(|times| vec![b'L'; LINE_MAX_BYTES * times + 7]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let rows = prop_oneof![9 => proptest::collection::vec(row(), 0..12), 1 => proptest::collection::vec(Just(b"many".to_vec()), 200..600)];
    let kind = prop_oneof![3 => Just(LossKind::Tail), 1 => Just(LossKind::Zeros), 1 => Just(LossKind::Head)];
    let loss = (any::<u16>(), any::<u16>(), kind).prop_map(|(file, at, kind)| Loss { file, at, kind });
    prop_oneof![
        6 => (0_u8..4, 0_u8..6, rows, proptest::bool::weighted(0.05))
            .prop_map(|(log, again, rows, end)| Step::Append { log, again, rows, end }),
        1 => proptest::collection::vec(loss, 0..6).prop_map(|losses| Step::Restart { losses }),
    ]
}

#[derive(Default)]
struct Model {
    rows: Vec<Vec<u8>>,
    complete: bool,
}

impl Model {
    fn lines(&self) -> Vec<&[u8]> {
        let split = self.rows.iter().flat_map(|row| row.split(|byte| *byte == b'\n'));
        split
            .flat_map(|line| if line.is_empty() { vec![line] } else { line.chunks(LINE_MAX_BYTES).collect() })
            .collect()
    }
}

struct World {
    folder: TempDir,
    options: DiskLogsOptions,
    room: Option<LogRoom>,
    logs: BTreeMap<LogId, Model>,
    /// Length and first bytes of each file at the last start: that much is durable.
    durable: BTreeMap<PathBuf, Vec<u8>>,
    /// The number of the journal's newest segment at the last start.
    segment: u64,
}

impl World {
    fn new(options: DiskLogsOptions) -> Self {
        let folder = quick_folder();
        let room = Some(open(&folder, &options));
        Self { folder, options, room, logs: BTreeMap::new(), durable: BTreeMap::new(), segment: 0 }
    }

    fn room(&self) -> &LogRoom {
        self.room.as_ref().unwrap()
    }

    async fn append(&mut self, log: u8, again: u8, rows: Vec<Vec<u8>>, end: bool) {
        let log = id(&format!("log.{log}"));
        let model = self.logs.entry(log.clone()).or_default();
        let known = model.rows.len();
        let again = usize::from(again).min(known);
        let mut sent = model.rows[known - again..].to_vec();
        if !model.complete {
            model.rows.extend(rows.iter().cloned());
            model.complete = end;
            sent.extend(rows);
        }
        let ack = model.rows.len() as u64;
        let empty = model.rows.is_empty() && !model.complete;
        let room = self.room.as_ref().unwrap();
        assert_eq!(append(room, &log, (known - again) as u64, &sent, end).await, Ok(ack));
        if empty {
            self.logs.remove(&log);
        }
    }

    fn restart(&mut self, losses: &[Loss]) {
        self.room = None;
        let files = log_files(self.folder.path());
        // Some megabytes are enough for a checkpoint, if the machine finds the time to prepare a segment meanwhile. What
        // it has synced no loss of power takes away, and no journal could bring it back.
        let segments = segments(self.folder.path());
        let checkpointed = segments.iter().any(|(number, live)| *number > self.segment && !live);
        for loss in losses.iter().filter(|_| !files.is_empty() && !checkpointed) {
            let path = &files[usize::from(loss.file) % files.len()];
            let durable = self.durable.get(path).map_or(&[][..], Vec::as_slice);
            let mut bytes = std::fs::read(path).unwrap();
            let lost_from = durable.len() + usize::from(loss.at) % (bytes.len() - durable.len() + 1);
            match loss.kind {
                LossKind::Tail => truncate(path, lost_from as u64),
                LossKind::Zeros => {
                    bytes[lost_from..].fill(0);
                    std::fs::write(path, bytes).unwrap();
                }
                LossKind::Head => {
                    bytes[..durable.len()].copy_from_slice(durable);
                    std::fs::write(path, bytes).unwrap();
                }
            }
        }
        self.room = Some(open(&self.folder, &self.options));
        self.segment = segments.iter().map(|(number, _)| *number).max().unwrap_or(0);
        self.durable = log_files(self.folder.path())
            .into_iter()
            .map(|path| {
                let bytes = std::fs::read(&path).unwrap();
                (path, bytes)
            })
            .collect();
    }

    async fn check(&self) {
        assert_eq!(self.room().list(None, 100).await.unwrap(), self.logs.keys().cloned().collect::<Vec<_>>());
        for (log, model) in &self.logs {
            let lines = model.lines();
            let head = self.room().head(log).await.unwrap();
            assert_eq!(
                (head.lines, head.rows, head.complete),
                (lines.len() as u64, model.rows.len() as u64, model.complete)
            );
            // Where a long row was cut no byte was written.
            let expected: Vec<u8> = model.rows.iter().flat_map(|row| row.iter().chain(b"\n")).copied().collect();
            assert!(self.room().read_bytes(log, 0, usize::MAX).await.unwrap() == expected, "{log} has other bytes");
            for first in (0..lines.len()).step_by(37) {
                let read = self.room().read_lines(log, first as u64, 3, usize::MAX).await.unwrap();
                let end = (first + 3).min(lines.len());
                let expected: Vec<u8> =
                    lines[first..end].iter().flat_map(|line| line.iter().chain(b"\n")).copied().collect();
                assert!(read.data == expected, "{log} has other lines from {first} on");
            }
            let stat = self.room().stat(log).await.unwrap();
            let marked: Vec<u64> =
                (0..).zip(&lines).filter(|(_, line)| line.starts_with(b"##[")).map(|(line, _)| line).collect();
            assert_eq!(stat.marks.iter().map(|mark| mark.line).collect::<Vec<_>>(), marked);
        }
    }
}

async fn run(steps: Vec<Step>, options: DiskLogsOptions, with_losses: bool) {
    let mut world = World::new(options);
    for step in steps {
        match step {
            Step::Append { log, again, rows, end } => world.append(log, again, rows, end).await,
            Step::Restart { losses } => {
                world.restart(if with_losses { &losses } else { &[] });
                world.check().await;
            }
        }
    }
    world.check().await;
}

/// The journal's segments: their numbers, and whether what is in them is needed.
fn segments(root: &Path) -> Vec<(u64, bool)> {
    let headers = (0..4).filter_map(|slot| {
        let mut header = [0; 20];
        let mut file = std::fs::File::open(root.join(format!("journal/{slot}"))).ok()?;
        file.read_exact(&mut header).is_ok().then_some(header)
    });
    let headers = headers.filter(|header| header.starts_with(b"MRJRNL1\n"));
    headers
        .map(|header| (u64::from_le_bytes(header[8..16].try_into().unwrap()), header[16..] == 1_u32.to_le_bytes()))
        .collect()
}

/// In memory where that is possible: these tests sync a lot and ask nothing of the disk.
pub fn quick_folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

pub fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// The journal holds all since the last start, so any loss in the files is mended.
    #[test]
    fn nothing_acknowledged_is_lost(steps in proptest::collection::vec(step(), 1..40)) {
        block_on(run(steps, plain(), true));
    }

    /// Checkpoints all the time, and hardly an open file.
    #[test]
    fn checkpoints_change_nothing(steps in proptest::collection::vec(step(), 1..40)) {
        block_on(run(steps, options(2_000, 2), false));
    }

    /// The journal was cut: what was acknowledged before that place is there, and the rest is a beginning of the log.
    #[test]
    fn a_torn_journal_keeps_what_is_whole(
        calls in proptest::collection::vec((0_u8..3, proptest::collection::vec("[a-z]{0,20}", 1..5)), 1..30),
        cut in any::<u32>(),
        files_are_lost in any::<bool>(),
    ) {
        block_on(torn_journal(calls, cut, files_are_lost));
    }
}

async fn torn_journal(calls: Vec<(u8, Vec<String>)>, cut: u32, files_are_lost: bool) {
    let folder = quick_folder();
    let journal = folder.path().join("journal/0");
    let room = open(&folder, &plain());
    let mut logs: BTreeMap<LogId, (String, u64)> = BTreeMap::new();
    let mut acknowledged = Vec::new();
    for (log, rows) in calls {
        let log = id(&format!("log.{log}"));
        let (text, count) = logs.entry(log.clone()).or_default();
        append(&room, &log, *count, &rows, false).await.unwrap();
        *count += rows.len() as u64;
        text.extend(rows.iter().flat_map(|row| [row, "\n"]));
        acknowledged.push((journal.metadata().unwrap().len(), log, text.len()));
    }
    drop(room);
    let cut = u64::from(cut) % (journal.metadata().unwrap().len() + 1);
    truncate(&journal, cut);
    if files_are_lost {
        for path in log_files(folder.path()) {
            std::fs::remove_file(path).unwrap();
        }
    }
    let room = open(&folder, &plain());
    for (log, (text, _)) in &logs {
        let left = match room.head(log).await {
            Ok(_) => super::text(&room, log).await,
            Err(_) => String::new(),
        };
        let least = acknowledged.iter().filter(|(end, of, _)| *end <= cut && of == log).map(|(_, _, len)| *len).max();
        prop_assert_eq_prefix(text, &left, least.unwrap_or(0));
    }
}

fn prop_assert_eq_prefix(all: &str, left: &str, least: usize) {
    assert!(
        all.starts_with(left) && left.len() >= least,
        "{} of {} bytes are left, {least} were acknowledged",
        left.len(),
        all.len()
    );
}

/// What made the model fail on a busy machine: a checkpoint between two starts, which comes as soon as a segment is
/// prepared. Here it is waited for, and then the files lose all that they may.
#[tokio::test]
async fn what_a_checkpoint_has_synced_is_not_lost_again() {
    let mut world = World::new(options(4 * 1024 * 1024, 128));
    let long = || vec![vec![b'L'; LINE_MAX_BYTES]; 30];
    world.append(0, 0, long(), false).await;
    let mut calls = 0;
    while !segments(world.folder.path()).iter().any(|(_, live)| !live) {
        world.append(1, 0, vec![b"next".to_vec()], false).await;
        calls += 1;
        assert!(calls < 100_000, "no checkpoint");
        tokio::task::yield_now().await;
    }
    let losses: Vec<Loss> = (0..8).map(|file| Loss { file, at: 0, kind: LossKind::Tail }).collect();
    world.restart(&losses);
    world.check().await;
    // With nothing checkpointed since, the journal has it all.
    world.append(0, 0, vec![b"more".to_vec()], true).await;
    world.restart(&losses);
    world.check().await;
}
