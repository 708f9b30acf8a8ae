//! A new attempt of a final run: of all its jobs, or of those that did not succeed and what needs them.

use uuid::Uuid;

use super::ready;
use super::run::{Job, LogsOf, Run, State};
use crate::error::{Error, Result};

/// The new attempt. Jobs that are kept stay as they were, and their logs stay where they are.
pub(super) fn rerun(old: &Run, failed_only: bool, actor: &str, now_ms: i64) -> Result<Run> {
    if !old.state.is_final() {
        return Err(Error::Precondition(format!(
            "run {} is {}: only a run that is over can be run again",
            old.number,
            old.state.word()
        )));
    }
    let workflow = ready::workflow(old)?;
    let mut jobs = ready::lay_out(old, &workflow)?;
    if failed_only {
        keep_succeeded(old, &mut jobs)?;
    }
    Ok(Run {
        id: Uuid::now_v7().to_string(),
        attempt: old.attempt + 1,
        actor: actor.to_owned(),
        request_id: String::new(),
        state: State::Queued,
        message: String::new(),
        stop: None,
        created_ms: now_ms,
        started_ms: None,
        finished_ms: None,
        revision: 1,
        rerun_of: Some(old.id.clone()),
        counts: (jobs.len() as u32, 0),
        jobs,
        ..old.clone()
    })
}

/// Puts the succeeded jobs of the old attempt in their places. A matrix is kept job by job: those of its jobs that
/// did not succeed run again.
fn keep_succeeded(old: &Run, jobs: &mut Vec<Job>) -> Result<()> {
    let again = ids_to_run_again(old);
    if again.is_empty() {
        return Err(Error::Precondition(format!("run {} has no job that did not succeed", old.number)));
    }
    let mut kept: Vec<Job> = Vec::new();
    for fresh in jobs.drain(..) {
        let needs_again = fresh.needs.iter().any(|need| again.contains(need));
        let done = |job: &&Job| job.job_id == fresh.job_id && job.state == State::Success && !needs_again;
        if fresh.matrix.is_some() {
            // Known before the run: the same key is the same job.
            let before = old.jobs.iter().filter(done).find(|job| job.key == fresh.key);
            kept.push(before.map_or(fresh, |job| keep(old, job)));
        } else if again.contains(&fresh.job_id) {
            kept.push(fresh);
        } else {
            kept.extend(old.jobs.iter().filter(done).map(|job| keep(old, job)));
        }
    }
    let mut rows = std::collections::BTreeMap::<u32, u32>::new();
    for job in &mut kept {
        let row = rows.entry(job.stage).or_default();
        job.row = *row;
        *row += 1;
    }
    *jobs = kept;
    Ok(())
}

/// The ids with a job that did not succeed, and those that need them, however far.
fn ids_to_run_again(old: &Run) -> Vec<String> {
    let mut again: Vec<String> = Vec::new();
    // Graph order: what a job needs stands before it.
    for job in &old.jobs {
        let failed = !matches!(job.state, State::Success) || job.needs.iter().any(|need| again.contains(need));
        if failed && !again.contains(&job.job_id) {
            again.push(job.job_id.clone());
        }
    }
    again
}

fn keep(old: &Run, job: &Job) -> Job {
    let logs_of =
        job.logs_of.clone().or_else(|| Some(LogsOf { run_id: old.id.clone(), stage: job.stage, row: job.row }));
    Job { logs_of, lease: None, ..job.clone() }
}
