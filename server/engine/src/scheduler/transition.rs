//! The state machine: one run, one event, the time; out come the changed run and what the world has to do. Pure: no
//! store, no clock, no wire.

use super::event::{Effects, Event, Report, StepReport};
use super::run::{Job, Lease, Run, State, Stop, StopRequest};
use super::told::{self, Before};
use super::{REQUEUE_MAX, STOP_DEADLINE_MS, TIMEOUT_SLACK_MS, settle};
use crate::error::{Error, Result};

/// Lets an event happen. On an error the run is to be thrown away: it may be half changed.
pub fn apply(run: &mut Run, event: Event, now_ms: i64) -> Result<Effects> {
    let before = Before { state: run.state, started_ms: run.started_ms, jobs: run.jobs.clone() };
    let (stop_before, message_before) = (run.stop, run.message.clone());
    let mut effects = Effects::default();
    match event {
        Event::Claimed { job, lease } => claimed(run, job, lease, now_ms)?,
        Event::Reported(report) => reported(run, report, now_ms)?,
        Event::Stop(how) => stop(run, how, now_ms)?,
        Event::Skip { key } => skip(run, &key, now_ms)?,
        Event::Approve { key } => approve(run, key.as_deref())?,
        Event::RunnerRemoved { runner_uuid } => runner_removed(run, &runner_uuid, now_ms, &mut effects),
        Event::Tick => tick(run, now_ms, &mut effects),
    }
    settle::settle(run, now_ms, &mut effects);
    effects.visible = (run.state, run.stop, &run.message) != (before.state, stop_before, &message_before);
    for (index, job) in run.jobs.iter().enumerate() {
        let old = before.jobs.get(index);
        if old != Some(job) {
            effects.changed_jobs.push(index);
            effects.visible |= old.is_none_or(|old| !same_to_readers(old, job));
        }
    }
    if effects.visible {
        run.revision += 1;
        effects.events = told::changes(&before, run, now_ms);
    }
    Ok(effects)
}

/// Whether two states of a job differ in nothing but the end of its lease.
fn same_to_readers(old: &Job, new: &Job) -> bool {
    let mut old = old.clone();
    if let (Some(old), Some(new)) = (&mut old.lease, &new.lease) {
        old.expires_ms = new.expires_ms;
    }
    old == *new
}

/// A runner takes a job.
fn claimed(run: &mut Run, index: usize, mut lease: Lease, now_ms: i64) -> Result<()> {
    let job = &mut run.jobs[index];
    if job.state != State::Queued {
        return Err(Error::Conflict(format!("job {} is {}, not queued", job.key, job.state.word())));
    }
    job.epoch += 1;
    lease.epoch = job.epoch;
    job.lease = Some(lease);
    job.state = State::Running;
    job.started_ms = Some(now_ms);
    job.message.clear();
    for step in &mut job.steps {
        step.state = State::Queued;
    }
    if run.state == State::Queued || run.state == State::Pending {
        run.state = State::Running;
    }
    run.started_ms.get_or_insert(now_ms);
    Ok(())
}

/// The owner of a lease says how things stand. The owner's word after the end of the job changes nothing; a
/// stranger's or an older lease's is refused.
fn reported(run: &mut Run, report: Report, now_ms: i64) -> Result<()> {
    let job = find_at(run, report.stage, report.row)?;
    check_owner(job, report.runner_uuid.as_deref(), report.epoch)?;
    if job.state != State::Running {
        return Ok(());
    }
    if let Some(lease) = &mut job.lease {
        lease.expires_ms = lease.expires_ms.max(report.lease_expires_ms);
    }
    for step in report.steps {
        report_step(job, step, now_ms)?;
    }
    let Some(state) = report.state.filter(|state| state.is_final()) else {
        return Ok(());
    };
    let mut message = report.message;
    if job.stop.is_some() && message.is_empty() && state == State::Cancelled {
        message = "cancelled".into();
    }
    job.outputs = report.outputs;
    finish(job, state, message, now_ms);
    Ok(())
}

