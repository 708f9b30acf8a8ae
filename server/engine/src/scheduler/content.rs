//! The task a runner gets for a job: planned from the workflow, with address, lease and environment filled in.

use std::collections::BTreeMap;

use millrace_proto::task_content::TaskContent;

use super::run::{Job, Run, task_id};
use super::service::Fetched;
use super::store::Claimed;
use super::{CANCEL_GRACE_MS, context, ready};
use crate::error::{Error, Result};
use crate::pipelines::{JobContexts, JobDef, Workflow, plan};

/// The answer to a runner that has claimed a job.
pub(super) fn fetched(claimed: &Claimed, lease_ms: i64) -> Result<Fetched> {
    let (run, job) = (&claimed.run, &claimed.run.jobs[claimed.job]);
    let workflow = ready::workflow(run)?;
    let def = definition(&workflow, job)?;
    planned(run, job, &workflow, &context::of_job(run, def), lease_ms)
}

fn definition<'w>(workflow: &'w Workflow, job: &Job) -> Result<&'w JobDef> {
    workflow.job(&job.job_id).ok_or_else(|| Error::internal(format!("the workflow has no job {}", job.job_id)))
}

/// The task of a job that sees these contexts. Its secrets are masked: by the runner, who is told, and by the server.
fn planned(run: &Run, job: &Job, workflow: &Workflow, contexts: &JobContexts, lease_ms: i64) -> Result<Fetched> {
    let def = definition(workflow, job)?;
    let planned = plan::task_content(workflow, def, &ready::row_of(job), contexts)
        .map_err(|error| Error::Workflow(vec![error]))?;
    let mut env = environment(run, job);
    env.extend(planned.env);
    let masks = secrets(contexts);
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
        masks: masks.clone(),
        ..planned
    };
    let clean = format!("{}.{}.{}.{}", run.id, job.stage, job.row, job.epoch);
    let task = task_id(&run.id, job.stage, job.row, job.epoch);
    Ok(Fetched { content: serde_json::to_string(&content).map_err(Error::internal)?, clean, task, masks })
}

/// The values of the secrets context.
fn secrets(contexts: &JobContexts) -> Vec<String> {
    let values = contexts.secrets.as_object().into_iter().flat_map(|secrets| secrets.values());
    values.filter_map(|value| value.as_str()).filter(|value| !value.is_empty()).map(ToOwned::to_owned).collect()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scheduler::start::{NewRun, start};

    /// The day secrets are planned, they are masked: the contexts are where they come in.
    #[test]
    fn the_secrets_of_a_job_are_masked() {
        let workflow = "jobs:\n  one:\n    runs-on: x\n    steps:\n      - run: echo\n".to_owned();
        let mut run = start(NewRun { workflow, ..Default::default() }, 1_000).expect("a run");
        run.jobs[0].epoch = 2;
        let (job, workflow) = (&run.jobs[0], ready::workflow(&run).expect("a workflow"));
        let contexts = context::of_job(&run, definition(&workflow, job).expect("a job"));
        let none = planned(&run, job, &workflow, &contexts, 1_000).expect("a task");
        assert_eq!(none.masks, Vec::<String>::new());
        let contexts = JobContexts { secrets: json!({ "TOKEN": "hunter2", "EMPTY": "" }), ..contexts };
        let task = planned(&run, job, &workflow, &contexts, 1_000).expect("a task");
        assert_eq!(task.masks, ["hunter2"]);
        assert_eq!(job.log_id(&run.id, 0), Some(format!("{}.0", task.task)), "of these logs");
        let content: TaskContent = serde_json::from_str(&task.content).expect("a task's content");
        assert_eq!(content.masks, ["hunter2"], "the runner is told");
    }
}
