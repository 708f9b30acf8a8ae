//! What is told of a run: the events between two states of it. Pure; the store writes them with the state.

use serde::Serialize;

use super::run::{Job, Lease, Run, State, Step};
use crate::events::{EventKind, NewEvent, page_part, rfc3339, short};

/// So many labels of a job are told.
const LABELS_MAX: usize = 20;

/// A run before a transition: what is needed of it to tell what has changed.
pub(super) struct Before {
    /// Its state.
    pub state: State,
    /// When it had started.
    pub started_ms: Option<i64>,
    /// Its jobs.
    pub jobs: Vec<Job>,
}

/// A run has been stored.
pub fn created(run: &Run) -> NewEvent {
    run_event(EventKind::RunCreated, run, run.created_ms)
}

/// What has changed, in an order in which it may have happened: a job begins before its steps and ends after them, what
/// became ready comes after what it waited for, and the run's end is the last.
pub(super) fn changes(before: &Before, run: &Run, now_ms: i64) -> Vec<NewEvent> {
    let mut told = Vec::new();
    if before.started_ms.is_none() && run.started_ms.is_some() {
        told.push(run_event(EventKind::RunStarted, run, now_ms));
    }
    for (index, job) in run.jobs.iter().enumerate() {
        worked(before.jobs.get(index), job, run, now_ms, &mut told);
    }
    for (index, job) in run.jobs.iter().enumerate() {
        let old = before.jobs.get(index);
        if old.is_some_and(|old| old.state == job.state && old.queued_ms == job.queued_ms) {
            continue;
        }
        match job.state {
            State::Queued => told.push(job_event(EventKind::JobQueued, run, job, now_ms)),
            State::Held => told.push(job_event(EventKind::JobHeld, run, job, now_ms)),
            _ => {}
        }
    }
    if !before.state.is_final() && run.state.is_final() {
        told.push(run_event(EventKind::RunFinished, run, now_ms));
    }
    told
}

/// What happened to a job in a runner's hands, or at its end.
fn worked(old: Option<&Job>, job: &Job, run: &Run, now_ms: i64, told: &mut Vec<NewEvent>) {
    let (epoch, lost) = old.map_or((0, 0), |old| (old.epoch, old.lost));
    if job.epoch > epoch && job.state == State::Running {
        told.push(job_event(EventKind::JobStarted, run, job, now_ms));
    }
    if let Some(old) = old.filter(|_| job.lost > lost) {
        // As it was: who had it, and since when.
        let lost = Job { message: job.message.clone(), lost: job.lost, ..old.clone() };
        told.push(job_event(EventKind::JobLost, run, &lost, now_ms));
    }
    // Steps of a job that never ran are not told of.
    if job.epoch > 0 {
        for (index, step) in job.steps.iter().enumerate() {
            let old = old.and_then(|old| old.steps.get(index));
            if old.is_none_or(|old| old.started_ms.is_none()) && step.started_ms.is_some() {
                told.push(step_event(EventKind::StepStarted, run, job, index, step, now_ms));
            }
            if old.is_some_and(|old| !old.state.is_final()) && step.state.is_final() {
                told.push(step_event(EventKind::StepFinished, run, job, index, step, now_ms));
            }
        }
    }
    if job.state.is_final() && old.is_none_or(|old| !old.state.is_final()) {
        told.push(job_event(EventKind::JobFinished, run, job, now_ms));
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunData<'a> {
    run_id: &'a str,
    number: u64,
    attempt: u32,
    name: &'a str,
    file_name: &'a str,
    event: &'a str,
    actor: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    jobs: u32,
    jobs_finished: u32,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun_of: Option<&'a str>,
    page: String,
}

fn run_event(kind: EventKind, run: &Run, now_ms: i64) -> NewEvent {
    let data = RunData {
        run_id: &run.id,
        number: run.number,
        attempt: run.attempt,
        name: short(&run.name),
        file_name: short(&run.file_name),
        event: short(&run.event),
        actor: short(&run.actor),
        state: run.state.word(),
        message: short(&run.message),
        jobs: run.counts.0,
        jobs_finished: run.counts.1,
        created_at: rfc3339(run.created_ms),
        started_at: run.started_ms.map(rfc3339),
        finished_at: run.finished_ms.map(rfc3339),
        waited_ms: between(Some(run.created_ms), run.started_ms),
        duration_ms: between(run.started_ms, run.finished_ms),
        rerun_of: run.rerun_of.as_deref(),
        page: run_page(run),
    };
    NewEvent::new(kind, &run.project, &format!("runs/{}", run.id), now_ms, &data)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobData<'a> {
    run_id: &'a str,
    run_number: u64,
    job: &'a str,
    job_id: &'a str,
    name: &'a str,
    stage: u32,
    row: u32,
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    runs_on: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runner: Option<RunnerData<'a>>,
    /// Counts the runners that it was given to.
    execution: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
    page: String,
}

#[derive(Serialize)]
struct RunnerData<'a> {
    id: &'a str,
    name: &'a str,
}