/// Whether an update comes from who holds the job. `runner` None is an administrator's call on an open server.
pub fn check_owner(job: &Job, runner: Option<&str>, epoch: Option<u64>) -> Result<()> {
    let held = job.lease.as_ref();
    if let Some(runner) = runner
        && held.is_none_or(|lease| lease.runner_uuid != runner)
    {
        return Err(Error::Denied(format!("job {} is not this runner's", job.key)));
    }
    if let Some(epoch) = epoch
        && held.is_none_or(|lease| lease.epoch != epoch)
    {
        return Err(Error::Denied(format!(
            "epoch {epoch} of job {} is over: it has been given to a runner again",
            job.key
        )));
    }
    Ok(())
}

/// The job at an address; a runner may not learn whether there is one that is not its own.
fn find_at(run: &mut Run, stage: u32, row: u32) -> Result<&mut Job> {
    let id = run.id.clone();
    run.jobs
        .iter_mut()
        .find(|job| job.stage == stage && job.row == row)
        .ok_or_else(|| Error::Denied(format!("run {id} has no step of this runner's at stage {stage}, row {row}")))
}

fn report_step(job: &mut Job, report: StepReport, now_ms: i64) -> Result<()> {
    let count = job.steps.len();
    let step = job.steps.get_mut(report.index as usize).ok_or_else(|| {
        Error::invalid(
            "state.actions.index",
            format!("{} is not below {count}, the job's number of actions", report.index),
        )
    })?;
    if step.state.is_final() {
        return Ok(());
    }
    let clamp = |ms: i64| {
        if ms <= 0 || ms > now_ms + super::CLOCK_SKEW_MAX_MS { now_ms } else { ms }
    };
    if let Some(state) = report.state {
        let ran = state.is_final() && state != State::Skipped;
        if state == State::Running || (ran && report.started_ms > 0) {
            step.started_ms.get_or_insert(clamp(report.started_ms));
        }
        if ran {
            step.finished_ms = Some(clamp(report.finished_ms).max(step.started_ms.unwrap_or(0)));
        }
        step.state = state;
    }
    step.exit_code = report.exit_code.or(step.exit_code);
    step.forgiven |= report.forgiven;
    if !report.message.is_empty() {
        step.message = report.message;
    }
    if !report.summary.is_empty() {
        step.summary = report.summary;
    }
    Ok(())
}

/// Ends a job; whatever of it is not final yet ends with it.
pub(super) fn finish(job: &mut Job, state: State, message: String, now_ms: i64) {
    job.state = state;
    job.message = message;
    job.finished_ms = Some(now_ms);
    for step in &mut job.steps {
        if step.state == State::Running {
            step.state = if state == State::Success { State::Success } else { State::Cancelled };
            step.finished_ms = Some(now_ms);
        } else if !step.state.is_final() {
            step.state = State::Skipped;
        }
    }
}

fn stop(run: &mut Run, how: Stop, now_ms: i64) -> Result<()> {
    if run.state.is_final() {
        return Err(Error::Precondition(format!("run {} is over: {}", run.number, run.state.word())));
    }
    if run.stop.is_none_or(|stop| stop.how < how) {
        run.stop = Some(StopRequest { how, at_ms: now_ms });
    }
    for job in &mut run.jobs {
        stop_job(job, how, "the run was cancelled", now_ms);
    }
    Ok(())
}

/// Asks one job to stop: what runs is told so, what waits is over. A job whose `if` wants to run after a
/// cancellation is left to `settle`.
pub(super) fn stop_job(job: &mut Job, how: Stop, why: &str, now_ms: i64) {
    match job.state {
        State::Running if job.stop.is_none_or(|stop| stop.how < how) => {
            job.stop = Some(StopRequest { how, at_ms: now_ms });
            why.clone_into(&mut job.message);
        }
        State::Queued | State::Held => finish(job, State::Cancelled, why.to_owned(), now_ms),
        State::Pending if how == Stop::Terminate => finish(job, State::Cancelled, why.to_owned(), now_ms),
        _ => {}
    }
}

fn skip(run: &mut Run, key: &str, now_ms: i64) -> Result<()> {
    let job = find_key(run, key)?;
    match job.state {
        State::Pending | State::Held | State::Queued => {
            finish(job, State::Skipped, "skipped by hand".into(), now_ms);
            Ok(())
        }
        state => Err(Error::Precondition(format!(
            "job {key} is {}: only a job that has not begun can be skipped",
            state.word()
        ))),
    }
}

