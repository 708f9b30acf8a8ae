//! What this machine can do at all, so that the other figures can be compared with those of another machine or hour.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use millrace_bench::client::Client;
use millrace_bench::wire::runner_v1::PingRequest;
use sha2::{Digest, Sha256};

use crate::report::Report;
use crate::samples::Samples;
use crate::target::Target;

/// How long each of them lasts.
const EACH: Duration = Duration::from_secs(2);
/// Calls at once where it is not one.
const CALLS_AT_ONCE: usize = 32;
/// How much is written before each sync.
const SYNC_SMALL_BYTES: usize = 4096;
const SYNC_LARGE_BYTES: usize = 1 << 20;
/// The file that is written.
const SYNC_FILE_BYTES: usize = 64 << 20;

/// Measures empty calls, syncs and SHA-256.
pub async fn calibrate(target: &mut Target) -> Result<Report> {
    let mut report = Report::new("calibrate: what this machine can do at all");
    let (one, latency) = pings(&target.client).await?;
    report.figure("empty calls (Ping), one at a time", one, "calls/s");
    report.figure("one empty call, p50", latency.percentile(50.0), "ms");
    let began = Instant::now();
    let many = try_join_all((0..CALLS_AT_ONCE).map(|_| pings(&target.client))).await?;
    let calls: usize = many.iter().map(|(_, samples)| samples.len()).sum();
    report.figure(
        format!("empty calls (Ping), {CALLS_AT_ONCE} at a time"),
        calls as f64 / began.elapsed().as_secs_f64(),
        "calls/s",
    );
    let folder = target.folder.path().to_owned();
    let (small, large) = tokio::task::spawn_blocking(move || syncs(&folder)).await??;
    report.figure(format!("write and fdatasync of {SYNC_SMALL_BYTES} bytes"), small, "syncs/s");
    let megabytes = large * SYNC_LARGE_BYTES as f64 / 1e6;
    report.figure(format!("write and fdatasync of {} KiB", SYNC_LARGE_BYTES / 1024), megabytes, "MB/s");
    report.figure("SHA-256, one core", tokio::task::spawn_blocking(sha256).await?, "MB/s");
    Ok(report)
}

async fn pings(client: &Client) -> Result<(f64, Samples)> {
    let mut agents = client.agents();
    agents.ping(PingRequest::default()).await?;
    let (began, mut samples) = (Instant::now(), Samples::default());
    while began.elapsed() < EACH {
        let called = Instant::now();
        agents.ping(PingRequest::default()).await?;
        samples.push(called.elapsed());
    }
    Ok((samples.len() as f64 / began.elapsed().as_secs_f64(), samples))
}

/// How many small and how many large writes are made durable in a second.
fn syncs(folder: &Path) -> Result<(f64, f64)> {
    let path = folder.join("sync");
    let mut file = File::create(&path)?;
    file.write_all(&vec![7; SYNC_FILE_BYTES])?;
    file.sync_all()?;
    let rates = (sync_rate(&mut file, SYNC_SMALL_BYTES)?, sync_rate(&mut file, SYNC_LARGE_BYTES)?);
    std::fs::remove_file(path)?;
    Ok(rates)
}

/// Over and over the same file, whose space is there: as a journal does.
fn sync_rate(file: &mut File, bytes: usize) -> Result<f64> {
    let block = vec![9_u8; bytes];
    let (began, mut count, mut at) = (Instant::now(), 0_u32, 0);
    while began.elapsed() < EACH {
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

fn sha256() -> f64 {
    let block = vec![7_u8; 1 << 20];
    let (began, mut hash, mut blocks) = (Instant::now(), Sha256::new(), 0_u32);
    while began.elapsed() < EACH {
        hash.update(&block);
        blocks += 1;
    }
    std::hint::black_box(hash.finalize());
    f64::from(blocks) * block.len() as f64 / 1e6 / began.elapsed().as_secs_f64()
}