impl<'a> RunnerData<'a> {
    fn of(lease: &'a Lease) -> Self {
        Self { id: short(&lease.runner_uuid), name: short(&lease.runner_name) }
    }
}

fn job_event(kind: EventKind, run: &Run, job: &Job, now_ms: i64) -> NewEvent {
    let data = JobData {
        run_id: &run.id,
        run_number: run.number,
        job: short(&job.key),
        job_id: short(&job.job_id),
        name: short(&job.name),
        stage: job.stage,
        row: job.row,
        state: if kind == EventKind::JobLost { "lost" } else { job.state.word() },
        message: short(&job.message),
        runs_on: job.runs_on.iter().take(LABELS_MAX).map(|label| short(label)).collect(),
        environment: job.environment.as_deref().map(short),
        runner: job.lease.as_ref().map(RunnerData::of),
        execution: job.epoch,
        lost: (job.lost > 0).then_some(job.lost),
        queued_at: job.queued_ms.map(rfc3339),
        started_at: job.started_ms.map(rfc3339),
        finished_at: job.finished_ms.map(rfc3339),
        waited_ms: between(job.queued_ms, job.started_ms),
        duration_ms: between(job.started_ms, job.finished_ms),
        page: job_page(run, job),
    };
    NewEvent::new(kind, &run.project, &job_subject(run, job), now_ms, &data)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepData<'a> {
    run_id: &'a str,
    run_number: u64,
    job: &'a str,
    /// Its place in the job, from 0.
    step: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    name: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    forgiven: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_id: Option<String>,
    page: String,
}

fn step_event(kind: EventKind, run: &Run, job: &Job, index: usize, step: &Step, now_ms: i64) -> NewEvent {
    let data = StepData {
        run_id: &run.id,
        run_number: run.number,
        job: short(&job.key),
        step: index,
        id: step.id.as_deref().map(short),
        name: short(&step.name),
        state: step.state.word(),
        message: short(&step.message),
        exit_code: step.exit_code,
        forgiven: step.forgiven,
        started_at: step.started_ms.map(rfc3339),
        finished_at: step.finished_ms.map(rfc3339),
        duration_ms: between(step.started_ms, step.finished_ms),
        log_id: step.started_ms.and_then(|_| job.log_id(&run.id, index)),
        page: format!("{}&step={index}", job_page(run, job)),
    };
    NewEvent::new(kind, &run.project, &format!("{}/steps/{index}", job_subject(run, job)), now_ms, &data)
}

/// Jobs are addressed by stage and row: their keys may be long.
fn job_subject(run: &Run, job: &Job) -> String {
    format!("runs/{}/jobs/{}.{}", run.id, job.stage, job.row)
}

fn run_page(run: &Run) -> String {
    format!("/runs/{}", page_part(&run.id))
}

fn job_page(run: &Run, job: &Job) -> String {
    format!("{}?job={}", run_page(run), page_part(&job.key))
}

fn between(from: Option<i64>, to: Option<i64>) -> Option<i64> {
    from.zip(to).map(|(from, to)| (to - from).max(0))
}
