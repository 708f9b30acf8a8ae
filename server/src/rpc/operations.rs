//! `google.longrunning.Operations`: the operations of remote execution.

#![allow(refining_impl_trait)]

use std::sync::Arc;
use std::time::Duration;

use buffa_types::google::protobuf::Empty;
use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use millrace_engine::error::Error;
use millrace_engine::execution::OperationState;
use millrace_proto::longrunning as wire;

use super::operation::message;
use super::operation_filter;
use super::operation_name::{OperationName, collection, enter};
use super::status::status;
use crate::app::App;

/// How long WaitOperation waits at most, in milliseconds; also when it names no timeout.
const WAIT_MAX_MS: u64 = 600_000;
/// How many operations a page has when the request does not say.
const PAGE_DEFAULT: usize = 50;
/// The most operations of a page; who asks for more gets these.
const PAGE_MAX: usize = 500;

/// The service.
pub struct OperationsDoor {
    app: Arc<App>,
}

impl OperationsDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// The operation when it is done or when the time is up.
    async fn wait(&self, name: &OperationName, timeout: Duration) -> Result<OperationState, Error> {
        let mut watch = self.app.execution.wait(&name.instance, &name.id).await?;
        let done = async { while watch.state().response.is_none() && watch.changed().await.is_some() {} };
        tokio::select! {
            // Time is up or not: what it is now is the answer.
            _ = tokio::time::timeout(timeout, done) => Ok(watch.state()),
            () = self.app.stopping() => Err(Error::Unavailable("the server is stopping".into())),
        }
    }
}

impl wire::Operations for OperationsDoor {
    async fn list_operations(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::ListOperationsRequest>,
    ) -> ServiceResult<wire::ListOperationsResponse> {
        let instance = collection(&self.app, &ctx, request.name)?;
        let mut query = operation_filter::parse(request.filter).map_err(status)?;
        query.page_size = match usize::try_from(request.page_size) {
            Ok(0) => PAGE_DEFAULT,
            Ok(size) => size.min(PAGE_MAX),
            Err(_) => {
                let message = format!("page_size: {} is negative", request.page_size);
                return Err(ConnectError::invalid_argument(message));
            }
        };
        query.instance = Some(instance);
        query.page_token = request.page_token.to_owned();
        let page = self.app.execution.list(query).await.map_err(status)?;
        let answer = wire::ListOperationsResponse {
            operations: page.items.iter().map(message).collect(),
            next_page_token: page.next_page_token,
            ..Default::default()
        };
        // A listing is text that repeats itself: here compression pays.
        Ok(Response::new(answer).compress(true))
    }

    async fn get_operation(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::GetOperationRequest>,
    ) -> ServiceResult<wire::Operation> {
        let name = enter(&self.app, &ctx, request.name)?;
        let state = self.app.execution.get(&name.instance, &name.id).await.map_err(status)?;
        Response::ok(message(&state))
    }

    async fn delete_operation(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::DeleteOperationRequest>,
    ) -> ServiceResult<Empty> {
        let name = enter(&self.app, &ctx, request.name)?;
        self.app.execution.delete(&name.instance, &name.id).await.map_err(status)?;
        Response::ok(Empty::default())
    }

    async fn cancel_operation(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::CancelOperationRequest>,
    ) -> ServiceResult<Empty> {
        let name = enter(&self.app, &ctx, request.name)?;
        self.app.execution.cancel(&name.instance, &name.id).await.map_err(status)?;
        Response::ok(Empty::default())
    }

    async fn wait_operation(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::WaitOperationRequest>,
    ) -> ServiceResult<wire::Operation> {
        let name = enter(&self.app, &ctx, request.name)?;
        let most = Duration::from_millis(WAIT_MAX_MS);
        let timeout = match request.timeout.as_option() {
            None => most,
            Some(timeout) if timeout.seconds < 0 || timeout.nanos < 0 => {
                return Err(ConnectError::invalid_argument("timeout: is negative"));
            }
            Some(timeout) => Duration::new(timeout.seconds.unsigned_abs(), timeout.nanos.unsigned_abs()).min(most),
        };
        let state = self.wait(&name, timeout).await.map_err(status)?;
        Response::ok(message(&state))
    }
}
