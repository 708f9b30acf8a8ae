//! ExecuteResponses: of failures, of the action cache, and of what a runner reports.

use std::sync::Arc;

use buffa::Message;
use buffa_types::google::protobuf::Timestamp;
use bytes::Bytes;
use millrace_proto::reapi::{ActionResult, ExecuteResponse};
use millrace_proto::rpc::{Code, Status};

/// Standard output and error of so many bytes stay in the response; of more, and of files, the digest does.
const KEPT_OUTPUT_MAX_BYTES: usize = 1_024;

/// The response of an execution that could not be run, or was not.
pub fn failed(code: Code, message: &str) -> ExecuteResponse {
    ExecuteResponse {
        status: Status { code: code as i32, message: message.to_owned(), ..Default::default() }.into(),
        message: message.to_owned(),
        ..Default::default()
    }
}

/// The response for a result of the action cache.
pub fn cached(result: ActionResult) -> ExecuteResponse {
    ExecuteResponse {
        result: result.into(),
        cached_result: true,
        status: Status::default().into(),
        ..Default::default()
    }
}

/// The google.rpc.Code of a response.
pub fn code(response: &ExecuteResponse) -> i32 {
    response.status.as_option().map_or(0, |status| status.code)
}

/// What is said about the end, for people.
pub fn message(response: &ExecuteResponse) -> String {
    let status = response.status.as_option().map(|status| status.message.clone()).unwrap_or_default();
    if status.is_empty() { response.message.clone() } else { status }
}

/// Whether the result may be kept in the action cache.
pub fn is_success(response: &ExecuteResponse) -> bool {
    code(response) == 0 && response.result.as_option().is_some_and(|result| result.exit_code == 0)
}

/// What a runner reported, as it is told to clients: with a status, with times and the runner's name where it left them
/// out, and never as of the cache.
pub fn reported(mut response: ExecuteResponse, runner_name: &str, queued_ms: i64) -> ExecuteResponse {
    response.cached_result = false;
    if code(&response) == 0 && !response.result.is_set() {
        return failed(Code::INTERNAL, "the runner reported neither a result nor an error");
    }
    response.status.get_or_insert_default();
    if let Some(result) = response.result.as_option_mut() {
        let metadata = result.execution_metadata.get_or_insert_default();
        if metadata.worker.is_empty() {
            runner_name.clone_into(&mut metadata.worker);
        }
        if !metadata.queued_timestamp.is_set() {
            metadata.queued_timestamp = timestamp(queued_ms).into();
        }
    }
    response
}

/// Leaves contents out that are blobs.
pub fn without_contents(response: &mut ExecuteResponse) {
    let Some(result) = response.result.as_option_mut() else { return };
    for file in &mut result.output_files {
        file.contents = Bytes::new();
    }
    if result.stdout_digest.is_set() && result.stdout_raw.len() > KEPT_OUTPUT_MAX_BYTES {
        result.stdout_raw = Bytes::new();
    }
    if result.stderr_digest.is_set() && result.stderr_raw.len() > KEPT_OUTPUT_MAX_BYTES {
        result.stderr_raw = Bytes::new();
    }
}

/// A response as it was kept.
pub fn decode(bytes: &Bytes) -> Arc<ExecuteResponse> {
    let decoded = ExecuteResponse::decode(&mut bytes.clone());
    Arc::new(decoded.unwrap_or_else(|_| failed(Code::DATA_LOSS, "the response that was kept can't be read")))
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp { seconds: ms.div_euclid(1_000), nanos: (ms.rem_euclid(1_000) * 1_000_000) as i32, ..Default::default() }
}
