//! One thin file a service: parse, call the engine once, map the answer. `status` alone knows codes.

mod action_cache;
mod agent;
mod agent_actions;
mod agent_fetch;
mod agent_jobs;
mod agent_logs;
mod asset;
mod asset_push;
mod asset_request;
mod build_events;
mod byte_stream;
mod byte_stream_log;
mod byte_stream_write;
mod cache;
mod capabilities;
mod cas;
mod cas_chunks;
mod cas_names;
mod cas_tree;
mod commit_log;
pub mod convert;
mod execution;
pub mod follow;
mod invocation;
mod log;
mod log_room;
mod log_search;
mod log_stream;
mod operation;
mod operation_filter;
mod operation_name;
mod operations;
mod pace;
pub mod pipeline;
mod queue;
mod queue_shown;
mod queue_view;
mod queue_watch;
mod remote;
mod request_metadata;
mod runner;
mod segments;
pub mod status;
pub mod waiting;
mod watch;

use std::sync::Arc;

use connectrpc::{ConnectError, Limits, Response, Router, ServiceResult, ServiceStream};
use futures::{Stream, StreamExt, stream};
use millrace_proto::{FILE_DESCRIPTOR_SET, log_v1, millrace::v1 as api, runner_v1};

use crate::app::App;

pub use action_cache::ActionCacheDoor;
pub use agent::AgentService;
pub use asset::FetchDoor;
pub use asset_push::PushDoor;
pub use build_events::BuildEventDoor;
pub use byte_stream::ByteStreamDoor;
pub use cache::CacheDoor;
pub use capabilities::CapabilitiesDoor;
pub use cas::CasDoor;
pub use commit_log::CommitLogDoor;
pub use execution::ExecutionDoor;
pub use invocation::InvocationDoor;
pub use log::LogDoor;
pub use log_stream::LogStreamDoor;
pub use operations::OperationsDoor;
pub use pipeline::PipelineDoor;
pub use queue::QueueDoor;
pub use runner::RunnerDoor;

/// The largest request message of a service, in bytes, where no route says otherwise.
pub const MESSAGE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The largest request of a call that carries a workflow file, in bytes: the file, its inputs, and JSON around it.
const WORKFLOW_MESSAGE_MAX_BYTES: usize = 8 * 1024 * 1024;

/// The health service's descriptors, which its crate does not have: discovery must describe all that is served.
const HEALTH_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/health.fds.bin"));

/// All Connect services, with health and reflection.
pub fn router(app: &Arc<App>) -> anyhow::Result<Router> {
    let mut router = Router::new();
    router = runner_v1::RunnerServiceExt::register(Arc::new(AgentService::new(Arc::clone(app))), router);
    router = router
        .add_service::<PipelineDoor, _>(Arc::new(PipelineDoor::new(Arc::clone(app))))
        .add_service::<LogDoor, _>(Arc::new(LogDoor::new(Arc::clone(app))))
        .add_service::<CommitLogDoor, _>(Arc::new(CommitLogDoor::new(Arc::clone(app))))
        .add_service::<CacheDoor, _>(Arc::new(CacheDoor::new(Arc::clone(app))))
        .add_service::<InvocationDoor, _>(Arc::new(InvocationDoor::new(Arc::clone(app))))
        .add_service::<QueueDoor, _>(Arc::new(QueueDoor::new(Arc::clone(app))));
    router = api::RunnerServiceExt::register(Arc::new(RunnerDoor::new(Arc::clone(app))), router);
    router = remote::add(app, router);
    for method in ["Run", "Validate"] {
        let limits = Limits::default()
            .with_max_message_size(WORKFLOW_MESSAGE_MAX_BYTES)
            .with_max_request_body_size(WORKFLOW_MESSAGE_MAX_BYTES);
        router = router.with_route_limits(&format!("millrace.v1.PipelineService/{method}"), limits);
    }
    let services = [
        runner_v1::RUNNER_SERVICE_SERVICE_NAME,
        api::PIPELINE_SERVICE_SERVICE_NAME,
        api::LOG_SERVICE_SERVICE_NAME,
        log_v1::LOG_SERVICE_NAME,
        api::CACHE_SERVICE_SERVICE_NAME,
        api::INVOCATION_SERVICE_SERVICE_NAME,
        api::QUEUE_SERVICE_SERVICE_NAME,
        api::RUNNER_SERVICE_SERVICE_NAME,
    ]
    .into_iter()
    .chain(remote::SERVICES);
    let (router, health) = connectrpc_health::install_static(router, services);
    app.set_health(health);
    let mut reflector = connectrpc_reflection::Reflector::from_descriptor_set_bytes(FILE_DESCRIPTOR_SET)?;
    reflector.add_descriptor_set_bytes(HEALTH_DESCRIPTOR_SET)?;
    Ok(connectrpc_reflection::install(router, reflector))
}

/// A stream that ends with `UNAVAILABLE` when the server stops: the client goes on with another or a later server.
fn until_stopping<T: Send + 'static>(
    app: &Arc<App>,
    messages: impl Stream<Item = Result<T, ConnectError>> + Send + 'static,
) -> ServiceResult<ServiceStream<T>> {
    let (waiting, asked) = (Arc::clone(app), Arc::clone(app));
    let stopped = stream::once(async move { asked.is_stopping() })
        .filter_map(async |stopping| stopping.then(|| Err(ConnectError::unavailable("the server is stopping"))));
    Response::stream_ok(messages.take_until(async move { waiting.stopping().await }).chain(stopped))
}
