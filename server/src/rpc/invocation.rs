//! `millrace.v1.InvocationService`.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use buffa::Message;
use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures::{Stream, stream};
use millrace_engine::error::{Error, Result};
use millrace_engine::invocations::{
    Changes, EventPosition, InvocationFilter, InvocationPosition, TargetFilter, TargetPosition,
};
use millrace_proto::build_events as events;
use millrace_proto::millrace::v1 as api;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::pace::Pace;
use super::status::status;
use super::until_stopping;
use crate::app::App;
use crate::auth::{self, Caller, Role};

/// The most invocations of a page, and how many there are when the request does not say.
const INVOCATIONS: Page = Page { default: 50, most: 200 };
/// The same of targets.
const TARGETS: Page = Page { default: 100, most: 500 };
/// The same of events.
const EVENTS: Page = Page { default: 100, most: 500 };
/// With so many bytes of events a page ends.
const EVENTS_PAGE_MAX_BYTES: usize = 2 * 1024 * 1024;
/// The longest text to be looked for, in bytes.
const TEXT_MAX_BYTES: usize = 1024;
/// How often a watch says that it lives, in milliseconds.
const WATCH_HEARTBEAT_MS: u64 = 15_000;

/// The service.
pub struct InvocationDoor {
    app: Arc<App>,
}

impl InvocationDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn list(
        &self,
        caller: &Caller,
        request: &api::ListInvocationsRequest,
    ) -> Result<api::ListInvocationsResponse> {
        let instance = match &request.instance {
            Some(name) => Some(self.app.cache.instances.of(caller, name)?.as_str().to_owned()),
            None => caller.project().map(ToOwned::to_owned),
        };
        let limit = INVOCATIONS.size(request.page_size)?;
        let after: Option<(i64, String)> = token(&request.page_token)?;
        let filter = InvocationFilter {
            instance,
            statuses: request.statuses.iter().map(buffa::EnumValue::to_i32).collect(),
            user: text("user", &request.user)?.to_lowercase(),
            text: text("text", &request.text)?.to_lowercase(),
            after: after.map(|(created_ms, id)| InvocationPosition { created_ms, id }),
            limit: limit + 1,
        };
        let mut rows = self.app.invocations.list(filter).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().filter(|_| more);
        let next_page_token = last.map(|last| page_token(&(last.created_ms, &last.id))).unwrap_or_default();
        let shown = rows.iter().map(|row| decode(&row.summary)).collect::<Result<_>>()?;
        Ok(api::ListInvocationsResponse { invocations: shown, next_page_token, ..Default::default() })
    }

    async fn targets(
        &self,
        caller: &Caller,
        request: &api::ListInvocationTargetsRequest,
    ) -> Result<api::ListInvocationTargetsResponse> {
        self.app.invocations.row(caller.project(), &request.id).await?;
        let limit = TARGETS.size(request.page_size)?;
        let after: Option<(i32, String, String, String)> = token(&request.page_token)?;
        let filter = TargetFilter {
            statuses: request.statuses.iter().map(buffa::EnumValue::to_i32).collect(),
            text: text("text", &request.text)?.to_owned(),
            tests_only: request.tests_only,
            after: after.map(|(rank, label, configuration, aspect)| TargetPosition {
                rank,
                label,
                configuration,
                aspect,
            }),
            limit: limit + 1,
        };
        let mut page = self.app.invocations.targets(&request.id, filter).await?;
        let more = page.targets.len() > limit as usize;
        page.targets.truncate(limit as usize);
        let last = page.targets.last().filter(|_| more);
        let place = last.map(|last| page_token(&(last.rank, &last.label, &last.configuration, &last.aspect)));
        Ok(api::ListInvocationTargetsResponse {
            targets: page.targets.iter().map(|row| decode(&row.document)).collect::<Result<_>>()?,
            next_page_token: place.unwrap_or_default(),
            total: page.total,
            ..Default::default()
        })
    }

    async fn events(
        &self,
        caller: &Caller,
        request: &api::ListInvocationEventsRequest,
    ) -> Result<api::ListInvocationEventsResponse> {
        let row = self.app.invocations.row(caller.project(), &request.id).await?;
        let limit = EVENTS.size(request.page_size)?;
        let after: Option<(String, i32, i64)> = token(&request.page_token)?;
        let after = after.map_or_else(EventPosition::default, |(invocation_id, component, sequence)| EventPosition {
            invocation_id,
            component,
            sequence,
        });
        let page = self.app.invocations.events(&row, after, limit, EVENTS_PAGE_MAX_BYTES).await?;
        // A page that ends early is not the last one; the page after the last one is empty.
        let next = page.last().map(|(place, _)| page_token(&(&place.invocation_id, place.component, place.sequence)));
        let ordered = |(place, bytes): (EventPosition, Vec<u8>)| {
            let stream = events::StreamId {
                build_id: row.build_id.clone(),
                invocation_id: place.invocation_id,
                component: place.component.into(),
                ..Default::default()
            };
            Ok(events::OrderedBuildEvent {
                stream_id: stream.into(),
                sequence_number: place.sequence,
                event: decode::<events::BuildEvent>(&bytes)?.into(),
                ..Default::default()
            })
        };
        Ok(api::ListInvocationEventsResponse {
            events: page.into_iter().map(ordered).collect::<Result<_>>()?,
            next_page_token: next.unwrap_or_default(),
            ..Default::default()
        })
    }
}

