//! The task a runner gets for a job: planned from the workflow, with address, lease and environment filled in.

use std::collections::BTreeMap;

use millrace_proto::task_content::TaskContent;

use super::run::{Job, Run};
use super::service::Fetched;
use super::store::Claimed;
use super::{CANCEL_GRACE_MS, context, ready};
use crate::error::{Error, Result};
use crate::pipelines::plan;

/// The answer to a runner that has claimed a job.
pub(super) fn fetched(claimed: &Claimed, lease_ms: i64) -> Result<Fetched> {
    let run = &claimed.run;
    let job = &run.jobs[claimed.job];
    let workflow = ready::workflow(run)?;
    let def =
        workflow.job(&job.job_id).ok_or_else(|| Error::internal(format!("the workflow has no job {}", job.job_id)))?;
    let contexts = context::of_job(run, def);
    let planned = plan::task_content(&workflow, def, &ready::row_of(job), &contexts)
        .map_err(|error| Error::Workflow(vec![error]))?;
    let mut env = environment(run, job);
    env.extend(planned.env);
    let content = TaskContent {
        tx_uuid: run.id.clone(),
        stage_idx: job.stage,
        step_row_idx: job.row,
        step_idx: 0,
        epoch: job.epoch,
        lease_ms: lease_ms as u64,
        cancel_grace_ms: CANCEL_GRACE_MS as u64,
        key: job.key.clone(),
        name: job.name.clone(),
        env,
        source: run.source.clone(),
        ..planned
    };
    let clean = format!("{}.{}.{}.{}", run.id, job.stage, job.row, job.epoch);
    Ok(Fetched { content: serde_json::to_string(&content).map_err(Error::internal)?, clean })
}

/// The variables every job has. The workflow's own win over them.
fn environment(run: &Run, job: &Job) -> BTreeMap<String, String> {
    [
        ("CI", "true"),
        // Tools look for this to print workflow commands (`::error::`), which runners understand.
        ("GITHUB_ACTIONS", "true"),
        ("MILLRACE", "true"),
        ("GITHUB_RUN_ID", &run.id),
        ("GITHUB_RUN_NUMBER", &run.number.to_string()),
        ("GITHUB_RUN_ATTEMPT", &run.attempt.to_string()),
        ("GITHUB_JOB", &job.job_id),
        ("GITHUB_WORKFLOW", &run.name),
        ("GITHUB_EVENT_NAME", &run.event),
        ("GITHUB_ACTOR", &run.actor),
        ("GITHUB_REPOSITORY", &run.project),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}
