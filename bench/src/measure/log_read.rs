//! Lines anywhere in one large log, before and after it was compressed.

use std::time::Instant;

use anyhow::{Result, ensure};
use millrace_bench::wire::millrace_v1::ReadLinesRequest;
use rand::Rng;

use super::big_log::BigLog;
use crate::report::Report;
use crate::samples::Samples;
use crate::target::Target;

/// How many calls of each kind.
const CALLS: usize = 1_000;
/// How many lines a call asks for.
const LINES: u32 = 100;
/// The longest p99, in milliseconds.
const GOAL_P99_MS: f64 = 10.0;

/// Measures ReadLines and GetLog.
pub async fn log_read(target: &mut Target, bytes: u64) -> Result<Report> {
    let mut report =
        Report::new(format!("log-read: one log, {CALLS} calls one after the other, {LINES} lines anywhere in it"));
    let log = BigLog::fill(target, bytes, &mut report).await?;
    round(target, &log, "as written", &mut report).await?;
    log.compressed(target, &mut report).await?;
    round(target, &log, "compressed", &mut report).await?;
    Ok(report)
}

async fn round(target: &Target, log: &BigLog, state: &str, report: &mut Report) -> Result<()> {
    let (mut read, mut got) = (Samples::default(), Samples::default());
    let mut logs = target.client.logs();
    for _ in 0..CALLS {
        let first_line = rand::rng().random_range(0..log.lines.saturating_sub(u64::from(LINES)).max(1));
        let request =
            ReadLinesRequest { log_id: log.id.clone(), first_line, max_lines: LINES, ..ReadLinesRequest::default() };
        let began = Instant::now();
        let lines = logs.read_lines(request).await?.into_inner();
        read.push(began.elapsed());
        let expected = (first_line, u64::from(LINES).min(log.lines));
        ensure!((lines.first_line, u64::from(lines.lines)) == expected, "{} lines at {first_line}", lines.lines);
    }
    for _ in 0..CALLS {
        let began = Instant::now();
        log.stat(target).await?;
        got.push(began.elapsed());
    }
    for (name, samples) in [("ReadLines", read), ("GetLog", got)] {
        report.figure(format!("{state}, {name}, p50"), samples.percentile(50.0), "ms");
        report.figure_with_goal(format!("{state}, {name}, p99"), samples.percentile(99.0), "ms", GOAL_P99_MS);
    }
    Ok(())
}
