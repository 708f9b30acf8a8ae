//! What an agent says of its job, checked. Knows nothing of who calls.

use std::collections::BTreeMap;

use millrace_engine::error::Error;
use millrace_engine::runners::Runner;
use millrace_engine::scheduler::{Report, State, StepReport};
use millrace_proto::runner_v1 as wire;

/// The longest summary of a step, in bytes.
const SUMMARY_MAX_BYTES: usize = 1024 * 1024;
/// The longest output of a job, in bytes.
const OUTPUT_MAX_BYTES: usize = 1024 * 1024;

/// What an update says, checked.
pub fn report(request: wire::UpdateTaskRequest, runner: Option<&Runner>) -> Result<Report, Error> {
    check_step(request.step_idx)?;
    let outputs = outputs(&request.outputs)?;
    let state = request.state.into_option().unwrap_or_default();
    let steps = state.actions.into_iter().map(step_report).collect::<Result<_, _>>()?;
    Ok(Report {
        stage: request.stage_idx,
        row: request.step_row_idx,
        runner_uuid: runner.map(|runner| runner.uuid.clone()),
        epoch: (request.epoch != 0).then_some(request.epoch),
        state: parse_state("state.state", &state.state)?,
        message: state.message,
        steps,
        outputs,
        lease_expires_ms: 0,
    })
}

fn step_report(action: wire::ActionState) -> Result<StepReport, Error> {
    if action.summary.len() > SUMMARY_MAX_BYTES {
        return Err(Error::invalid("state.actions.summary", format!("is longer than {SUMMARY_MAX_BYTES} bytes")));
    }
    Ok(StepReport {
        index: action.index,
        state: parse_state("state.actions.state", &action.state)?,
        started_ms: action.start_time,
        finished_ms: action.end_time,
        exit_code: action.exit_code,
        message: action.message,
        forgiven: action.forgiven,
        summary: action.summary,
    })
}

/// A state's word. Agents in the field use several words for some; nothing at all is a heartbeat.
fn parse_state(field: &'static str, word: &str) -> Result<Option<State>, Error> {
    Ok(Some(match word.to_ascii_lowercase().as_str() {
        "" | "idle" => return Ok(None),
        "queued" | "pending" | "waiting" => State::Queued,
        "running" | "active" | "started" | "in_progress" => State::Running,
        "success" | "succeeded" | "ok" | "passed" | "done" | "completed" | "finished" => State::Success,
        "failure" | "failed" | "error" => State::Failure,
        "cancelled" | "canceled" | "aborted" | "terminated" | "timed_out" => State::Cancelled,
        "skipped" => State::Skipped,
        other => {
            let message = format!("{other:?} is not one of queued, running, success, failure, cancelled, skipped");
            return Err(Error::invalid(field, message));
        }
    }))
}

/// The outputs of a job: a JSON object of strings; other scalars are taken as they print.
fn outputs(json: &str) -> Result<BTreeMap<String, String>, Error> {
    if json.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    if json.len() > OUTPUT_MAX_BYTES {
        return Err(Error::invalid("outputs", format!("are longer than {OUTPUT_MAX_BYTES} bytes")));
    }
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json)
        .map_err(|error| Error::invalid("outputs", format!("is not a JSON object: {error}")))?;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(object.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// A job is one step: rows have no second one yet.
pub fn check_step(step_idx: u32) -> Result<(), Error> {
    if step_idx == 0 { Ok(()) } else { Err(Error::Denied(format!("step_idx: the row has no step {step_idx}"))) }
}
