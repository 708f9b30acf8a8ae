//! From the sending of a row to its sight in tails: one writer, and one or many who follow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use millrace_bench::agent::{Agent, Task};
use millrace_bench::client::Client;
use millrace_bench::wire::millrace_v1::FollowRequest;
use millrace_bench::wire::millrace_v1::follow_request::Start;
use millrace_bench::wire::millrace_v1::follow_response::Event;
use tokio::sync::Barrier;

use super::{single_job, start_run};
use crate::report::Report;
use crate::samples::Samples;
use crate::target::Target;

/// How many rows are sent.
const ROWS: usize = 200;
/// The time from one to the next.
const EVERY: Duration = Duration::from_millis(25);
/// How many follow at once.
const TAILS: [usize; 2] = [1, 50];
/// How many tails share a connection.
const TAILS_A_CONNECTION: usize = 10;
/// What a line has in `line_meta`.
const LINE_META_BYTES: usize = 8;
/// The longest p95 from row to sight, in milliseconds.
const GOAL_P95_MS: f64 = 300.0;
/// How long the agent waits for its task.
const WAIT_MS: u32 = 30_000;

/// Measures Follow.
pub async fn log_latency(target: &mut Target) -> Result<Report> {
    let mut report =
        Report::new(format!("log-latency: one writer, a row each {} ms, Follow by 1 and by many", EVERY.as_millis()));
    for tails in TAILS {
        let label = format!("bench-latency-{tails}");
        let agent = target.agent(&label).await?;
        start_run(&target.client, single_job(&label)).await?;
        let task = agent.fetch("", WAIT_MS).await?.context("no task came")?;
        agent.report(&task, "running", "running").await?;
        let (acknowledged, seen) = measure(target, &agent, &task, tails).await?;
        report.latency(&format!("{tails} tails: row sent -> acknowledged"), &acknowledged, None);
        report.latency(&format!("{tails} tails: row sent -> seen"), &seen, Some(GOAL_P95_MS));
    }
    Ok(report)
}

async fn measure(target: &Target, agent: &Agent, task: &Task, tails: usize) -> Result<(Samples, Samples)> {
    // Every tail has its first answer before the first row is sent.
    let ready = Arc::new(Barrier::new(tails + 1));
    let mut following = Vec::new();
    let mut client = target.another_client()?;
    for number in 0..tails {
        if number % TAILS_A_CONNECTION == 0 {
            client = target.another_client()?;
        }
        following.push(tokio::spawn(follow(client.clone(), task.log_id(0), Arc::clone(&ready))));
    }
    ready.wait().await;
    let (mut sent, mut acknowledged) = (Vec::new(), Samples::default());
    let mut every = tokio::time::interval(EVERY);
    for row in 0..ROWS {
        every.tick().await;
        let now = Instant::now();
        sent.push(now);
        agent.log(task, row as i64, vec![format!("row {row}")], false).await?;
        acknowledged.push(now.elapsed());
    }
    agent.log(task, ROWS as i64, Vec::new(), true).await?;
    agent.report(task, "success", "success").await?;
    let mut seen = Samples::default();
    for times in try_join_all(following).await? {
        for (at, sent) in times?.into_iter().zip(&sent) {
            seen.push(at - *sent);
        }
    }
    Ok((acknowledged, seen))
}

/// When each line was seen.
async fn follow(client: Client, log_id: String, ready: Arc<Barrier>) -> Result<Vec<Instant>> {
    let request = FollowRequest { log_id, start: Some(Start::Offset(0)) };
    let mut stream = client.logs().follow(request).await?.into_inner();
    let mut times = Vec::new();
    while let Some(message) = stream.message().await? {
        match message.event {
            Some(Event::Hello(_)) => {
                ready.wait().await;
            }
            Some(Event::Data(data)) => {
                let now = Instant::now();
                times.resize(data.first_line as usize + data.line_meta.len() / LINE_META_BYTES, now);
            }
            _ => {}
        }
    }
    Ok(times)
}
