//! What follows from a change: jobs whose needs are done become ready or are skipped, a failed matrix stops its
//! others, and the run ends when its jobs have. Pure, and run after every event until nothing more follows.

use super::event::Effects;
use super::ready::{self, Decision};
use super::run::{Job, Run, State, Stop};
use super::transition::{finish, stop_job};
use crate::pipelines::Workflow;

/// Draws all conclusions from the run's present state.
pub fn settle(run: &mut Run, now_ms: i64, effects: &mut Effects) {
    fail_fast(run, now_ms);
    if run.jobs.iter().any(|job| job.state == State::Pending) {
        match ready::workflow(run) {
            Ok(workflow) => {
                if run.name.is_empty() {
                    run.name = ready::run_name(run, &workflow);
                }
                while settle_pending(run, &workflow, now_ms) {}
            }
            // The text was checked when the run was made; a newer server may have become stricter.
            Err(error) => fail_pending(run, &error.to_string(), now_ms),
        }
    }
    for job in &mut run.jobs {
        if job.state == State::Held && job.approved {
            queue(job, now_ms, effects);
        }
    }
    start_ready(run, now_ms, effects);
    conclude(run, now_ms);
}

/// One failure in a matrix with fail-fast stops the others of it.
fn fail_fast(run: &mut Run, now_ms: i64) {
    let failed: Vec<String> = run
        .jobs
        .iter()
        .filter(|job| job.fail_fast && job.state == State::Failure && !job.continue_on_error && job.matrix_place.1 > 1)
        .map(|job| job.job_id.clone())
        .collect();
    for job in run.jobs.iter_mut().filter(|job| failed.contains(&job.job_id)) {
        stop_job(job, Stop::Cancel, "another job of the matrix failed (fail-fast)", now_ms);
        if job.state == State::Pending {
            finish(job, State::Cancelled, "another job of the matrix failed (fail-fast)".into(), now_ms);
        }
    }
}

/// Decides about the first pending job whose needs are done; whether there was one.
fn settle_pending(run: &mut Run, workflow: &Workflow, now_ms: i64) -> bool {
    let Some(index) = (0..run.jobs.len()).find(|index| {
        let job = &run.jobs[*index];
        job.state == State::Pending && !job.ready && needs_done(run, job)
    }) else {
        return false;
    };
    match ready::decide(run, workflow, index) {
        Decision::Ready(job) => {
            run.jobs[index] = *job;
            // Still pending: `start_ready` lets it go as soon as max-parallel and approval allow.
            run.jobs[index].ready = true;
        }
        Decision::Expand(jobs) => expand(run, index, jobs),
        Decision::Over(state, message) => finish(&mut run.jobs[index], state, message, now_ms),
    }
    true
}

fn needs_done(run: &Run, job: &Job) -> bool {
    job.needs
        .iter()
        .all(|need| run.jobs.iter().filter(|other| other.job_id == *need).all(|other| other.state.is_final()))
}

/// Puts the jobs of a matrix in the place of the one that stood for it.
fn expand(run: &mut Run, index: usize, mut jobs: Vec<Job>) {
    let stage = run.jobs[index].stage;
    let mut next_row = run.jobs.iter().filter(|job| job.stage == stage).map(|job| job.row + 1).max().unwrap_or(0);
    let first_row = run.jobs[index].row;
    for (place, job) in jobs.iter_mut().enumerate() {
        job.stage = stage;
        if place == 0 {
            job.row = first_row;
        } else {
            job.row = next_row;
            next_row += 1;
        }
    }
    // The first takes the place, so that indices of other jobs stay what they were.
    let mut jobs = jobs.into_iter();
    if let Some(first) = jobs.next() {
        run.jobs[index] = first;
    }
    run.jobs.extend(jobs);
}

/// Lets ready jobs go: into the queue, or to a person where approval is asked for.
fn start_ready(run: &mut Run, now_ms: i64, effects: &mut Effects) {
    for index in 0..run.jobs.len() {
        let job = &run.jobs[index];
        if job.state != State::Pending || !job.ready {
            continue;
        }
        if let Some(most) = job.max_parallel {
            let busy =
                run.jobs.iter().filter(|other| other.job_id == job.job_id).filter(|other| is_busy(other)).count();
            if busy >= most as usize {
                run.jobs[index].message = format!("waits: max-parallel is {most}");
                continue;
            }
        }
        let job = &mut run.jobs[index];
        if job.approval_required && !job.approved {
            job.state = State::Held;
            job.message = format!("waits for approval of environment {}", job.environment.as_deref().unwrap_or("?"));
        } else {
            queue(job, now_ms, effects);
        }
    }
}

fn is_busy(job: &Job) -> bool {
    matches!(job.state, State::Held | State::Queued | State::Running)
}

fn queue(job: &mut Job, now_ms: i64, effects: &mut Effects) {
    job.state = State::Queued;
    job.message.clear();
    job.queued_ms = Some(now_ms);
    effects.queued.push(job.runs_on.clone());
}

fn fail_pending(run: &mut Run, message: &str, now_ms: i64) {
    for job in run.jobs.iter_mut().filter(|job| job.state == State::Pending) {
        finish(job, State::Failure, message.to_owned(), now_ms);
    }
}

/// The run's own state, which its jobs decide.
fn conclude(run: &mut Run, now_ms: i64) {
    let done = run.jobs.iter().filter(|job| job.state.is_final()).count();
    run.counts = (run.jobs.len() as u32, done as u32);
    if run.state.is_final() {
        return;
    }
    if done == run.jobs.len() {
        run.state = outcome(run);
        run.finished_ms = Some(now_ms);
        return;
    }
    let any = |state| run.jobs.iter().any(|job| job.state == state);
    run.state = if any(State::Running) || run.started_ms.is_some() {
        State::Running
    } else if any(State::Queued) {
        State::Queued
    } else if any(State::Held) {
        State::Held
    } else {
        State::Queued
    };
}

fn outcome(run: &Run) -> State {
    let counted = |state| run.jobs.iter().any(|job| job.state == state && !job.continue_on_error);
    if counted(State::Failure) {
        State::Failure
    } else if counted(State::Cancelled) {
        State::Cancelled
    } else if run.jobs.iter().all(|job| job.state == State::Skipped) {
        State::Skipped
    } else {
        State::Success
    }
}
