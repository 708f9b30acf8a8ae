//! What expressions see of a run: the contexts of its jobs. Reads the run, changes nothing.

use std::collections::BTreeMap;

use millrace_proto::task_content::Source;
use serde_json::{Map, Value, json};

use super::run::{Job, Run, State};
use crate::pipelines::{JobContexts, JobDef, NeedOutcome, NeedResult};

/// The contexts of a job whose needs are done.
pub(super) fn of_job(run: &Run, def: &JobDef) -> JobContexts {
    JobContexts {
        github: github(run, &def.id),
        needs: def.needs.iter().map(|need| (need.clone(), outcome(run, need))).collect(),
        ancestor_failed: ancestors(run, &def.needs)
            .iter()
            .any(|job| job.state == State::Failure && !job.continue_on_error),
        cancelled: run.stop.is_some(),
        ..of_run(run)
    }
}

/// The contexts that do not depend on a job.
pub(super) fn of_run(run: &Run) -> JobContexts {
    let vars: Map<String, Value> = run.vars.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    JobContexts {
        github: github(run, ""),
        vars: Value::Object(vars),
        inputs: Value::Object(run.inputs.clone()),
        ..Default::default()
    }
}

fn github(run: &Run, job_id: &str) -> Value {
    let git_ref = match &run.source {
        Some(Source::Git { r#ref, .. }) => r#ref.as_str(),
        _ => "",
    };
    json!({
        "run_id": run.id,
        "run_number": run.number.to_string(),
        "run_attempt": run.attempt.to_string(),
        "job": job_id,
        "workflow": run.name,
        "event_name": run.event,
        "event": { "inputs": run.inputs },
        "actor": run.actor,
        "triggering_actor": run.actor,
        "repository": run.project,
        "ref": git_ref,
        "ref_name": git_ref.rsplit('/').next().unwrap_or_default(),
        "sha": if is_commit(git_ref) { git_ref } else { "" },
    })
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How the jobs of one id ended, taken together.
fn outcome(run: &Run, job_id: &str) -> NeedOutcome {
    let jobs: Vec<&Job> = run.jobs.iter().filter(|job| job.job_id == job_id).collect();
    let any = |state| jobs.iter().any(|job| job.state == state && !job.continue_on_error);
    let result = if any(State::Failure) {
        NeedResult::Failure
    } else if any(State::Cancelled) {
        NeedResult::Cancelled
    } else if jobs.iter().all(|job| job.state == State::Skipped) {
        NeedResult::Skipped
    } else {
        NeedResult::Success
    };
    let mut outputs = BTreeMap::new();
    for job in jobs {
        outputs.extend(job.outputs.clone());
    }
    NeedOutcome { result, outputs }
}

/// All jobs above, however far.
fn ancestors<'a>(run: &'a Run, needs: &[String]) -> Vec<&'a Job> {
    let mut seen: Vec<&str> = Vec::new();
    let mut open: Vec<&str> = needs.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    while let Some(id) = open.pop() {
        if seen.contains(&id) {
            continue;
        }
        seen.push(id);
        for job in run.jobs.iter().filter(|job| job.job_id == id) {
            found.push(job);
            open.extend(job.needs.iter().map(String::as_str));
        }
    }
    found
}
