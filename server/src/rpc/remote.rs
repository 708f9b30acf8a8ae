//! The services of the Remote Execution API, and how large the messages of each may be.

use std::sync::Arc;

use connectrpc::{Limits, Router};
use millrace_proto::{asset, build_events, bytestream, logstream, longrunning, reapi};

use super::{
    ActionCacheDoor, BuildEventDoor, ByteStreamDoor, CapabilitiesDoor, CasDoor, ExecutionDoor, FetchDoor,
    LogStreamDoor, OperationsDoor, PushDoor,
};
use crate::app::App;

/// The largest message of an upload, in bytes: clients send up to 4 MiB, few more, and a name and numbers around it.
const WRITE_MESSAGE_MAX_BYTES: usize = 17 * 1024 * 1024;
/// The largest batch, in bytes: more than is told to clients, so that one over that limit is told which limit it is.
const BATCH_MESSAGE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// The largest list of digests to be looked for, in bytes: 200 000 of them and more.
const DIGESTS_MESSAGE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// The largest message with a build event, in bytes: more than such an event may have.
const EVENT_MESSAGE_MAX_BYTES: usize = 17 * 1024 * 1024;

/// Their names.
pub const SERVICES: [&str; 10] = [
    asset::FETCH_SERVICE_NAME,
    asset::PUSH_SERVICE_NAME,
    build_events::PUBLISH_BUILD_EVENT_SERVICE_NAME,
    bytestream::BYTE_STREAM_SERVICE_NAME,
    logstream::LOG_STREAM_SERVICE_SERVICE_NAME,
    longrunning::OPERATIONS_SERVICE_NAME,
    reapi::ACTION_CACHE_SERVICE_NAME,
    reapi::CAPABILITIES_SERVICE_NAME,
    reapi::CONTENT_ADDRESSABLE_STORAGE_SERVICE_NAME,
    reapi::EXECUTION_SERVICE_NAME,
];

/// Adds them to a router.
pub fn add(app: &Arc<App>, router: Router) -> Router {
    let mut router = router
        .add_service::<ActionCacheDoor, _>(Arc::new(ActionCacheDoor::new(Arc::clone(app))))
        .add_service::<BuildEventDoor, _>(Arc::new(BuildEventDoor::new(Arc::clone(app))))
        .add_service::<ByteStreamDoor, _>(Arc::new(ByteStreamDoor::new(Arc::clone(app))))
        .add_service::<CapabilitiesDoor, _>(Arc::new(CapabilitiesDoor::new(Arc::clone(app))))
        .add_service::<CasDoor, _>(Arc::new(CasDoor::new(Arc::clone(app))))
        .add_service::<ExecutionDoor, _>(Arc::new(ExecutionDoor::new(Arc::clone(app))))
        .add_service::<OperationsDoor, _>(Arc::new(OperationsDoor::new(Arc::clone(app))))
        .add_service::<LogStreamDoor, _>(Arc::new(LogStreamDoor::new(Arc::clone(app))))
        .add_service::<FetchDoor, _>(Arc::new(FetchDoor::new(Arc::clone(app))))
        .add_service::<PushDoor, _>(Arc::new(PushDoor::new(Arc::clone(app))));
    let cas = reapi::CONTENT_ADDRESSABLE_STORAGE_SERVICE_NAME;
    for (method, bytes) in [
        (format!("{}/Write", bytestream::BYTE_STREAM_SERVICE_NAME), WRITE_MESSAGE_MAX_BYTES),
        (format!("{cas}/BatchUpdateBlobs"), BATCH_MESSAGE_MAX_BYTES),
        (format!("{cas}/FindMissingBlobs"), DIGESTS_MESSAGE_MAX_BYTES),
        (
            format!("{}/PublishBuildToolEventStream", build_events::PUBLISH_BUILD_EVENT_SERVICE_NAME),
            EVENT_MESSAGE_MAX_BYTES,
        ),
    ] {
        let limits = Limits::default().with_max_message_size(bytes).with_max_request_body_size(bytes);
        router = router.with_route_limits(&method, limits);
    }
    router
}
