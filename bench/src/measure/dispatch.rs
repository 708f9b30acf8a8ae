//! From the call that starts a run to the start of its first step: with an agent of the bench that waits in FetchTask,
//! and with a real runner.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use millrace_bench::agent::Agent;
use millrace_bench::client::Client;
use millrace_bench::wire::millrace_v1::{Run, State, WatchRunRequest};
use prost_types::Timestamp;

use super::own_runner::{start_runner, wait_for_runner};
use super::{single_job, start_run};
use crate::report::Report;
use crate::samples::Samples;
use crate::target::Target;

/// The longest p95 from a run's start to its first step's, in milliseconds.
const GOAL_P95_MS: f64 = 100.0;
/// How long the server may hold a FetchTask.
const WAIT_MS: u32 = 30_000;
/// How many runs a real runner gets at most: each is a process.
const RUNNER_RUNS_MAX: usize = 100;

/// Measures the dispatch of single-job runs, one after the other.
pub async fn dispatch(target: &mut Target, runs: usize) -> Result<Report> {
    let mut report = Report::new(format!("dispatch: {runs} runs of one job, one after the other"));
    let latencies = dispatches(target, "bench-dispatch", runs).await?;
    latencies.add_to(&mut report);
    match target.runner.clone() {
        Some(runner) => {
            let samples = by_runner(target, &runner, runs.min(RUNNER_RUNS_MAX)).await?;
            report.latency(
                "millrace-runner: job queued -> step started (server's times)",
                &samples.0,
                &[(95.0, GOAL_P95_MS)],
            );
            report.latency("millrace-runner: Run called -> run over", &samples.1, &[]);
        }
        None => eprintln!("dispatch: no millrace-runner beside this program: only the bench's own agent is measured"),
    }
    Ok(report)
}

/// What [`dispatches`] measures, all from the moment the client calls Run.
#[derive(Default)]
pub struct Latencies {
    accepted: Samples,
    in_hand: Samples,
    started: Samples,
}

impl Latencies {
    /// Puts them into a report.
    pub fn add_to(&self, report: &mut Report) {
        report.latency("Run called -> accepted", &self.accepted, &[]);
        report.latency("Run called -> task in the agent's hand", &self.in_hand, &[]);
        report.latency("Run called -> step started, acknowledged", &self.started, &[(95.0, GOAL_P95_MS)]);
    }
}

/// Starts runs while an agent waits, and lets it run them.
pub async fn dispatches(target: &Target, label: &str, runs: usize) -> Result<Latencies> {
    let agent = target.agent(label).await?;
    let mut latencies = Latencies::default();
    for _ in 0..runs {
        let polling = tokio::spawn({
            let agent = agent.clone();
            async move { (agent.fetch("", WAIT_MS).await, Instant::now()) }
        });
        wait_until_polling(&agent).await?;
        let called = Instant::now();
        let run = start_run(&target.client, single_job(label)).await?;
        latencies.accepted.push(called.elapsed());
        let (fetched, in_hand) = polling.await?;
        latencies.in_hand.push(in_hand - called);
        let task = fetched?.context("no task came")?;
        if task.tx_uuid != run.id {
            bail!("the task of run {} came, not of {}", task.tx_uuid, run.id);
        }
        agent.report(&task, "running", "running").await?;
        latencies.started.push(called.elapsed());
        agent.log(&task, 0, Vec::new(), true).await?;
        agent.report(&task, "success", "success").await?;
    }
    Ok(latencies)
}

/// A call made after the poll, over the same connection, has been answered: the poll waits on the server, mostly.
async fn wait_until_polling(agent: &Agent) -> Result<()> {
    for _ in 0..2 {
        tokio::task::yield_now().await;
        agent.client.agents().ping(millrace_bench::wire::runner_v1::PingRequest::default()).await?;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(())
}

/// The same with a real runner: queued to started, and the whole run.
async fn by_runner(target: &Target, runner: &Path, runs: usize) -> Result<(Samples, Samples)> {
    let label = "bench-runner";
    let mut program = start_runner(target, runner, label, &[])?;
    wait_for_runner(&target.client, label).await?;
    let (mut started, mut over) = (Samples::default(), Samples::default());
    for _ in 0..runs {
        let called = Instant::now();
        let run = start_run(&target.client, single_job(label)).await?;
        let run = finished(&target.client, &run.id).await?;
        over.push(called.elapsed());
        let job = run.jobs.first().context("a run without a job")?;
        let step = job.steps.first().context("a job without a step")?;
        if run.state() != State::Success {
            bail!("run {} ended as {:?}: {}", run.id, run.state(), job.message);
        }
        started.push_ms(milliseconds(step.started_at) - milliseconds(job.queued_at));
    }
    program.kill().await?;
    Ok((started, over))
}

/// The run when it is over.
async fn finished(client: &Client, id: &str) -> Result<Run> {
    let request = WatchRunRequest { run_id: id.to_owned() };
    let mut stream = client.pipelines().watch_run(request).await?.into_inner();
    let mut last = None;
    while let Some(message) = stream.message().await? {
        last = message.run.or(last);
    }
    last.context("the watch ended without a run")
}

fn milliseconds(time: Option<Timestamp>) -> f64 {
    time.map_or(0.0, |time| time.seconds as f64 * 1e3 + f64::from(time.nanos) / 1e6)
}
