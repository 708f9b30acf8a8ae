//! `millrace.v1.RunnerService`: administration of runners.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use millrace_engine::error::Error;
use millrace_engine::runners::Runner;
use millrace_proto::millrace::v1 as api;

use super::convert::{self, InHands};
use super::status::status;
use crate::app::App;
use crate::auth::{self, Caller, Role};

/// How long a registration token is good when the request does not say, in seconds.
const TTL_DEFAULT_SECONDS: u64 = 3_600;
/// The longest a registration token is good, in seconds.
pub const TTL_MAX_SECONDS: u64 = 365 * 24 * 3_600;

/// The service.
pub struct RunnerDoor {
    app: Arc<App>,
}

impl RunnerDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn shown(&self, caller: &Caller, runner: &Runner) -> Result<api::Runner, Error> {
        let in_hands = self.in_hands().await?;
        Ok(convert::runner(caller, runner, self.app.runners.is_online(runner), &in_hands))
    }

    /// What runners have to do.
    async fn in_hands(&self) -> Result<InHands, Error> {
        let jobs = self.app.scheduler.held().await?;
        let executing = self.app.execution.held().into_iter().map(|execution| execution.runner_uuid).collect();
        Ok(InHands { jobs, executing })
    }
}

impl api::RunnerService for RunnerDoor {
    async fn list_runners(
        &self,
        ctx: RequestContext,
        _request: ServiceRequest<'_, api::ListRunnersRequest>,
    ) -> ServiceResult<api::ListRunnersResponse> {
        let caller = auth::require(&ctx, Role::Read)?;
        let runners = self.app.runners.list().await.map_err(status)?;
        let in_hands = self.in_hands().await.map_err(status)?;
        let online = |runner| self.app.runners.is_online(runner);
        let shown = runners.iter().map(|runner| convert::runner(&caller, runner, online(runner), &in_hands));
        Response::ok(api::ListRunnersResponse { runners: shown.collect(), ..Default::default() })
    }

    async fn create_registration_token(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::CreateRegistrationTokenRequest>,
    ) -> ServiceResult<api::CreateRegistrationTokenResponse> {
        auth::require_everywhere(&ctx, Role::Admin)?;
        if request.ttl_seconds > TTL_MAX_SECONDS {
            return Err(ConnectError::invalid_argument(format!(
                "ttl_seconds: {} is more than {TTL_MAX_SECONDS}",
                request.ttl_seconds
            )));
        }
        let seconds = if request.ttl_seconds == 0 { TTL_DEFAULT_SECONDS } else { request.ttl_seconds };
        let made = self.app.runners.create_registration_token(request.reusable, seconds as i64 * 1_000).await;
        let (token, expires_ms) = made.map_err(status)?;
        Response::ok(api::CreateRegistrationTokenResponse {
            token,
            expires_at: convert::time(expires_ms),
            ..Default::default()
        })
    }

    async fn remove_runner(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::RemoveRunnerRequest>,
    ) -> ServiceResult<api::RemoveRunnerResponse> {
        auth::require_everywhere(&ctx, Role::Admin)?;
        self.app.runners.remove(request.uuid).await.map_err(status)?;
        self.app.scheduler.runner_removed(request.uuid).await.map_err(status)?;
        self.app.execution.runner_removed(request.uuid).await.map_err(status)?;
        self.app.runners_changed().await.map_err(status)?;
        Response::ok(api::RemoveRunnerResponse::default())
    }

    async fn drain_runner(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::DrainRunnerRequest>,
    ) -> ServiceResult<api::DrainRunnerResponse> {
        let caller = auth::require_everywhere(&ctx, Role::Admin)?;
        let runner = self.app.runners.set_draining(request.uuid, !request.resume).await.map_err(status)?;
        self.app.runners_changed().await.map_err(status)?;
        let runner = self.shown(&caller, &runner).await.map_err(status)?;
        Response::ok(api::DrainRunnerResponse { runner: runner.into(), ..Default::default() })
    }
}
