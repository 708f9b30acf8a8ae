//! The queue and its executions as messages have them.

use millrace_engine::execution::{
    ExecutionState, PlatformMismatch, PlatformSnapshot, QueueSnapshot, RunnerSnapshot, Stage, Stream, WaitingSnapshot,
};
use millrace_engine::logs::streams::LogStreams;
use millrace_proto::digest::DigestFunction;
use millrace_proto::millrace::v1 as api;
use millrace_proto::platform_properties::{Mismatch, Properties};
use millrace_proto::runner_v1::Property;

use super::convert::{optional_time, time};

/// How many platform queues are named in a mismatch.
const MISMATCHES_MAX: usize = 10;

/// The queue; the jobs of pipelines come from elsewhere.
pub fn queue(snapshot: &QueueSnapshot, jobs: Vec<api::JobGroup>) -> api::Queue {
    api::Queue {
        time: time(snapshot.time_ms),
        platforms: snapshot.platforms.iter().map(platform).collect(),
        unmatched: snapshot.unmatched.iter().map(waiting).collect(),
        jobs,
        queued: snapshot.queued as i64,
        executing: snapshot.executing as i64,
        finished_last_minute: snapshot.finished_last_minute as i64,
        cached_last_minute: snapshot.cached_last_minute as i64,
        unmatched_wait_ms: snapshot.unmatched_wait_ms,
        ..Default::default()
    }
}

fn platform(platform: &PlatformSnapshot) -> api::PlatformQueue {
    api::PlatformQueue {
        name: platform.name.clone(),
        properties: properties(&platform.properties),
        configured: platform.configured,
        runners: platform.runners.iter().map(runner).collect(),
        queued: platform.queued as i64,
        executing: platform.executing as i64,
        oldest_queued_at: optional_time(platform.oldest_queued_ms),
        waiting: platform.waiting.iter().map(waiting).collect(),
        ..Default::default()
    }
}

fn runner(runner: &RunnerSnapshot) -> api::QueueRunner {
    api::QueueRunner {
        uuid: runner.uuid.clone(),
        name: runner.name.clone(),
        online: runner.online,
        draining: runner.draining,
        slots: runner.slots,
        executing: runner.executing,
        ..Default::default()
    }
}

fn waiting(group: &WaitingSnapshot) -> api::WaitingGroup {
    api::WaitingGroup {
        properties: properties(&group.properties),
        queued: group.queued as i64,
        oldest_queued_at: optional_time(group.oldest_queued_ms),
        mismatches: group.mismatches.iter().take(MISMATCHES_MAX).map(mismatch).collect(),
        ..Default::default()
    }
}

fn mismatch(mismatch: &PlatformMismatch) -> api::Mismatch {
    let one = |one: &Mismatch| api::PropertyMismatch {
        name: one.name.clone(),
        requested: one.requested.clone(),
        offered: one.offered.clone(),
        ..Default::default()
    };
    api::Mismatch {
        platform: mismatch.platform.clone(),
        properties: mismatch.properties.iter().map(one).collect(),
        ..Default::default()
    }
}

/// Properties on the wire.
pub fn properties(properties: &Properties) -> Vec<Property> {
    let one = |one: &millrace_proto::platform_properties::Property| Property {
        name: one.name.clone(),
        value: one.value.clone(),
        ..Default::default()
    };
    properties.iter().map(one).collect()
}

/// An execution.
pub fn execution(state: &ExecutionState) -> api::Execution {
    let digest = state.action.as_ref();
    api::Execution {
        id: state.id.clone(),
        instance: state.instance.as_str().to_owned(),
        digest_function: digest.map(|digest| function(digest.function())).unwrap_or_default(),
        action_hash: digest.map(millrace_proto::digest::Digest::hex).unwrap_or_default(),
        action_size_bytes: digest.map_or(0, millrace_proto::digest::Digest::size_wire),
        stage: stage(state.stage).into(),
        properties: properties(&state.properties),
        platform: state.platform.clone(),
        priority: state.priority,
        operations: state.operations.clone(),
        invocation_id: state.invocation_id.clone(),
        target: state.target.clone(),
        mnemonic: state.mnemonic.clone(),
        command: state.command.clone(),
        runner_uuid: state.runner_uuid.clone(),
        runner_name: state.runner_name.clone(),
        lost: state.lost,
        queued_at: time(state.queued_ms),
        claimed_at: optional_time(state.claimed_ms),
        started_at: optional_time(state.started_ms),
        finished_at: optional_time(state.finished_ms),
        status_code: state.status_code,
        message: state.message.clone(),
        exit_code: state.exit_code,
        stdout_log_id: log_id(state, Stream::Stdout),
        stderr_log_id: log_id(state, Stream::Stderr),
        do_not_cache: state.do_not_cache,
        input_fetched_bytes: state.input_fetched_bytes as i64,
        input_cached_bytes: state.input_cached_bytes as i64,
        ..Default::default()
    }
}

/// The log of an output, for `LogService`; empty while no runner has had the action.
fn log_id(state: &ExecutionState, stream: Stream) -> String {
    let id = state.stream_id(stream).and_then(|id| LogStreams::log_id(&state.instance, &id).ok());
    id.map(|id| id.as_str().to_owned()).unwrap_or_default()
}

fn function(function: DigestFunction) -> String {
    function.path_segment().to_owned()
}

fn stage(stage: Stage) -> api::ExecutionStage {
    match stage {
        Stage::Queued => api::ExecutionStage::EXECUTION_STAGE_QUEUED,
        Stage::InputFetch => api::ExecutionStage::EXECUTION_STAGE_INPUT_FETCH,
        Stage::Executing => api::ExecutionStage::EXECUTION_STAGE_EXECUTING,
        Stage::OutputUpload => api::ExecutionStage::EXECUTION_STAGE_OUTPUT_UPLOAD,
        Stage::Done => api::ExecutionStage::EXECUTION_STAGE_DONE,
    }
}

/// A stage from the wire; None for the unspecified one.
pub fn stage_from(stage: api::ExecutionStage) -> Option<Stage> {
    Some(match stage {
        api::ExecutionStage::EXECUTION_STAGE_UNSPECIFIED => return None,
        api::ExecutionStage::EXECUTION_STAGE_QUEUED => Stage::Queued,
        api::ExecutionStage::EXECUTION_STAGE_INPUT_FETCH => Stage::InputFetch,
        api::ExecutionStage::EXECUTION_STAGE_EXECUTING => Stage::Executing,
        api::ExecutionStage::EXECUTION_STAGE_OUTPUT_UPLOAD => Stage::OutputUpload,
        api::ExecutionStage::EXECUTION_STAGE_DONE => Stage::Done,
    })
}
