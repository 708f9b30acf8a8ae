//! What sealing costs and gives: `cargo run --release -p millrace-store --example log_seal [MEGABYTES [FRAME_BYTES]]`.
//!
//! Writes one log of lines as builds print them, and then: how fast zstd at level 3 packs its text (one thread, the same
//! process), how fast the log is sealed, how long both files are, and how long it takes to read 100 lines from anywhere in
//! the plain and in the sealed log.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use millrace_engine::logs::{LogAppend, LogHead, LogId, LogStore, ReadFrom, flags};
use millrace_store::logs::disk::{DiskLogs, DiskLogsOptions};

const APPEND_BYTES: usize = 4 * 1024 * 1024;
const READS: u64 = 3000;

fn main() {
    let number = |at: usize, or: usize| std::env::args().nth(at).map_or(or, |text| text.parse().expect("a number"));
    let bytes = number(1, 1000) as u64 * 1_000_000;
    let defaults = DiskLogsOptions::default();
    let options = DiskLogsOptions { seal_frame_bytes: number(2, defaults.seal_frame_bytes), ..defaults };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (root, id) = (folder.path().join("logs"), LogId::parse("run.1").expect("a good id"));
    runtime.block_on(async {
        let plain = DiskLogsOptions { seal_after: None, ..options.clone() };
        let logs = DiskLogs::open(&root, &plain).expect("opens");
        let head = write(&logs, &id, bytes).await;
        println!(
            "{} lines, {} MB of text, {} MB stored",
            head.lines,
            head.bytes / 1_000_000,
            stored(&logs, &id).await / 1_000_000
        );
        read_anywhere("plain", &logs, &id, &head).await;
    });
    let packed = pack_with_zstd(&root);
    runtime.block_on(async {
        let sealing = DiskLogsOptions { seal_after: Some(Duration::ZERO), ..options.clone() };
        let start = Instant::now();
        let logs = DiskLogs::open(&root, &sealing).expect("opens");
        println!("a start over its journal: {:.2?}", start.elapsed());
        let head = logs.head(&id).await.expect("a head");
        let head = logs.append(&id, LogAppend::end(head.lines)).await.expect("ends");
        let start = Instant::now();
        logs.settle().await;
        let (stored, seconds) = (stored(&logs, &id).await, start.elapsed().as_secs_f64());
        println!(
            "sealed in pieces of {}: {:.0} MB/s with its syncs",
            options.seal_frame_bytes,
            head.bytes as f64 / seconds / 1e6
        );
        println!("stored: {stored} bytes, zstd -3: {packed} bytes, {:.3} of it", stored as f64 / packed as f64);
        read_anywhere("sealed", &logs, &id, &head).await;
    });
}

/// Lines with times, levels, names, paths and numbers: 100 bytes on average.
async fn write(logs: &DiskLogs, id: &LogId, bytes: u64) -> LogHead {
    const WORDS: [&str; 16] = [
        "compiling",
        "linking",
        "fetched",
        "resolved",
        "warning",
        "unused",
        "variable",
        "target",
        "cache",
        "remote",
        "uploaded",
        "action",
        "stdout",
        "retry",
        "finished",
        "skipped",
    ];
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut head, mut time) = (LogHead::default(), 1_700_000_000_000_u64);
    while head.bytes < bytes {
        let (mut text, mut words) = (Vec::with_capacity(APPEND_BYTES + 200), Vec::new());
        while text.len() < APPEND_BYTES {
            time += next() % 12;
            let word = |number: u64| WORDS[number as usize % WORDS.len()];
            let (a, b) = (next(), next());
            writeln!(
                text,
                "2026-11-23T{:02}:{:02}:{:02}.{:03}Z INFO [{}] {} {} src/{}/{}_{}.rs:{} {} in {}.{:02}s id={:08x}",
                time / 3_600_000 % 24,
                time / 60_000 % 60,
                time / 1000 % 60,
                time % 1000,
                a % 24,
                word(a >> 8),
                word(a >> 12),
                word(a >> 16),
                word(a >> 20),
                a >> 24 & 0x3F,
                a >> 32 & 0x3FF,
                word(b),
                b >> 8 & 0xF,
                b >> 12 & 0x3F,
                b >> 32
            )
            .expect("a line");
            let word: u64 = time << flags::TIME_SHIFT | u64::from(a % 16 == 0);
            words.extend_from_slice(&word.to_le_bytes());
        }
        let append = LogAppend { at_lines: head.lines, text: text.into(), words: words.into(), ..LogAppend::default() };
        head = logs.append(id, append).await.expect("appends");
    }
    head
}

/// Streams the text through zstd as a program would; returns how long it is then.
fn pack_with_zstd(root: &Path) -> u64 {
    let mut segments: Vec<(u64, PathBuf)> = std::fs::read_dir(root)
        .expect("a folder")
        .flat_map(|shard| std::fs::read_dir(shard.expect("a shard").path()).into_iter().flatten())
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|is| is == "text"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name.split_once('~').map_or(0, |(_, number)| number.parse().expect("a number")), path)
        })
        .collect();
    segments.sort();
    let start = Instant::now();
    let mut encoder = zstd::stream::write::Encoder::new(Counted(0), 3).expect("an encoder");
    encoder.include_checksum(true).expect("a checksum");
    let (mut buffer, mut bytes) = (vec![0; 1024 * 1024], 0);
    for (_, path) in segments {
        let mut file = std::fs::File::open(path).expect("a segment");
        loop {
            let count = file.read(&mut buffer).expect("reads");
            if count == 0 {
                break;
            }
            encoder.write_all(&buffer[..count]).expect("packs");
            bytes += count;
        }
    }
    let packed = encoder.finish().expect("packs").0;
    println!("zstd -3 of the text: {:.0} MB/s", bytes as f64 / start.elapsed().as_secs_f64() / 1e6);
    packed
}

/// Counts what it is given.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn stored(logs: &DiskLogs, id: &LogId) -> u64 {
    logs.stored(id).await.expect("is there").0
}

async fn read_anywhere(what: &str, logs: &DiskLogs, id: &LogId, head: &LogHead) {
    let mut times = Vec::new();
    for step in 0..READS {
        // Any order will do that jumps about.
        let first = step * 7_919_999 % head.lines;
        let start = Instant::now();
        let lines = logs.read(id, ReadFrom::Line(first), 100, 1 << 20).await.expect("reads");
        times.push(start.elapsed());
        assert_eq!(lines.place.line, first);
    }
    times.sort();
    println!(
        "100 lines from anywhere in the {what} log: p50 {:.2?}, p99 {:.2?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
}