fn approve(run: &mut Run, key: Option<&str>) -> Result<()> {
    if let Some(key) = key {
        let job = find_key(run, key)?;
        if job.state != State::Held {
            return Err(Error::Precondition(format!("job {key} is {}, not held", job.state.word())));
        }
        job.approved = true;
        return Ok(());
    }
    let mut found = false;
    for job in run.jobs.iter_mut().filter(|job| job.state == State::Held) {
        job.approved = true;
        found = true;
    }
    if found { Ok(()) } else { Err(Error::Precondition("no job of this run is held".into())) }
}

fn find_key<'a>(run: &'a mut Run, key: &str) -> Result<&'a mut Job> {
    run.jobs.iter_mut().find(|job| job.key == key).ok_or_else(|| Error::NotFound(format!("job {key}")))
}

fn runner_removed(run: &mut Run, runner_uuid: &str, now_ms: i64, effects: &mut Effects) {
    let id = run.id.clone();
    for job in &mut run.jobs {
        if job.state == State::Running && job.lease.as_ref().is_some_and(|lease| lease.runner_uuid == runner_uuid) {
            lose(job, &id, "the runner was removed", now_ms, effects);
        }
    }
}

/// Looks at what time has done to the running jobs.
fn tick(run: &mut Run, now_ms: i64, effects: &mut Effects) {
    let id = run.id.clone();
    for job in run.jobs.iter_mut().filter(|job| job.state == State::Running) {
        let expired = job.lease.as_ref().is_none_or(|lease| lease.expires_ms <= now_ms);
        let overdue_stop = job.stop.filter(|stop| stop.at_ms + STOP_DEADLINE_MS <= now_ms);
        let over = job.started_ms.zip(job.timeout_ms).is_some_and(|(started, timeout)| {
            started.saturating_add(i64::try_from(timeout).unwrap_or(i64::MAX)).saturating_add(TIMEOUT_SLACK_MS)
                <= now_ms
        });
        if job.stop.is_some() && (expired || overdue_stop.is_some()) {
            abandon_logs(job, &id, effects);
            let why = if expired {
                "cancelled; the runner did not answer any more"
            } else {
                "cancelled; the runner did not stop the job in time"
            };
            finish(job, State::Cancelled, why.into(), now_ms);
            release(job);
        } else if expired {
            lose(job, &id, "the runner was lost", now_ms, effects);
        } else if over && job.stop.is_none() {
            let minutes = job.timeout_ms.unwrap_or(0) / 60_000;
            job.stop = Some(StopRequest { how: Stop::Terminate, at_ms: now_ms });
            job.message = format!("timed out after {minutes} min");
        }
    }
}

/// A runner is gone with a job in its hands: the job goes back to the queue, or fails when that has happened too often.
fn lose(job: &mut Job, run_id: &str, why: &str, now_ms: i64, effects: &mut Effects) {
    abandon_logs(job, run_id, effects);
    job.lost += 1;
    if job.stop.is_some() {
        finish(job, State::Cancelled, format!("cancelled; {why}"), now_ms);
        release(job);
        return;
    }
    if job.lost > REQUEUE_MAX {
        let message = format!("{why} {} times; a job is given to a runner at most {} times", job.lost, REQUEUE_MAX + 1);
        finish(job, State::Failure, message, now_ms);
        release(job);
        return;
    }
    release(job);
    job.state = State::Queued;
    job.message = format!("{why}; waiting for another runner");
    job.queued_ms = Some(now_ms);
    job.started_ms = None;
    for step in &mut job.steps {
        *step = super::run::Step { name: std::mem::take(&mut step.name), id: step.id.take(), ..Default::default() };
    }
    effects.queued.push(job.runs_on.clone());
}

/// Takes the job out of its runner's hands: its word counts no more.
fn release(job: &mut Job) {
    job.lease = None;
}

fn abandon_logs(job: &Job, run_id: &str, effects: &mut Effects) {
    for (index, step) in job.steps.iter().enumerate() {
        if step.started_ms.is_some()
            && let Some(log) = job.log_id(run_id, index)
        {
            effects.abandoned_logs.push(log);
        }
    }
}
