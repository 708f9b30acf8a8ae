//! One large log, as a long build prints it, and the same text in a file beside it, for what reads logs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use millrace_bench::wire::millrace_v1::{GetLogRequest, Log};

use super::{single_job, start_run};
use crate::report::Report;
use crate::target::Target;

/// In three lines of the log.
pub const RARE: &str = "connection reset by peer: 7f3a91c0";
/// In each fourth line.
pub const FREQUENT: &str = "cached=true";
/// In one of some thousand lines.
pub const REGEX: &str = "took [0-9]+9999 us";
/// In no line.
pub const MISS: &str = "segmentation fault at 0xdeadbeef";

/// How much a call carries, as the runner does it.
const BATCH_BYTES: usize = 256 * 1024;
/// How long an agent waits for its task.
const WAIT_MS: u32 = 30_000;
/// How long the server may take to compress it.
const COMPRESS_MAX: Duration = Duration::from_mins(5);
const COMPRESS_LOOK: Duration = Duration::from_millis(200);

/// The log.
pub struct BigLog {
    /// Its id.
    pub id: String,
    /// How many lines it has.
    pub lines: u64,
    /// The same text.
    pub file: PathBuf,
}

impl BigLog {
    /// Writes a log of about so many bytes, by UpdateLog, and ends it.
    pub async fn fill(target: &Target, bytes: u64, report: &mut Report) -> Result<Self> {
        let label = "bench-big-log";
        let agent = target.agent(label).await?;
        start_run(&target.client, single_job(label)).await?;
        let task = agent.fetch("", WAIT_MS).await?.context("no task came")?;
        agent.report(&task, "running", "running").await?;
        let file = target.folder.path().join("big.log");
        let mut copy = BufWriter::new(File::create(&file)?);
        let (mut lines, mut written) = (0_u64, 0_u64);
        // One at the beginning, one in the middle, one near the end.
        let mut rare = [bytes / 20, bytes / 2, bytes / 20 * 19].into_iter().peekable();
        let began = Instant::now();
        while written < bytes {
            let (mut rows, mut size) = (Vec::new(), 0);
            while size < BATCH_BYTES && written < bytes {
                let mut row = row(lines + rows.len() as u64);
                if rare.next_if(|at| written >= *at).is_some() {
                    row = format!("{row} {RARE}");
                }
                writeln!(copy, "{row}")?;
                size += row.len() + 1;
                written += row.len() as u64 + 1;
                rows.push(row);
            }
            let count = rows.len() as u64;
            let acknowledged = agent.log(&task, lines as i64, rows, false).await?;
            lines += count;
            ensure!(acknowledged == lines as i64, "{acknowledged} rows acknowledged, {lines} sent");
        }
        agent.log(&task, lines as i64, Vec::new(), true).await?;
        agent.report(&task, "success", "success").await?;
        copy.flush()?;
        report.figure("the log's bytes", written as f64, "");
        report.figure("its lines", lines as f64, "");
        report.figure(
            "written by one step, one call at a time",
            written as f64 / 1e6 / began.elapsed().as_secs_f64(),
            "MB/s",
        );
        let log = Self { id: task.log_id(0), lines, file };
        let stat = log.stat(target).await?;
        ensure!(
            (stat.lines, stat.size_bytes, stat.complete) == (lines, written, true),
            "the log has {} lines and {} bytes, of {lines} and {written}",
            stat.lines,
            stat.size_bytes
        );
        Ok(log)
    }

    /// The log as the server tells of it.
    pub async fn stat(&self, target: &Target) -> Result<Log> {
        let request = GetLogRequest { log_id: self.id.clone() };
        target.client.logs().get_log(request).await?.into_inner().log.context("no log in the answer")
    }

    /// Waits until the server has compressed it.
    pub async fn compressed(&self, target: &Target, report: &mut Report) -> Result<()> {
        let began = Instant::now();
        let mut look = tokio::time::interval(COMPRESS_LOOK);
        loop {
            look.tick().await;
            let stat = self.stat(target).await?;
            if stat.compressed {
                report.figure("compressed after", began.elapsed().as_secs_f64(), "s");
                report.figure("its share of the text", stat.stored_bytes as f64 / stat.size_bytes as f64, "");
                return Ok(());
            }
            if began.elapsed() > COMPRESS_MAX {
                bail!("the log is not compressed after {} s", COMPRESS_MAX.as_secs());
            }
        }
    }
}

/// A line of about 100 bytes that is like no other.
fn row(number: u64) -> String {
    // splitmix64: any spread does.
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^= mixed >> 27;
    let (seconds, millis) = (number / 1_000, number % 1_000);
    let level = ["INFO ", "INFO ", "INFO ", "DEBUG", "WARN "][(mixed % 5) as usize];
    let module = ["compiler", "linker", "scheduler", "cache::disk", "net::http", "tests"][(mixed / 5 % 6) as usize];
    let (hours, minutes, seconds) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!(
        "2026-11-23T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z {level} {module} target //src/lib_{}:unit_{} \
         took {} us cached={} {:08x}",
        mixed >> 8 & 0xFFF,
        mixed >> 20 & 0xFF,
        mixed >> 24 & 0xF_FFFF,
        (mixed >> 44).is_multiple_of(4),
        mixed >> 32,
    )
}
