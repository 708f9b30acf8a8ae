//! The bridge from the state machine to the workflow file: what jobs there are, and what becomes of one whose needs are
//! done. Pure.

use super::context;
use super::run::{Job, Run, State, Step};
use crate::error::{Error, Result};
use crate::pipelines::{Diagnostic, JobDef, MatrixRow, StepAction, StepDef, Workflow, decide, expand, plan};

/// What becomes of a job whose needs are done.
pub(super) enum Decision {
    /// It runs.
    Ready(Box<Job>),
    /// Its matrix is known now: these stand in its place, and are decided about one by one.
    Expand(Vec<Job>),
    /// It does not run.
    Over(State, String),
}

/// The run's workflow, parsed.
pub(super) fn workflow(run: &Run) -> Result<Workflow> {
    match Workflow::parse(&run.file_name, run.workflow.as_bytes()) {
        Ok((workflow, _warnings)) => Ok(workflow),
        Err(diagnostics) => Err(Error::Workflow(diagnostics)),
    }
}

/// The name of a run.
pub(super) fn run_name(run: &Run, workflow: &Workflow) -> String {
    decide::run_name(workflow, &context::of_run(run)).unwrap_or_else(|_| workflow.file.clone())
}

/// The jobs before anything is decided, in graph order. A matrix that is known is expanded; one that waits for other
/// jobs is one job with `matrix: None`.
pub(super) fn lay_out(run: &Run, workflow: &Workflow) -> Result<Vec<Job>> {
    let mut rows = std::collections::BTreeMap::<u32, u32>::new();
    let mut jobs = Vec::new();
    let mut defs: Vec<&JobDef> = workflow.jobs.values().collect();
    defs.sort_by_key(|def| def.stage);
    for def in defs {
        let dynamic = def.strategy.matrix.as_ref().is_some_and(|matrix| matrix.dynamic);
        let mut expanded = if dynamic {
            vec![Job { matrix: None, ..skeleton(def, &MatrixRow::new(Vec::new(), 0, 1)) }]
        } else {
            expand_job(run, workflow, def).map_err(|error| Error::Workflow(vec![error]))?
        };
        for job in &mut expanded {
            let row = rows.entry(job.stage).or_default();
            job.row = *row;
            *row += 1;
        }
        jobs.extend(expanded);
    }
    Ok(jobs)
}

fn expand_job(run: &Run, workflow: &Workflow, def: &JobDef) -> std::result::Result<Vec<Job>, Diagnostic> {
    let rows = expand::matrix(workflow, def, &context::of_job(run, def))?;
    Ok(rows.iter().map(|row| skeleton(def, row)).collect())
}

fn skeleton(def: &JobDef, row: &MatrixRow) -> Job {
    // A name with expressions is known when the job is ready.
    let plain = def.name.as_ref().map(|name| name.text.as_str()).filter(|name| !name.contains("${{"));
    Job {
        name: format!("{}{}", plain.unwrap_or(&def.id), row.suffix),
        key: format!("{}{}", def.id, row.suffix),
        job_id: def.id.clone(),
        needs: def.needs.clone(),
        stage: def.stage,
        matrix: Some(row.values.clone()),
        matrix_place: (row.index, row.total),
        steps: def.steps.iter().map(step).collect(),
        ..Default::default()
    }
}

fn step(def: &StepDef) -> Step {
    let name = match (&def.name, &def.action) {
        (Some(name), _) => name.text.clone(),
        (None, StepAction::Run { script, .. }) => {
            format!("Run {}", script.text.trim().lines().next().unwrap_or_default())
        }
        (None, StepAction::Checkout { uses, .. }) => format!("Run {uses}"),
    };
    Step { name, id: def.id.clone(), ..Default::default() }
}

/// The matrix row of a job that has one.
pub(super) fn row_of(job: &Job) -> MatrixRow {
    let (index, total) = job.matrix_place;
    MatrixRow::restore(&job.job_id, &job.key, job.matrix.clone().unwrap_or_default(), index, total)
}

/// Decides about a job whose needs are done.
pub(super) fn decide(run: &Run, workflow: &Workflow, index: usize) -> Decision {
    match try_decide(run, workflow, index) {
        Ok(decision) => decision,
        Err(error) => Decision::Over(State::Failure, error.to_string()),
    }
}

fn try_decide(run: &Run, workflow: &Workflow, index: usize) -> std::result::Result<Decision, Diagnostic> {
    let job = &run.jobs[index];
    let Some(def) = workflow.job(&job.job_id) else {
        return Ok(Decision::Over(State::Failure, format!("the workflow has no job {}", job.job_id)));
    };
    let contexts = context::of_job(run, def);
    if !decide::runs(workflow, def, &contexts)? {
        return Ok(not_run(run, job));
    }
    if job.matrix.is_none() {
        let jobs = expand_job(run, workflow, def)?;
        let none = jobs.is_empty();
        return Ok(if none {
            Decision::Over(State::Skipped, "its matrix is empty".into())
        } else {
            Decision::Expand(jobs)
        });
    }
    let row = row_of(job);
    let resolved = decide::resolve(workflow, def, &row, &contexts)?;
    let strategy = decide::strategy(workflow, def, &contexts)?;
    let content = plan::task_content(workflow, def, &row, &contexts)?;
    let mut ready = Job {
        key: resolved.key,
        name: resolved.name,
        runs_on: resolved.runs_on,
        continue_on_error: resolved.continue_on_error,
        timeout_ms: Some(resolved.timeout_ms),
        fail_fast: strategy.fail_fast,
        max_parallel: strategy.max_parallel.filter(|_| row.total > 1),
        message: String::new(),
        ..job.clone()
    };
    if let Some(environment) = resolved.environment {
        ready.environment = Some(environment.name);
        ready.approval_required = environment.approval_required;
    }
    for (step, action) in ready.steps.iter_mut().zip(content.actions) {
        step.name = action.name;
    }
    Ok(Decision::Ready(Box::new(ready)))
}

/// Why a job does not run.
fn not_run(run: &Run, job: &Job) -> Decision {
    if run.stop.is_some() {
        return Decision::Over(State::Cancelled, "the run was cancelled".into());
    }
    let culprit = run.jobs.iter().find(|other| {
        job.needs.contains(&other.job_id)
            && other.state != State::Success
            && !(other.continue_on_error && other.state == State::Failure)
    });
    let message = match culprit {
        Some(other) => format!("needs {}: {}", other.key, other.state.word()),
        None => "its `if` is false".into(),
    };
    Decision::Over(State::Skipped, message)
}
