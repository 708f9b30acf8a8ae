//! From the sending of a row to its sight in tails: one writer, and one or many who follow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
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

/// Who writes how much, and how many follow.
struct Scene {
    tails: usize,
    /// How many rows are sent.
    rows: usize,
    /// How many a call has.
    rows_a_call: usize,
    /// The time from one call to the next.
    every: Duration,
    /// The longest times from row to sight, in milliseconds.
    goal_p50_ms: f64,
    goal_p99_ms: f64,
}

const SCENES: [Scene; 3] = [
    Scene {
        tails: 1,
        rows: 400,
        rows_a_call: 1,
        every: Duration::from_millis(10),
        goal_p50_ms: 2.0,
        goal_p99_ms: 20.0,
    },
    Scene {
        tails: 50,
        rows: 400,
        rows_a_call: 1,
        every: Duration::from_millis(10),
        goal_p50_ms: 2.0,
        goal_p99_ms: 20.0,
    },
    // A thousand lines a second.
    Scene {
        tails: 1_000,
        rows: 5_000,
        rows_a_call: 20,
        every: Duration::from_millis(20),
        goal_p50_ms: 250.0,
        goal_p99_ms: 250.0,
    },
];
/// How many tails share a connection.
const TAILS_A_CONNECTION: usize = 10;
/// What a line has in `line_meta`.
const LINE_META_BYTES: usize = 8;
/// How long the agent waits for its task.
const WAIT_MS: u32 = 30_000;

/// Measures Follow.
pub async fn log_latency(target: &mut Target) -> Result<Report> {
    let mut report = Report::new("log-latency: one writer, Follow by one and by many");
    for scene in SCENES {
        let tails = scene.tails;
        let label = format!("bench-latency-{tails}");
        let agent = target.agent(&label).await?;
        start_run(&target.client, single_job(&label)).await?;
        let task = agent.fetch("", WAIT_MS).await?.context("no task came")?;
        agent.report(&task, "running", "running").await?;
        let (acknowledged, seen) = measure(target, &agent, &task, &scene).await?;
        let name = format!("{tails} tails, {} rows each {} ms", scene.rows_a_call, scene.every.as_millis());
        report.latency(&format!("{name}: sent -> acknowledged"), &acknowledged, &[]);
        report.latency(
            &format!("{name}: sent -> seen"),
            &seen,
            &[(50.0, scene.goal_p50_ms), (99.0, scene.goal_p99_ms)],
        );
    }
    Ok(report)
}

async fn measure(target: &Target, agent: &Agent, task: &Task, scene: &Scene) -> Result<(Samples, Samples)> {
    // Every tail has its first answer before the first row is sent.
    let ready = Arc::new(Barrier::new(scene.tails + 1));
    let mut following = Vec::new();
    let mut client = target.another_client()?;
    for number in 0..scene.tails {
        if number % TAILS_A_CONNECTION == 0 {
            client = target.another_client()?;
        }
        following.push(tokio::spawn(follow(client.clone(), task.log_id(0), Arc::clone(&ready))));
    }
    ready.wait().await;
    let (mut sent, mut acknowledged) = (Vec::new(), Samples::default());
    let mut every = tokio::time::interval(scene.every);
    for first in (0..scene.rows).step_by(scene.rows_a_call) {
        every.tick().await;
        let rows: Vec<_> = (first..first + scene.rows_a_call).map(|row| format!("row {row} {:.<88}", "")).collect();
        let now = Instant::now();
        sent.resize(first + rows.len(), now);
        agent.log(task, first as i64, rows, false).await?;
        acknowledged.push(now.elapsed());
    }
    agent.log(task, scene.rows as i64, Vec::new(), true).await?;
    agent.report(task, "success", "success").await?;
    let mut seen = Samples::default();
    for times in try_join_all(following).await? {
        let times = times?;
        ensure!(times.len() == scene.rows, "a tail has seen {} of {} rows", times.len(), scene.rows);
        for (at, sent) in times.into_iter().zip(&sent) {
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
