//! Actions of remote execution as agents get them, and what agents say of them, checked. Knows nothing of who calls.

use buffa::Message;
use millrace_engine::error::Error;
use millrace_engine::execution::{ActionLease, ActionReported, ReportAnswer, Stage};
use millrace_engine::logs::streams::LogStreams;
use millrace_engine::scheduler::Wants;
use millrace_proto::reapi::ExecuteResponse;
use millrace_proto::runner_v1::{self as wire, action_report, fetch_task_request};

use super::queue_shown::properties;

/// The kinds of tasks that an agent asks for. A word that came later than this server asks for jobs.
pub fn wants(wants: buffa::EnumValue<fetch_task_request::Wants>) -> Wants {
    match wants.as_known() {
        Some(fetch_task_request::Wants::WANTS_JOBS_AND_ACTIONS) => Wants::JobsAndActions,
        Some(fetch_task_request::Wants::WANTS_ACTIONS_AHEAD) => Wants::ActionsAhead,
        Some(fetch_task_request::Wants::WANTS_UNSPECIFIED) | None => Wants::Jobs,
    }
}

/// An action for a runner, with the secret names of its streams.
pub fn task(lease: ActionLease, streams: &LogStreams) -> wire::ActionTask {
    let write_name = |id: &str| streams.names(&lease.instance, id).write_name;
    wire::ActionTask {
        stdout_write_name: write_name(&lease.stdout_stream_id),
        stderr_write_name: write_name(&lease.stderr_stream_id),
        execution_id: lease.execution_id,
        epoch: lease.epoch,
        lease_ms: lease.lease_ms.unsigned_abs(),
        instance_name: lease.instance.as_str().to_owned(),
        digest_function: lease.action.function().wire(),
        action_hash: lease.action.hex(),
        action_size_bytes: lease.action.size_wire(),
        action: lease.action_bytes.to_vec(),
        command: lease.command_bytes.to_vec(),
        properties: properties(&lease.properties),
        timeout_ms: lease.timeout_ms,
        queued_at_ms: lease.queued_ms,
        invocation_id: lease.invocation_id,
        label: lease.label,
        ..Default::default()
    }
}

/// What an agent says of its action; nothing but its execution and epoch: a heartbeat.
pub fn reported(request: &wire::UpdateTaskRequest, runner_uuid: Option<String>) -> Result<ActionReported, Error> {
    let report = request.action.as_option().ok_or_else(|| Error::invalid("action", "is missing"))?;
    let done = report.stage.as_known() == Some(action_report::Stage::STAGE_DONE);
    if done == report.response.is_empty() {
        let message =
            if done { "is missing: an action that is done has one" } else { "is there before the action is done" };
        return Err(Error::invalid("action.response", message));
    }
    if report.give_back && !done {
        return Err(Error::invalid("action.give_back", "is for what is done: the response says why"));
    }
    let response = if done { Some(response(&report.response)?) } else { None };
    Ok(ActionReported {
        execution_id: request.tx_uuid.clone(),
        runner_uuid,
        epoch: (request.epoch != 0).then_some(request.epoch),
        stage: stage(report.stage),
        response,
        give_back: report.give_back,
        input_fetched_bytes: report.input_fetched_bytes,
        input_cached_bytes: report.input_cached_bytes,
    })
}

/// What the agent is told, but for its next task.
pub fn told(answer: ReportAnswer) -> wire::UpdateTaskResponse {
    let state = match (answer.cancelled, answer.ended) {
        (true, _) => "cancelled",
        (false, true) => "success",
        (false, false) => "running",
    };
    wire::UpdateTaskResponse {
        pipeline_state: state.to_owned(),
        step_state: state.to_owned(),
        success: true,
        terminate: answer.cancelled,
        ..Default::default()
    }
}

fn response(bytes: &[u8]) -> Result<ExecuteResponse, Error> {
    ExecuteResponse::decode_from_slice(bytes)
        .map_err(|error| Error::invalid("action.response", format!("is no ExecuteResponse: {error}")))
}

fn stage(stage: buffa::EnumValue<action_report::Stage>) -> Option<Stage> {
    Some(match stage.as_known()? {
        action_report::Stage::STAGE_UNSPECIFIED => return None,
        action_report::Stage::STAGE_INPUT_FETCH => Stage::InputFetch,
        action_report::Stage::STAGE_EXECUTING => Stage::Executing,
        action_report::Stage::STAGE_OUTPUT_UPLOAD => Stage::OutputUpload,
        action_report::Stage::STAGE_DONE => Stage::Done,
    })
}
