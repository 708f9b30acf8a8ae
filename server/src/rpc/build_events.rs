//! `google.devtools.build.v1.PublishBuildEvent`: how builds tell what they do. An event is acknowledged when it is stored.

#![allow(refining_impl_trait)]

use std::collections::VecDeque;
use std::sync::Arc;

use buffa::Message;
use buffa_types::google::protobuf::Empty;
use connectrpc::{ConnectError, InboundStream, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures::{FutureExt, Stream, StreamExt, stream};
use millrace_engine::invocations::{
    Attached, Numbered, PUBLICATION_MAX_BYTES, PUBLICATION_MAX_EVENTS, Publication, StreamKey,
};
use millrace_proto::build_events as wire;
use millrace_proto::build_events::build_event::Event;

use super::status::status;
use super::until_stopping;
use crate::app::App;
use crate::auth::{self, Caller, Role};

type Request = wire::PublishBuildToolEventStreamRequest;
type Acknowledgement = wire::PublishBuildToolEventStreamResponse;

/// The service.
pub struct BuildEventDoor {
    app: Arc<App>,
}

impl BuildEventDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// Who may build may say how it went.
fn publisher(ctx: &RequestContext) -> Result<Caller, ConnectError> {
    auth::require_either(ctx, Role::Execute, Role::CacheWrite)
}

impl wire::PublishBuildEvent for BuildEventDoor {
    async fn publish_lifecycle_event(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::PublishLifecycleEventRequest>,
    ) -> ServiceResult<Empty> {
        let caller = publisher(&ctx)?;
        // Its service level asks for what every event has: it is seen as soon as it is stored.
        let request = request.to_owned_message();
        let timeout = request.stream_timeout.as_option().map(|time| time.seconds.saturating_mul(1_000));
        let mut publication =
            publication(&self.app, &caller, request.build_event.into_option(), &request.project_id, false)?;
        publication.keywords = request.notification_keywords;
        publication.check_preceding = request.check_preceding_lifecycle_events_present;
        publication.timeout_ms = timeout;
        self.app.invocations.publish(publication).await.map_err(status)?;
        Response::ok(Empty::default())
    }

    async fn publish_build_tool_event_stream(
        &self,
        ctx: RequestContext,
        requests: InboundStream<Request>,
    ) -> ServiceResult<ServiceStream<Acknowledgement>> {
        let caller = publisher(&ctx)?;
        until_stopping(&self.app, acknowledgements(Arc::clone(&self.app), caller, requests))
    }
}

/// The acknowledgement of each event, in order, once it is stored. What comes while others are being stored is stored
/// together.
fn acknowledgements(
    app: Arc<App>,
    caller: Caller,
    requests: InboundStream<Request>,
) -> impl Stream<Item = Result<Acknowledgement, ConnectError>> + Send + 'static {
    let call = Call { app, caller, requests, held: None, of: None, ready: VecDeque::new(), ended: false };
    stream::unfold(Some(call), |call| async move {
        let mut call = call?;
        match call.next().await {
            Ok(Some(acknowledgement)) => Some((Ok(acknowledgement), Some(call))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// One `PublishBuildToolEventStream`.
struct Call {
    app: Arc<App>,
    caller: Caller,
    requests: InboundStream<Request>,
    /// Came, and begins the next publication.
    held: Option<Result<Publication, ConnectError>>,
    /// The stream of all events of this call, and that it is open.
    of: Option<(StreamKey, Attached)>,
    ready: VecDeque<Acknowledgement>,
    ended: bool,
}

impl Call {
    async fn next(&mut self) -> Result<Option<Acknowledgement>, ConnectError> {
        loop {
            if let Some(acknowledgement) = self.ready.pop_front() {
                return Ok(Some(acknowledgement));
            }
            let Some(publication) = self.gather().await? else { return Ok(None) };
            let stream = stream_id(&publication.stream);
            let numbers: Vec<i64> = publication.events.iter().map(|event| event.sequence).collect();
            self.app.invocations.publish(publication).await.map_err(status)?;
            self.ready.extend(numbers.into_iter().map(|sequence_number| Acknowledgement {
                stream_id: stream.clone().into(),
                sequence_number,
                ..Default::default()
            }));
        }
    }

    /// The next events: one is waited for, and those that are there already come with it.
    async fn gather(&mut self) -> Result<Option<Publication>, ConnectError> {
        let first = match self.held.take() {
            Some(held) => held,
            None if self.ended => return Ok(None),
            None => match self.requests.next().await {
                Some(message) => self.parse(message),
                None => return Ok(None),
            },
        };
        let mut all = first?;
        let mut bytes = size(&all);
        while all.events.len() < PUBLICATION_MAX_EVENTS && bytes < PUBLICATION_MAX_BYTES {
            let Some(message) = self.requests.next().now_or_never() else { break };
            let Some(message) = message else {
                self.ended = true;
                break;
            };
            match self.parse(message) {
                Ok(mut next) if follows(&all, &next) => {
                    bytes += size(&next);
                    all.events.append(&mut next.events);
                }
                other => {
                    self.held = Some(other);
                    break;
                }
            }
        }
        Ok(Some(all))
    }

    fn parse(
        &mut self,
        message: Result<connectrpc::StreamMessage<Request>, ConnectError>,
    ) -> Result<Publication, ConnectError> {
        let request = message?.to_owned_message();
        let event = request.ordered_build_event.into_option();
        let mut publication = publication(&self.app, &self.caller, event, &request.project_id, true)?;
        publication.keywords = request.notification_keywords;
        publication.check_preceding = request.check_preceding_lifecycle_events_present;
        match &self.of {
            None => self.of = Some((publication.stream.clone(), self.app.invocations.attach(&publication.stream))),
            Some((of, _)) if *of == publication.stream => {}
            Some(_) => {
                let message = "stream_id: is another one than that of the call's first event";
                return Err(ConnectError::invalid_argument(message));
            }
        }
        Ok(publication)
    }
}

/// An event can go with those before it.
fn follows(all: &Publication, next: &Publication) -> bool {
    let (Some(last), Some(next_event)) = (all.events.last(), next.events.first()) else { return false };
    last.sequence + 1 == next_event.sequence && next.keywords.is_empty()
}

fn size(publication: &Publication) -> usize {
    publication.events.iter().map(|Numbered { event, .. }| event.encoded_len() as usize).sum()
}

/// An event, where the caller may publish.
fn publication(
    app: &App,
    caller: &Caller,
    event: Option<wire::OrderedBuildEvent>,
    project: &str,
    of_tool: bool,
) -> Result<Publication, ConnectError> {
    let field = if of_tool { "ordered_build_event" } else { "build_event" };
    let missing = |what: &str| ConnectError::invalid_argument(format!("{field}{what}: is missing"));
    let ordered = event.ok_or_else(|| missing(""))?;
    let event = ordered.event.into_option().ok_or_else(|| missing(".event"))?;
    if !of_tool && !is_lifecycle(event.event.as_ref()) {
        let message =
            "build_event.event: is no lifecycle event; PublishBuildToolEventStream takes those of build tools";
        return Err(ConnectError::invalid_argument(message));
    }
    let id = ordered.stream_id.into_option().ok_or_else(|| missing(".stream_id"))?;
    let instance = app.cache.instances.of(caller, project).map_err(status)?;
    let stream = StreamKey::parse(instance, &id, of_tool).map_err(status)?;
    Publication::of(stream, ordered.sequence_number, event).map_err(status)
}

fn is_lifecycle(event: Option<&Event>) -> bool {
    matches!(
        event,
        Some(
            Event::BuildEnqueued(_)
                | Event::InvocationAttemptStarted(_)
                | Event::InvocationAttemptFinished(_)
                | Event::BuildFinished(_)
        )
    )
}

fn stream_id(stream: &StreamKey) -> wire::StreamId {
    wire::StreamId {
        build_id: stream.build_id.clone(),
        invocation_id: stream.invocation_id.clone(),
        component: stream.component.into(),
        ..Default::default()
    }
}
