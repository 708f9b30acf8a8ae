//! `millrace.v1.CacheService`: how full the remote cache is, how well it does, and what passed through it lately.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use millrace_engine::actions::activity::{ActionEvent, ActivityCounts, ActivityStep, SeenAction};
use millrace_engine::blobs::BlobUsage;
use millrace_engine::error::{Error, Result};
use millrace_proto::millrace::v1 as api;
use millrace_proto::millrace::v1::cache_action::Event;

use super::convert::time;
use super::status::status;
use crate::app::App;
use crate::auth::{self, Caller, Role};

/// How many actions an answer has when the request does not say.
const ACTIONS_DEFAULT: usize = 50;
/// The most actions of an answer.
const ACTIONS_MAX: usize = 500;

/// The service.
pub struct CacheDoor {
    app: Arc<App>,
}

impl CacheDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Which instances are meant: one by its name, or all (None). Who is bound to a project means that one by "all".
    fn instance(&self, caller: &Caller, name: &str, all: bool) -> Result<Option<String>> {
        if !all {
            return Ok(Some(self.app.cache.instances.of(caller, name)?.as_str().to_owned()));
        }
        if !name.is_empty() {
            return Err(Error::invalid("instance", "must be empty when all_instances is set"));
        }
        Ok(caller.project().map(ToOwned::to_owned))
    }
}

impl api::CacheService for CacheDoor {
    async fn get_cache(
        &self,
        ctx: RequestContext,
        _request: ServiceRequest<'_, api::GetCacheRequest>,
    ) -> ServiceResult<api::GetCacheResponse> {
        auth::require_everywhere(&ctx, Role::CacheRead)?;
        let instances = self.app.cache.activity.instances().await.map_err(status)?;
        Response::ok(cache(&self.app.cache.blobs.usage(), instances))
    }

    async fn list_cache_activity(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::ListCacheActivityRequest>,
    ) -> ServiceResult<api::ListCacheActivityResponse> {
        let caller = auth::require(&ctx, Role::CacheRead)?;
        let instance = self.instance(&caller, request.instance, request.all_instances).map_err(status)?;
        let (window_seconds, steps) = (request.window_seconds, request.steps);
        let steps = self.app.cache.activity.steps(instance.as_deref(), window_seconds, steps).await.map_err(status)?;
        let mut total = ActivityCounts::default();
        for step in &steps {
            total.add(&step.counts);
        }
        let total = ActivityStep { start_ms: steps.first().map_or(0, |step| step.start_ms), counts: total };
        Response::ok(api::ListCacheActivityResponse {
            steps: steps.iter().map(activity).collect(),
            total: activity(&total).into(),
            ..Default::default()
        })
    }

    async fn list_cache_actions(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::ListCacheActionsRequest>,
    ) -> ServiceResult<api::ListCacheActionsResponse> {
        let caller = auth::require(&ctx, Role::CacheRead)?;
        let limit = page_size(request.page_size).map_err(status)?;
        let instance = self.instance(&caller, request.instance, request.all_instances).map_err(status)?;
        let shown = |name: &str| instance.as_deref().is_none_or(|wanted| wanted == name);
        let latest = self.app.cache.activity.latest(|instance| shown(instance.as_str()), limit);
        Response::ok(api::ListCacheActionsResponse {
            actions: latest.into_iter().map(action).collect(),
            ..Default::default()
        })
    }
}

fn page_size(asked: i32) -> Result<usize> {
    match usize::try_from(asked) {
        Ok(0) => Ok(ACTIONS_DEFAULT),
        Ok(size @ 1..=ACTIONS_MAX) => Ok(size),
        _ => Err(Error::invalid("page_size", format!("{asked} is not between 1 and {ACTIONS_MAX}"))),
    }
}

fn cache(usage: &BlobUsage, instances: Vec<String>) -> api::GetCacheResponse {
    api::GetCacheResponse {
        blobs: usage.blobs as i64,
        entries: usage.entries as i64,
        stored_bytes: usage.stored_bytes as i64,
        limit_bytes: usage.limit_bytes as i64,
        evicted: usage.evicted as i64,
        evicted_bytes: usage.evicted_bytes as i64,
        corrupt: usage.corrupt as i64,
        instances,
        ..Default::default()
    }
}

fn activity(step: &ActivityStep) -> api::CacheActivity {
    let counts = &step.counts;
    api::CacheActivity {
        start_time: time(step.start_ms),
        action_hits: counts.action_hits as i64,
        action_misses: counts.action_misses as i64,
        action_updates: counts.action_updates as i64,
        blobs_present: counts.blobs_present as i64,
        blobs_missing: counts.blobs_missing as i64,
        bytes_read: counts.bytes_read as i64,
        bytes_written: counts.bytes_written as i64,
        saved_ms: counts.saved_ms as i64,
        key_hits: counts.key_hits as i64,
        key_misses: counts.key_misses as i64,
        ..Default::default()
    }
}

fn action(seen: SeenAction) -> api::CacheAction {
    let event = match seen.event {
        ActionEvent::Hit => Event::EVENT_HIT,
        ActionEvent::Miss => Event::EVENT_MISS,
        ActionEvent::Stored => Event::EVENT_STORED,
    };
    api::CacheAction {
        instance: seen.instance.as_str().to_owned(),
        digest_function: seen.digest.function().path_segment().to_owned(),
        hash: seen.digest.hex(),
        size_bytes: seen.digest.size_wire(),
        time: time(seen.time_ms),
        event: event.into(),
        exit_code: seen.exit_code,
        outputs: seen.outputs as i32,
        executed_ms: seen.executed_ms as i64,
        mnemonic: seen.mnemonic,
        target: seen.target,
        ..Default::default()
    }
}
