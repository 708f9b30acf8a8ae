//! What the machine can do at all, whatever the server: calls, bytes over HTTP/2, SHA-256, the disk.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use millrace_bench::program::ServerProgram;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::floor;
use crate::reapi::call::{Call, Keep};
use crate::reapi::expect::Expect;
use crate::reapi::waves::{Connections, Measured, Op};
use crate::report::Report;

/// How long each of them lasts where there is time.
pub const EACH: Duration = Duration::from_secs(2);
/// How much is written before each sync.
const SYNC_SMALL_BYTES: usize = 4096;
const SYNC_LARGE_BYTES: usize = 1 << 20;
/// The file that is written over and over.
const SYNC_FILE_BYTES: usize = 16 << 20;
/// Files that are written one after the other, and read over HTTP/2: as large as the cache's large blobs.
pub const FILE_BYTES: usize = 64 << 20;
/// How many such files are read at once.
const FILES_AT_ONCE: usize = 8;
/// Connections, and calls at once over them.
const CONNECTIONS: usize = 4;
const CALLS_AT_ONCE: usize = 32;

/// What the machine can do.
pub struct Limits {
    /// Empty calls in a second, of a server that does nothing.
    pub empty_calls: f64,
    /// Files over HTTP/2, in MB/s.
    pub file_get: f64,
    /// Hashing, in MB/s.
    pub sha256: f64,
    /// Files written and synced, in MB/s.
    pub disk: f64,
    /// Small writes made durable in a second.
    pub syncs: f64,
    /// Writes of 1 MiB made durable, in MB/s.
    pub sync_large: f64,
    /// The files' size.
    file_bytes: usize,
}

impl Limits {
    /// Measures them, each so long, with files of that size; the folder is on the disk that is meant.
    pub async fn measure(folder: &Path, each: Duration, file_bytes: usize) -> Result<Self> {
        let (empty_calls, file_get) = floor(folder, each, file_bytes).await?;
        let folder = folder.to_owned();
        let (syncs, sync_large, disk) = tokio::task::spawn_blocking(move || disk(&folder, each, file_bytes)).await??;
        let sha256 = tokio::task::spawn_blocking(move || sha256(each)).await?;
        Ok(Self { empty_calls, file_get, sha256, disk, syncs, sync_large, file_bytes })
    }

    /// Puts them into a report.
    pub fn add_to(&self, report: &mut Report) {
        let (files, mebibytes) = (FILES_AT_ONCE, self.file_bytes >> 20);
        let calls = format!("empty calls of a server that does nothing, {CALLS_AT_ONCE} at a time");
        report.figure(calls, self.empty_calls, "calls/s");
        report.figure(format!("GET of a {mebibytes} MiB file, h2c, {files} at a time"), self.file_get, "MB/s");
        report.figure(format!("write and fdatasync of {SYNC_SMALL_BYTES} bytes"), self.syncs, "syncs/s");
        report.figure(format!("write and fdatasync of {} KiB", SYNC_LARGE_BYTES / 1024), self.sync_large, "MB/s");
        report.figure(format!("files of {mebibytes} MiB written and synced, one by one"), self.disk, "MB/s");
        report.figure("SHA-256, one core", self.sha256, "MB/s");
    }
}

/// Empty calls in a second, and MB/s of files.
async fn floor(folder: &Path, each: Duration, file_bytes: usize) -> Result<(f64, f64)> {
    let file = folder.join("floor");
    std::fs::write(&file, vec![7; file_bytes])?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--floor").arg(&file).stderr(Stdio::inherit());
    let server = ServerProgram::start(command).await?;
    let connections = Connections::new(&server.url, "", CONNECTIONS)?;
    let call = Call::Unary { method: floor::EMPTY_METHOD, request: Bytes::new() };
    let empty = Op { call, keep: Keep::Length, expect: Expect::Empty };
    let empty = repeated(&connections, &empty, CALLS_AT_ONCE * 50, CALLS_AT_ONCE, each).await?;
    let call = Call::Get { path: floor::FILE_PATH };
    let get = Op { call, keep: Keep::Length, expect: Expect::Length(file_bytes as u64) };
    let get = repeated(&connections, &get, FILES_AT_ONCE, FILES_AT_ONCE, each).await?;
    server.kill().await?;
    std::fs::remove_file(file)?;
    Ok((empty.rate(), get.rate() * file_bytes as f64 / 1e6))
}

async fn repeated(
    connections: &Connections,
    op: &Op,
    calls: usize,
    at_once: usize,
    each: Duration,
) -> Result<Measured> {
    let warm_up = connections.make(vec![op.clone(); calls], at_once).await?;
    let calls = ((warm_up.rate() * each.as_secs_f64()) as usize).max(calls);
    connections.make(vec![op.clone(); calls], at_once).await
}

/// How many small and how many large writes are made durable in a second, and how fast whole files are.
fn disk(folder: &Path, each: Duration, file_bytes: usize) -> Result<(f64, f64, f64)> {
    let path = folder.join("sync");
    let mut file = File::create(&path)?;
    file.write_all(&vec![7; SYNC_FILE_BYTES])?;
    file.sync_all()?;
    let small = sync_rate(&mut file, SYNC_SMALL_BYTES, each)?;
    let large = sync_rate(&mut file, SYNC_LARGE_BYTES, each)? * SYNC_LARGE_BYTES as f64 / 1e6;
    std::fs::remove_file(path)?;
    Ok((small, large, file_rate(folder, each, file_bytes)?))
}

/// Over and over the same file, whose space is there: as a journal does.
fn sync_rate(file: &mut File, bytes: usize, each: Duration) -> Result<f64> {
    let block = vec![9_u8; bytes];
    let (began, mut count, mut at) = (Instant::now(), 0_u32, 0);
    while began.elapsed() < each {
        if at + bytes > SYNC_FILE_BYTES {
            at = 0;
        }
        file.seek(SeekFrom::Start(at as u64))?;
        file.write_all(&block)?;
        file.sync_data()?;
        count += 1;
        at += bytes;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

/// New files, each synced when it is whole: as a store of large blobs does.
fn file_rate(folder: &Path, each: Duration, file_bytes: usize) -> Result<f64> {
    let block = vec![9_u8; SYNC_LARGE_BYTES];
    let (began, mut paths) = (Instant::now(), Vec::new());
    while began.elapsed() < each {
        let path = folder.join(format!("file-{}", paths.len()));
        let mut file = File::create(&path)?;
        for _ in 0..file_bytes / SYNC_LARGE_BYTES {
            file.write_all(&block)?;
        }
        file.sync_all()?;
        paths.push(path);
    }
    let rate = (paths.len() * file_bytes) as f64 / 1e6 / began.elapsed().as_secs_f64();
    paths.iter().try_for_each(std::fs::remove_file)?;
    Ok(rate)
}

fn sha256(each: Duration) -> f64 {
    let block = vec![7_u8; 1 << 20];
    let (began, mut hash, mut blocks) = (Instant::now(), Sha256::new(), 0_u32);
    while began.elapsed() < each {
        hash.update(&block);
        blocks += 1;
    }
    std::hint::black_box(hash.finalize());
    f64::from(blocks) * block.len() as f64 / 1e6 / began.elapsed().as_secs_f64()
}
