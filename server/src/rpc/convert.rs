//! Engine values as messages. No decisions, no calls.

use std::collections::HashSet;

use buffa::{Inline, MessageField};
use buffa_types::google::protobuf::Timestamp;
use millrace_engine::pipelines::{Diagnostic, Severity};
use millrace_engine::runners::Runner;
use millrace_engine::scheduler::store::Held;
use millrace_engine::scheduler::{Job, Run, State, Step};
use millrace_proto::millrace::v1 as api;
use millrace_proto::runner_v1::RunnerState;

use crate::auth::Caller;

/// A run; with its jobs if it has them loaded.
pub fn run(run: &Run) -> api::Run {
    api::Run {
        id: run.id.clone(),
        number: run.number,
        attempt: run.attempt,
        project: run.project.clone(),
        name: run.name.clone(),
        file_name: run.file_name.clone(),
        state: state(run.state).into(),
        message: run.message.clone(),
        actor: run.actor.clone(),
        event: run.event.clone(),
        created_at: time(run.created_ms),
        started_at: optional_time(run.started_ms),
        finished_at: optional_time(run.finished_ms),
        cancelling: run.stop.is_some() && !run.state.is_final(),
        jobs: run.jobs.iter().map(|one| job(run, one)).collect(),
        jobs_total: run.counts.0,
        jobs_done: run.counts.1,
        revision: run.revision,
        rerun_of: run.rerun_of.clone().unwrap_or_default(),
        ..Default::default()
    }
}

/// A job of a run.
pub fn job(run: &Run, job: &Job) -> api::Job {
    let matrix = job.matrix.iter().flatten().map(|(name, value)| (name.clone(), plain(value)));
    let needs = run.jobs.iter().filter(|other| job.needs.contains(&other.job_id)).map(|other| other.key.clone());
    api::Job {
        key: job.key.clone(),
        job_id: job.job_id.clone(),
        name: job.name.clone(),
        state: state(job.state).into(),
        message: job.message.clone(),
        needs: needs.collect(),
        stage_idx: job.stage,
        step_row_idx: job.row,
        runs_on: job.runs_on.clone(),
        matrix: matrix.collect(),
        steps: job.steps.iter().enumerate().map(|(index, one)| step(run, job, index, one)).collect(),
        runner_name: job.lease.as_ref().map(|lease| lease.runner_name.clone()).unwrap_or_default(),
        queued_at: optional_time(job.queued_ms),
        started_at: optional_time(job.started_ms),
        finished_at: optional_time(job.finished_ms),
        executions: job.epoch as u32,
        outputs: job.outputs.clone().into_iter().collect(),
        environment: job.environment.clone().unwrap_or_default(),
        ..Default::default()
    }
}

fn step(run: &Run, job: &Job, index: usize, step: &Step) -> api::Step {
    let has_log = step.started_ms.is_some();
    api::Step {
        index: index as u32,
        name: step.name.clone(),
        state: state(step.state).into(),
        started_at: optional_time(step.started_ms),
        finished_at: optional_time(step.finished_ms),
        exit_code: step.exit_code,
        message: step.message.clone(),
        log_id: if has_log { job.log_id(&run.id, index).unwrap_or_default() } else { String::new() },
        forgiven: step.forgiven,
        summary: step.summary.clone(),
        id: step.id.clone().unwrap_or_default(),
        ..Default::default()
    }
}

/// A matrix value as people read it.
fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// A state on the wire.
pub fn state(state: State) -> api::State {
    match state {
        State::Pending => api::State::STATE_PENDING,
        State::Held => api::State::STATE_HELD,
        State::Queued => api::State::STATE_QUEUED,
        State::Running => api::State::STATE_RUNNING,
        State::Success => api::State::STATE_SUCCESS,
        State::Failure => api::State::STATE_FAILURE,
        State::Cancelled => api::State::STATE_CANCELLED,
        State::Skipped => api::State::STATE_SKIPPED,
    }
}

/// A state from the wire; None for the unspecified one.
pub fn state_from(state: api::State) -> Option<State> {
    Some(match state {
        api::State::STATE_UNSPECIFIED => return None,
        api::State::STATE_PENDING => State::Pending,
        api::State::STATE_HELD => State::Held,
        api::State::STATE_QUEUED => State::Queued,
        api::State::STATE_RUNNING => State::Running,
        api::State::STATE_SUCCESS => State::Success,
        api::State::STATE_FAILURE => State::Failure,
        api::State::STATE_CANCELLED => State::Cancelled,
        api::State::STATE_SKIPPED => State::Skipped,
    })
}

/// A place in a workflow file with something to say about it.
pub fn diagnostic(diagnostic: &Diagnostic) -> api::Diagnostic {
    api::Diagnostic {
        severity: match diagnostic.severity {
            Severity::Error => api::diagnostic::Severity::SEVERITY_ERROR,
            Severity::Warning => api::diagnostic::Severity::SEVERITY_WARNING,
        }
        .into(),
        file: diagnostic.file.clone(),
        line: diagnostic.line,
        column: diagnostic.column,
        message: diagnostic.message.clone(),
        suggestion: diagnostic.suggestion.clone().unwrap_or_default(),
        ..Default::default()
    }
}

/// What runners have to do.
pub struct InHands {
    /// Jobs.
    pub jobs: Vec<Held>,
    /// The runners that have actions of remote execution.
    pub executing: HashSet<String>,
}

/// A runner with what it does.
pub fn runner(caller: &Caller, runner: &Runner, online: bool, in_hands: &InHands) -> api::Runner {
    let mut tasks = in_hands.jobs.iter().filter(|task| task.runner_uuid == runner.uuid).peekable();
    let idle = tasks.peek().is_none() && !in_hands.executing.contains(&runner.uuid);
    let tasks: Vec<api::RunnerTask> = tasks
        .filter(|task| caller.sees(&task.project))
        .map(|task| api::RunnerTask {
            run_id: task.run_id.clone(),
            run_number: task.run_number,
            job_key: task.job_key.clone(),
            started_at: time(task.started_ms),
            ..Default::default()
        })
        .collect();
    let state = match (online, idle) {
        (false, _) => RunnerState::RUNNER_STATE_OFFLINE,
        (true, true) => RunnerState::RUNNER_STATE_IDLE,
        (true, false) => RunnerState::RUNNER_STATE_ACTIVE,
    };
    api::Runner {
        id: runner.id,
        uuid: runner.uuid.clone(),
        name: runner.name.clone(),
        state: state.into(),
        version: runner.version.clone(),
        labels: runner.labels.clone(),
        os: runner.os.clone(),
        arch: runner.arch.clone(),
        slots: runner.slots,
        draining: runner.draining,
        ephemeral: runner.ephemeral,
        registered_at: time(runner.registered_ms),
        last_seen_at: time(runner.last_seen_ms),
        tasks,
        ..Default::default()
    }
}

/// Unix milliseconds as a timestamp.
pub fn time(ms: i64) -> MessageField<Timestamp, Inline<Timestamp>> {
    MessageField::some(Timestamp {
        seconds: ms.div_euclid(1_000),
        nanos: (ms.rem_euclid(1_000) * 1_000_000) as i32,
        ..Default::default()
    })
}

pub fn optional_time(ms: Option<i64>) -> MessageField<Timestamp, Inline<Timestamp>> {
    ms.map_or_else(MessageField::none, time)
}
