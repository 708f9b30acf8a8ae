//! An operation as messages have it. `error` is never set: what went wrong after the operation was there is in the
//! response's status.

use buffa_types::google::protobuf::{Any, Timestamp};
use millrace_engine::execution::{OperationState, Stage, operation_name};
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::longrunning::{Operation, operation};
use millrace_proto::reapi::{self as wire, execution_stage};
use millrace_proto::rpc::Status;

use super::cas_names::shown;
use super::convert;
use super::status::missing;

/// The code of FAILED_PRECONDITION.
const FAILED_PRECONDITION: i32 = 9;
/// How many missing blobs one answer names: some 2 MB of them.
const MISSING_TOLD_MAX: usize = 20_000;

/// The operation as it stands.
pub fn message(state: &OperationState) -> Operation {
    let metadata = wire::ExecuteOperationMetadata {
        stage: stage(state.stage).into(),
        action_digest: shown(&state.action).into(),
        stdout_stream_name: state.stdout_stream_name.clone(),
        stderr_stream_name: state.stderr_stream_name.clone(),
        partial_execution_metadata: partial(state).into(),
        digest_function: state.action.function().wire().into(),
        ..Default::default()
    };
    Operation {
        name: state.name.clone(),
        metadata: Any::pack(&metadata, wire::ExecuteOperationMetadata::TYPE_URL).into(),
        done: state.response.is_some(),
        result: state.response.as_deref().map(answer),
        ..Default::default()
    }
}

/// An operation that is done before it could begin, because blobs are missing: it can name more of them than a status.
pub fn missing_blobs(instance: &InstanceName, action: &Digest, message: String, digests: &[Digest]) -> Operation {
    let failure = missing(&digests[..digests.len().min(MISSING_TOLD_MAX)]);
    let status = Status {
        code: FAILED_PRECONDITION,
        message,
        details: vec![Any::pack(&failure, millrace_proto::rpc::PreconditionFailure::TYPE_URL)],
        ..Default::default()
    };
    let metadata = wire::ExecuteOperationMetadata {
        stage: execution_stage::Value::COMPLETED.into(),
        action_digest: shown(action).into(),
        digest_function: action.function().wire().into(),
        ..Default::default()
    };
    let response = wire::ExecuteResponse { status: status.into(), ..Default::default() };
    Operation {
        name: operation_name(instance, &uuid::Uuid::new_v4().to_string()),
        metadata: Any::pack(&metadata, wire::ExecuteOperationMetadata::TYPE_URL).into(),
        done: true,
        result: Some(answer(&response)),
        ..Default::default()
    }
}

fn answer(response: &wire::ExecuteResponse) -> operation::Result {
    operation::Result::Response(Box::new(Any::pack(response, wire::ExecuteResponse::TYPE_URL)))
}

fn stage(stage: Stage) -> execution_stage::Value {
    match stage {
        Stage::Queued => execution_stage::Value::QUEUED,
        Stage::InputFetch | Stage::Executing | Stage::OutputUpload => execution_stage::Value::EXECUTING,
        Stage::Done => execution_stage::Value::COMPLETED,
    }
}

/// What is known of the times: all that the runner measured, once it is done.
fn partial(state: &OperationState) -> wire::ExecutedActionMetadata {
    let measured = state.response.as_deref().and_then(|response| response.result.as_option());
    if let Some(metadata) = measured.and_then(|result| result.execution_metadata.as_option()) {
        return metadata.clone();
    }
    let time = |ms: Option<i64>| convert::optional_time(ms).into_option();
    let field = |time: Option<Timestamp>| time.map_or_else(Default::default, Into::into);
    wire::ExecutedActionMetadata {
        queued_timestamp: field(time(Some(state.queued_ms))),
        worker_start_timestamp: field(time(state.claimed_ms)),
        execution_start_timestamp: field(time(state.started_ms)),
        ..Default::default()
    }
}
