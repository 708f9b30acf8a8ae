//! `millrace.v1.QueueService`: the queue of remote execution, for the page and for administrators.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use millrace_engine::error::Error;
use millrace_engine::execution::{ExecutionQuery, ExecutionState};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::millrace::v1 as api;

use super::queue_shown::{execution as shown, stage_from};
use super::status::status;
use super::{queue_view, queue_watch, until_stopping};
use crate::app::App;
use crate::auth::{self, Caller, Role};

/// How many executions a page has when the request does not say.
const PAGE_DEFAULT: usize = 50;
/// The most executions of a page.
const PAGE_MAX: usize = 500;

/// The service.
pub struct QueueDoor {
    app: Arc<App>,
}

impl QueueDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// An execution that this caller may change.
    async fn change(&self, ctx: &RequestContext, id: &str) -> Result<ExecutionState, ConnectError> {
        let caller = auth::require(ctx, Role::Admin)?;
        queue_view::execution(&self.app, &caller, id).await.map_err(status)
    }

    async fn list(
        &self,
        caller: &Caller,
        request: api::ListExecutionsRequest,
    ) -> Result<api::ListExecutionsResponse, Error> {
        let page_size = match usize::try_from(request.page_size) {
            Ok(0) => PAGE_DEFAULT,
            Ok(size) if size <= PAGE_MAX => size,
            _ => return Err(Error::invalid("page_size", format!("{} is not 0 to {PAGE_MAX}", request.page_size))),
        };
        let asked = request.instance.as_deref().or(caller.project());
        if asked.is_some_and(|instance| !caller.sees(instance)) {
            return Ok(api::ListExecutionsResponse::default());
        }
        let instance = asked.map(InstanceName::parse).transpose();
        let query = ExecutionQuery {
            instance: instance.map_err(|error| Error::invalid("instance", error.to_string()))?,
            action_hash: request.action_hash,
            invocation_id: request.invocation_id,
            stages: request.stages.iter().filter_map(|stage| stage_from(stage.as_known()?)).collect(),
            page_size,
            page_token: request.page_token,
        };
        let page = self.app.execution.executions(query).await?;
        Ok(api::ListExecutionsResponse {
            executions: page.items.iter().map(shown).collect(),
            next_page_token: page.next_page_token,
            ..Default::default()
        })
    }
}

/// Who may look: readers, and who executes.
fn reader(ctx: &RequestContext) -> Result<Caller, ConnectError> {
    auth::require_either(ctx, Role::Read, Role::Execute)
}

impl api::QueueService for QueueDoor {
    async fn get_queue(
        &self,
        ctx: RequestContext,
        _request: ServiceRequest<'_, api::GetQueueRequest>,
    ) -> ServiceResult<api::GetQueueResponse> {
        let caller = reader(&ctx)?;
        let queue = queue_view::queue(&self.app, &caller).await.map_err(status)?;
        Ok(Response::new(api::GetQueueResponse { queue: queue.into(), ..Default::default() }).compress(true))
    }

    async fn watch_queue(
        &self,
        ctx: RequestContext,
        _request: ServiceRequest<'_, api::WatchQueueRequest>,
    ) -> ServiceResult<ServiceStream<api::WatchQueueResponse>> {
        let caller = reader(&ctx)?;
        until_stopping(&self.app, queue_watch::queue(Arc::clone(&self.app), caller))
    }

    async fn list_executions(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::ListExecutionsRequest>,
    ) -> ServiceResult<api::ListExecutionsResponse> {
        let caller = reader(&ctx)?;
        let page = self.list(&caller, request.to_owned_message()).await.map_err(status)?;
        Ok(Response::new(page).compress(true))
    }

    async fn get_execution(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::GetExecutionRequest>,
    ) -> ServiceResult<api::GetExecutionResponse> {
        let caller = reader(&ctx)?;
        let state = queue_view::execution(&self.app, &caller, request.id).await.map_err(status)?;
        Response::ok(api::GetExecutionResponse { execution: shown(&state).into(), ..Default::default() })
    }

    async fn watch_execution(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::WatchExecutionRequest>,
    ) -> ServiceResult<ServiceStream<api::WatchExecutionResponse>> {
        let caller = reader(&ctx)?;
        let state = queue_view::execution(&self.app, &caller, request.id).await.map_err(status)?;
        until_stopping(&self.app, queue_watch::execution(Arc::clone(&self.app), state.id))
    }

    async fn cancel_execution(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::CancelExecutionRequest>,
    ) -> ServiceResult<api::CancelExecutionResponse> {
        let state = self.change(&ctx, request.id).await?;
        let state = self.app.execution.cancel_execution(&state.id).await.map_err(status)?;
        Response::ok(api::CancelExecutionResponse { execution: shown(&state).into(), ..Default::default() })
    }

    async fn move_execution(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::MoveExecutionRequest>,
    ) -> ServiceResult<api::MoveExecutionResponse> {
        let state = self.change(&ctx, request.id).await?;
        let state = self.app.execution.move_to(&state.id, request.platform).await.map_err(status)?;
        Response::ok(api::MoveExecutionResponse { execution: shown(&state).into(), ..Default::default() })
    }

    async fn reprioritize_execution(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::ReprioritizeExecutionRequest>,
    ) -> ServiceResult<api::ReprioritizeExecutionResponse> {
        let state = self.change(&ctx, request.id).await?;
        let state = self.app.execution.reprioritize(&state.id, request.priority).await.map_err(status)?;
        Response::ok(api::ReprioritizeExecutionResponse { execution: shown(&state).into(), ..Default::default() })
    }
}
