//! How fast rows of logs are made durable: several steps that print as fast as they are acknowledged, the way the
//! runner sends (one call at a time a step, as large as it makes them).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use millrace_bench::agent::{Agent, Task};
use millrace_bench::wire::millrace_v1::GetLogRequest;

use super::start_run;
use crate::process::{cpu_seconds, written_bytes};
use crate::report::Report;
use crate::samples::Samples;
use crate::target::Target;

/// Steps that print at once, each of an agent of its own.
const STEPS: usize = 8;
/// The length of a row without its end.
const ROW_BYTES: usize = 100;
/// How much a call carries, as the runner does it.
const BATCH_BYTES: usize = 256 * 1024;
/// How long an agent waits for its task.
const WAIT_MS: u32 = 30_000;

/// Measures UpdateLog.
pub async fn log_ingest(target: &mut Target, seconds: u64) -> Result<Report> {
    let label = "bench-ingest";
    let numbers: Vec<String> = (0..STEPS).map(|number| number.to_string()).collect();
    let workflow = format!(
        "on: workflow_dispatch\njobs:\n  job:\n    runs-on: {label}\n    strategy:\n      matrix:\n        n: [{}]\n    \
         steps:\n      - run: 'true'\n",
        numbers.join(", ")
    );
    let mut agents = Vec::new();
    for _ in 0..STEPS {
        agents.push(target.agent(label).await?);
    }
    start_run(&target.client, workflow).await?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let before = target.pid.and_then(cpu_seconds);
    let began = Instant::now();
    let io = target.pid.and_then(written_bytes);
    let written = try_join_all(agents.into_iter().map(|agent| tokio::spawn(write(agent, until)))).await?;
    let took = began.elapsed().as_secs_f64();
    let after = target.pid.and_then(cpu_seconds);
    let io = io.zip(target.pid.and_then(written_bytes));
    let (mut rows, mut acknowledged) = (0_u64, Samples::default());
    for step in written {
        let (log, step_rows, samples) = step?;
        check(target, &log, step_rows).await?;
        rows += step_rows;
        acknowledged.extend(samples);
    }
    let mut report = Report::new(format!(
        "log-ingest: UpdateLog, {STEPS} steps at once, rows of {ROW_BYTES} bytes, {} KiB a call, all acknowledged as durable",
        BATCH_BYTES / 1024
    ));
    report.figure("rows", rows as f64 / took, "rows/s");
    let megabytes = rows as f64 * ROW_BYTES as f64 / 1e6;
    report.figure("bytes of rows", megabytes / took, "MB/s");
    report.latency("call sent -> acknowledged", &acknowledged, &[]);
    if let Some((before, after)) = before.zip(after) {
        report.figure("server's CPU for a GB of rows", (after - before) / (megabytes / 1e3), "s");
    }
    if let Some((before, after)) = io {
        report.figure("server's write calls for a byte of rows", (after - before) / (megabytes * 1e6), "bytes");
    }
    Ok(report)
}

/// What was acknowledged is in the log.
async fn check(target: &Target, log_id: &str, rows: u64) -> Result<()> {
    let request = GetLogRequest { log_id: log_id.to_owned() };
    let log = target.client.logs().get_log(request).await?.into_inner().log.context("no log in the answer")?;
    let bytes = rows * (ROW_BYTES as u64 + 1);
    if (log.lines, log.size_bytes, log.complete) != (rows, bytes, true) {
        bail!("log {log_id} has {} lines and {} bytes, of {rows} and {bytes}", log.lines, log.size_bytes);
    }
    Ok(())
}

/// Takes a task and writes its log until the time is over.
async fn write(agent: Agent, until: Instant) -> Result<(String, u64, Samples)> {
    let task = agent.fetch("", WAIT_MS).await?.context("no task came")?;
    agent.report(&task, "running", "running").await?;
    let rows: Vec<String> =
        (0..BATCH_BYTES / ROW_BYTES).map(|number| format!("{number:06} {}", "x".repeat(ROW_BYTES - 7))).collect();
    let (mut index, mut samples) = (0_i64, Samples::default());
    while Instant::now() < until {
        let sent = Instant::now();
        let batch = rows.clone();
        let acknowledged = agent.log(&task, index, batch, false).await?;
        samples.push(sent.elapsed());
        index += rows.len() as i64;
        if acknowledged != index {
            bail!("{acknowledged} rows acknowledged, {index} sent");
        }
    }
    end(&agent, &task, index).await?;
    Ok((task.log_id(0), index as u64, samples))
}

async fn end(agent: &Agent, task: &Task, index: i64) -> Result<()> {
    agent.log(task, index, Vec::new(), true).await?;
    agent.report(task, "success", "success").await?;
    Ok(())
}
