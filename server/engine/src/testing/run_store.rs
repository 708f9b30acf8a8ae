//! What every [`RunStore`] must do. What an event does to a run is the transition's and tested there; here it is that a
//! store runs it whole or not at all, and that the queue says what the jobs say.

mod changes;
mod claims;
mod leases;
mod listing;
mod making;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::scheduler::store::{Claim, Claimed, RunStore};
use crate::scheduler::{Event, Job, Report, Run, State, Step};

/// Runs the suite; `open` makes an empty store.
pub async fn run<F: Future<Output = Arc<dyn RunStore>>>(open: impl Fn() -> F) {
    making::run(&open).await;
    listing::run(&open).await;
    changes::run(&open).await;
    claims::run(&open).await;
    leases::run(&open).await;
}

/// A workflow that parses; only runs with pending jobs are read again.
const WORKFLOW: &str = "jobs:\n  build:\n    runs-on: linux\n    steps:\n      - run: make\n";
/// When all runs of the suite were made, unless a test says otherwise.
const NOW: i64 = 1_000_000;
/// The end of a lease that was given or moved at `NOW`.
const LEASE_END: i64 = NOW + 45_000;

/// A run of project "mill" with one queued job for each of `labels`.
pub fn run_with_queued(id: &str, labels: &[&[&str]]) -> Run {
    let jobs: Vec<Job> = labels.iter().enumerate().map(|(row, labels)| queued_job(row as u32, labels)).collect();
    Run {
        id: id.into(),
        attempt: 1,
        project: "mill".into(),
        name: "build".into(),
        workflow: WORKFLOW.into(),
        state: State::Queued,
        created_ms: NOW,
        counts: (jobs.len() as u32, 0),
        jobs,
        ..Run::default()
    }
}

/// A queued job with two steps.
pub fn queued_job(row: u32, labels: &[&str]) -> Job {
    let step = |name: &str| Step { name: name.into(), state: State::Pending, ..Step::default() };
    Job {
        key: format!("job{row}"),
        job_id: "build".into(),
        name: format!("Job {row}"),
        state: State::Queued,
        row,
        runs_on: labels.iter().map(ToString::to_string).collect(),
        steps: vec![step("first"), step("second")],
        queued_ms: Some(NOW),
        ..Job::default()
    }
}

/// A claim of runner `runner` with a lease until [`LEASE_END`].
fn claim(runner: &str, labels: &[&str], request_id: &str) -> Claim {
    Claim {
        runner_uuid: runner.into(),
        runner_name: format!("name of {runner}"),
        labels: labels.iter().map(ToString::to_string).collect(),
        request_id: request_id.into(),
        expires_ms: LEASE_END,
    }
}

/// Claims for a runner that serves linux; there must be something.
async fn claimed(store: &dyn RunStore, runner: &str) -> Claimed {
    store.claim(claim(runner, &["linux"], ""), NOW).await.expect("claims").expect("there is a task")
}

/// What a runner says of the job it has: a heartbeat until it is changed.
fn report(runner: &str, claimed: &Claimed) -> Report {
    let job = &claimed.run.jobs[claimed.job];
    Report {
        stage: job.stage,
        row: job.row,
        runner_uuid: Some(runner.into()),
        epoch: Some(job.epoch),
        lease_expires_ms: LEASE_END,
        ..Report::default()
    }
}

fn ended(runner: &str, claimed: &Claimed, state: State) -> Event {
    Event::Reported(Report { state: Some(state), ..report(runner, claimed) })
}

async fn stored(store: &dyn RunStore, id: &str) -> Run {
    store.get(id).await.expect("reads").expect("is there")
}

async fn depth(store: &dyn RunStore) -> u64 {
    store.queue_depth().await.expect("counts").into_iter().map(|(_, depth)| depth).sum()
}

fn denied<T: std::fmt::Debug>(result: &Result<T>) {
    assert!(matches!(result, Err(Error::Denied(_))), "{result:?}");
}
