//! How fast logs are taken in, with durability on: `cargo run --release -p millrace-store --example log_ingest`.
//!
//! Eight writers append lines of 100 bytes to a log each, every one waiting for its acknowledgement before it sends
//! more; then a thousand small logs are written at once; then one writer appends one row at a time while a tail reads;
//! then lines are read from anywhere. The folder is the first argument, or a temporary one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_engine::clock::SystemClock;
use millrace_engine::logs::{LogId, LogLimits, LogRoom, Missing, Row, Start, TailEvent};
use millrace_store::logs::disk::{DiskLogs, DiskLogsOptions};

const WRITERS: usize = 8;
const LINE_BYTES: usize = 100;
const SECONDS: u64 = 10;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = std::env::args().nth(1).map_or_else(|| folder.path().to_owned(), PathBuf::from);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for rows_a_call in [100, 1_000, 10_000] {
        let room = open(&root.join(format!("ingest{rows_a_call}")));
        runtime.block_on(ingest(&room, rows_a_call));
        if rows_a_call == 10_000 {
            runtime.block_on(read_anywhere(&room));
        }
    }
    runtime.block_on(small_logs(&open(&root.join("small"))));
    runtime.block_on(latency(&open(&root.join("latency"))));
    let start = Instant::now();
    drop(open(&root.join("ingest10000")));
    println!("start over a full journal: {:.2?}", start.elapsed());
}

fn open(root: &Path) -> LogRoom {
    let logs = DiskLogs::open(root, &DiskLogsOptions::default()).expect("opens");
    LogRoom::new(Arc::new(logs), Arc::new(SystemClock), LogLimits::default())
}

fn id(text: &str) -> LogId {
    LogId::parse(text).expect("a good id")
}

async fn ingest(room: &LogRoom, rows_a_call: usize) {
    let start = Instant::now();
    let writers = (0..WRITERS).map(|writer| tokio::spawn(write_for_a_while(room.clone(), writer, rows_a_call, start)));
    let mut rows = 0;
    for writer in writers.collect::<Vec<_>>() {
        rows += writer.await.expect("writes");
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{WRITERS} writers, {rows_a_call} rows a call: {:.0} lines/s, {:.0} MB/s",
        rows as f64 / seconds,
        (rows * LINE_BYTES as u64) as f64 / seconds / 1e6
    );
}

async fn write_for_a_while(room: LogRoom, writer: usize, rows_a_call: usize, start: Instant) -> u64 {
    let log = id(&format!("run.{writer}"));
    let line = "x".repeat(LINE_BYTES - 1);
    let mut rows = 0;
    while start.elapsed() < Duration::from_secs(SECONDS) {
        let mut batch = room.batch();
        for _ in 0..rows_a_call {
            batch.push(Row { time_ms: 0, stderr: false, text: line.as_bytes() }).expect("fits");
        }
        rows = room.append(&log, rows, batch, false).await.expect("appends");
    }
    rows
}

async fn small_logs(room: &LogRoom) {
    let start = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let room = room.clone();
        writers.spawn(async move {
            let mut batch = room.batch();
            for _ in 0..5 {
                batch.push(Row { time_ms: 0, stderr: false, text: b"one of five lines" }).expect("fits");
            }
            room.append(&id(&format!("run{}.{number}", number % 50)), 0, batch, true).await.expect("appends")
        });
    }
    writers.join_all().await;
    println!("1 000 small logs at once: {:.2?}", start.elapsed());
}

async fn latency(room: &LogRoom) {
    let log = id("latency");
    let mut tail = room.tail(&log, Start::Offset(0), Missing::Wait).await.expect("a tail");
    let (mut acks, mut reads) = (Vec::new(), Vec::new());
    for row in 0..2000 {
        let start = Instant::now();
        let mut batch = room.batch();
        batch.push(Row { time_ms: 0, stderr: false, text: b"a line that somebody waits for" }).expect("fits");
        let append = async {
            room.append(&log, row, batch, false).await.expect("appends");
            acks.push(start.elapsed());
        };
        let read = async {
            assert!(matches!(tail.next().await, Ok(TailEvent::Data(_))));
            reads.push(start.elapsed());
        };
        tokio::join!(append, read);
    }
    print_times("one row to its acknowledgement", acks);
    print_times("one row to its tail", reads);
}

async fn read_anywhere(room: &LogRoom) {
    let log = id("run.0");
    let head = room.head(&log).await.expect("a head");
    let mut times = Vec::new();
    for step in 0..2000_u64 {
        // Any order will do that jumps about.
        let first = step * 7_919_999 % head.lines;
        let start = Instant::now();
        let lines = room.read_lines(&log, first, 100, 1 << 20).await.expect("reads");
        times.push(start.elapsed());
        assert_eq!(lines.place.line, first);
    }
    print_times(&format!("100 lines anywhere in {} MB", head.bytes / 1_000_000), times);
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort();
    println!("{what}: p50 {:.2?}, p99 {:.2?}", times[times.len() / 2], times[times.len() * 99 / 100]);
}
