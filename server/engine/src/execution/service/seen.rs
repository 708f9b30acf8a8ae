//! An execution as it was last published, which is: as it is on the disk.

use std::sync::Arc;

use millrace_proto::digest::Digest;
use millrace_proto::reapi::ExecuteResponse;
use millrace_proto::rpc::Code;
use uuid::Uuid;

use crate::execution::queue::{Ended, Entry, Queue, state_of};
use crate::execution::response;
use crate::execution::state::{
    ExecutionState, OperationState, Stage, Stream, operation_id, operation_name, stream_name,
};
use crate::execution::store::{FinishedRecord, OperationRecord};

/// Why an operation ends that its client gave up.
const GIVEN_UP: &str = "the operation was cancelled";

/// An execution as it was last published.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The execution.
    pub id: Uuid,
    /// The digest of its Action.
    pub action: Digest,
    /// How it stands.
    pub state: ExecutionState,
    /// Its operations.
    pub operations: Vec<OperationRecord>,
    /// There was no execution: the action cache answered.
    pub cached: bool,
}

impl Seen {
    /// Of one that is queued or held.
    pub fn of_active(entry: &Entry, queue: &Queue) -> Self {
        let operations = entry.standing.operations.clone();
        Self { id: entry.id, action: entry.spec.action, state: queue.state(entry), operations, cached: false }
    }

    /// Of one that has just ended.
    pub fn of_ended(ended: &Ended, response: Arc<ExecuteResponse>) -> Self {
        let entry = &ended.entry;
        let state = finished(state_of(entry.id, &entry.spec, &entry.standing), response, ended.at_ms);
        Self {
            id: entry.id,
            action: entry.spec.action,
            state,
            operations: entry.standing.operations.clone(),
            cached: false,
        }
    }

    /// Of one that the store has.
    pub fn of_record(record: &FinishedRecord) -> Self {
        let response = response::decode(&record.response);
        let state = finished(state_of(record.id, &record.spec, &record.standing), response, record.finished_ms);
        Self {
            id: record.id,
            action: record.spec.action,
            state,
            operations: record.standing.operations.clone(),
            cached: false,
        }
    }

    /// The record of an operation that its client has not asked to forget.
    pub fn operation(&self, number: u32) -> Option<&OperationRecord> {
        self.operations.get(number as usize).filter(|operation| !operation.deleted)
    }

    /// An operation as it stands. `filled` is the response with what its client wants to have in it.
    pub fn operation_state(&self, number: u32, filled: Option<&Arc<ExecuteResponse>>) -> OperationState {
        let state = &self.state;
        let id = operation_id(self.id, number);
        let given_up = self.operation(number).is_some_and(|operation| operation.cancelled);
        let response = match (&state.response, given_up) {
            (None, false) => None,
            // It was given up before it ended.
            (_, true) => Some(Arc::new(response::failed(Code::CANCELLED, GIVEN_UP))),
            (Some(response), false) => Some(Arc::clone(filled.unwrap_or(response))),
        };
        let stream = |stream| state.stream_id(stream).map(|id| stream_name(&state.instance, &id)).unwrap_or_default();
        OperationState {
            name: operation_name(&state.instance, &id),
            id,
            instance: state.instance.clone(),
            action: self.action,
            execution_id: if self.cached { String::new() } else { state.id.clone() },
            stage: if response.is_some() { Stage::Done } else { state.stage },
            stdout_stream_name: stream(Stream::Stdout),
            stderr_stream_name: stream(Stream::Stderr),
            queued_ms: state.queued_ms,
            claimed_ms: state.claimed_ms,
            started_ms: state.started_ms,
            finished_ms: state.finished_ms,
            message: state.message.clone(),
            response,
        }
    }
}

fn finished(state: ExecutionState, response: Arc<ExecuteResponse>, at_ms: i64) -> ExecutionState {
    ExecutionState {
        stage: Stage::Done,
        finished_ms: Some(at_ms),
        status_code: response::code(&response),
        message: response::message(&response),
        exit_code: response.result.as_option().map(|result| result.exit_code),
        response: Some(response),
        ..state
    }
}