fn reader(ctx: &RequestContext) -> Result<Caller, ConnectError> {
    auth::require_either(ctx, Role::Read, Role::Execute)
}

impl api::InvocationService for InvocationDoor {
    async fn list_invocations(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::ListInvocationsRequest>,
    ) -> ServiceResult<api::ListInvocationsResponse> {
        let caller = reader(&ctx)?;
        Response::ok(self.list(&caller, &request.to_owned_message()).await.map_err(status)?)
    }

    async fn get_invocation(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::GetInvocationRequest>,
    ) -> ServiceResult<api::GetInvocationResponse> {
        let caller = reader(&ctx)?;
        let invocation = self.app.invocations.get(caller.project(), request.id).await.map_err(status)?;
        Response::ok(api::GetInvocationResponse { invocation: invocation.into(), ..Default::default() })
    }

    async fn watch_invocation(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::WatchInvocationRequest>,
    ) -> ServiceResult<ServiceStream<api::WatchInvocationResponse>> {
        let caller = reader(&ctx)?;
        let id = request.id.to_owned();
        // So that what is not there is said at once, and nothing is kept for it.
        self.app.invocations.row(caller.project(), &id).await.map_err(status)?;
        let changes = self.app.invocations.changes(&id);
        until_stopping(&self.app, watch(Arc::clone(&self.app), caller, id, changes))
    }

    async fn list_invocation_targets(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::ListInvocationTargetsRequest>,
    ) -> ServiceResult<api::ListInvocationTargetsResponse> {
        let caller = reader(&ctx)?;
        Response::ok(self.targets(&caller, &request.to_owned_message()).await.map_err(status)?)
    }

    async fn list_invocation_events(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::ListInvocationEventsRequest>,
    ) -> ServiceResult<api::ListInvocationEventsResponse> {
        let caller = auth::require(&ctx, Role::Admin)?;
        Response::ok(self.events(&caller, &request.to_owned_message()).await.map_err(status)?)
    }
}

/// The invocation now and after each change, until nothing more is awaited.
fn watch(
    app: Arc<App>,
    caller: Caller,
    id: String,
    changes: Changes,
) -> impl Stream<Item = Result<api::WatchInvocationResponse, ConnectError>> + Send + 'static {
    let pace = Pace::new(WATCH_HEARTBEAT_MS);
    stream::unfold(Some((app, caller, id, (changes, pace), true)), |state| async move {
        let (app, caller, id, (mut changes, mut pace), first) = state?;
        if !first {
            // What a heartbeat sends is as good as a change.
            pace.next(changes.next()).await;
        }
        match app.invocations.get(caller.project(), &id).await {
            Ok(invocation) => {
                pace.looked();
                let next = (!invocation.complete).then_some((app, caller, id, (changes, pace), false));
                Some((Ok(api::WatchInvocationResponse { invocation: invocation.into(), ..Default::default() }), next))
            }
            Err(error) => Some((Err(status(error)), None)),
        }
    })
}

/// How large pages are.
struct Page {
    default: u32,
    most: u32,
}

impl Page {
    fn size(&self, asked: i32) -> Result<u32> {
        match u32::try_from(asked) {
            Ok(0) => Ok(self.default),
            Ok(size) if size <= self.most => Ok(size),
            _ => Err(Error::invalid("page_size", format!("{asked} is not between 1 and {}", self.most))),
        }
    }
}

fn text<'t>(field: &'static str, text: &'t str) -> Result<&'t str> {
    if text.len() > TEXT_MAX_BYTES {
        return Err(Error::invalid(field, format!("has {} bytes; {TEXT_MAX_BYTES} are allowed", text.len())));
    }
    Ok(text)
}

fn page_token(place: &impl Serialize) -> String {
    use base64::Engine;
    // Numbers and text are always JSON.
    let json = serde_json::to_vec(place).unwrap_or_default();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json)
}

fn token<T: DeserializeOwned>(token: &str) -> Result<Option<T>> {
    use base64::Engine;
    if token.is_empty() {
        return Ok(None);
    }
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).ok();
    let place = json.and_then(|json| serde_json::from_slice(&json).ok());
    place.map(Some).ok_or_else(|| Error::invalid("page_token", "is not from an earlier answer"))
}

fn decode<M: Message>(bytes: &[u8]) -> Result<M> {
    M::decode_from_slice(bytes).map_err(Error::internal)
}
