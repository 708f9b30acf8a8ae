//! From a request to a run that can be stored: the workflow is parsed, the inputs are checked, the jobs are laid out.

use std::collections::BTreeMap;

use millrace_proto::task_content::Source;
use uuid::Uuid;

use super::run::{Job, Run, State};
use super::{PROJECT_MAX_CHARS, ready};
use crate::error::{Error, Result};
use crate::pipelines::{Workflow, inputs};

/// The highest priority a caller may ask for; the lowest is its negative.
const PRIORITY_MAX: i32 = 100;

/// A run that somebody wants.
#[derive(Clone, Debug, Default)]
pub struct NewRun {
    /// The project; empty: `default`.
    pub project: String,
    /// The workflow's text.
    pub workflow: String,
    /// Its name for messages.
    pub file_name: String,
    /// Where the files come from.
    pub source: Option<Source>,
    /// Values for the workflow's inputs.
    pub inputs: BTreeMap<String, String>,
    /// The vars context.
    pub vars: BTreeMap<String, String>,
    /// The caller's key of this request.
    pub request_id: String,
    /// Higher is taken first.
    pub priority: i32,
    /// Who asks.
    pub actor: String,
}

/// The run as it is stored first: all jobs pending. Its number and what follows from it come with the first event.
pub(super) fn start(new: NewRun, now_ms: i64) -> Result<Run> {
    let project = project_name(new.project)?;
    if new.priority.abs() > PRIORITY_MAX {
        return Err(Error::invalid(
            "priority",
            format!("{} is not between -{PRIORITY_MAX} and {PRIORITY_MAX}", new.priority),
        ));
    }
    let file_name = if new.file_name.is_empty() { "workflow.yml".into() } else { new.file_name };
    let (workflow, _warnings) = Workflow::parse(&file_name, new.workflow.as_bytes()).map_err(Error::Workflow)?;
    let inputs = inputs::resolve(&workflow, &new.inputs).map_err(Error::Workflow)?;
    let mut run = Run {
        id: Uuid::now_v7().to_string(),
        attempt: 1,
        project,
        file_name,
        workflow: new.workflow,
        source: new.source,
        inputs,
        vars: new.vars,
        event: "workflow_dispatch".into(),
        actor: new.actor,
        priority: new.priority,
        request_id: new.request_id,
        state: State::Queued,
        created_ms: now_ms,
        revision: 1,
        ..Default::default()
    };
    run.jobs = ready::lay_out(&run, &workflow)?;
    run.counts = (run.jobs.len() as u32, 0);
    Ok(run)
}

/// The jobs a run of this workflow would have, as far as they are known without one.
pub fn preview(workflow: &Workflow) -> Vec<Job> {
    ready::lay_out(&Run::default(), workflow).unwrap_or_default()
}

fn project_name(name: String) -> Result<String> {
    if name.is_empty() {
        return Ok("default".into());
    }
    let good = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    if !good || name.chars().count() > PROJECT_MAX_CHARS {
        return Err(Error::invalid(
            "project",
            format!("must be at most {PROJECT_MAX_CHARS} letters, digits, '-', '_', '.' and '/'"),
        ));
    }
    Ok(name)
}
