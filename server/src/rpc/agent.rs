//! `pkg.proto.runner.v1.RunnerService`: the runner protocol's server side.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use millrace_engine::error::Error;
use millrace_engine::runners::{Declaration, Registration, Runner};
use millrace_engine::scheduler::{State, Stop};
use millrace_proto::platform_properties::Properties;
use millrace_proto::runner_v1 as wire;

use super::agent_actions;
use super::agent_fetch::fetch;
use super::agent_jobs::report;
use super::agent_logs::append;
use super::status::status;
use crate::app::App;
use crate::auth::{Caller, Role};
use crate::metrics::ActionTimes;

/// The service.
pub struct AgentService {
    app: Arc<App>,
}

impl AgentService {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// The runner that calls: by the token in the message, or by the one in the headers.
    async fn runner(&self, ctx: &RequestContext, token: &str) -> Result<Runner, ConnectError> {
        match self.caller(ctx, token).await? {
            Caller::Runner(runner) => Ok(*runner),
            Caller::Anonymous | Caller::Open => Err(ConnectError::unauthenticated(
                "token: a runner token is needed (register first); send it in the message or as \"Authorization: Bearer\"",
            )),
            caller => {
                caller.may(Role::Runner)?;
                Err(ConnectError::permission_denied("token: this call is for runners; the token given is an API token"))
            }
        }
    }

    async fn caller(&self, ctx: &RequestContext, token: &str) -> Result<Caller, ConnectError> {
        let caller = if token.is_empty() { Caller::of(ctx) } else { self.app.gate.by_token(token).await };
        match caller {
            Caller::Refused(why) => Err(ConnectError::unauthenticated(why)),
            caller => Ok(caller),
        }
    }

    /// The uuid of the runner that reports, or None for an administrator on an open server, who may speak for any.
    async fn reporter(&self, ctx: &RequestContext, token: &str) -> Result<Option<Runner>, ConnectError> {
        match self.caller(ctx, token).await? {
            Caller::Runner(runner) => Ok(Some(*runner)),
            Caller::Open => Ok(None),
            caller => {
                caller.may(Role::Runner)?;
                Err(ConnectError::permission_denied("token: this call is for runners; the token given is an API token"))
            }
        }
    }

    /// Who holds the task of an update that names nobody: the protocol's own UpdateTask has no token, and on an open
    /// server agents may leave the header out as well. What they ask for (`do_next`) is asked for the holder.
    async fn holder(&self, request: &wire::UpdateTaskRequest) -> Result<Option<Runner>, Error> {
        let uuid = if request.action.is_set() {
            self.app.execution.execution(&request.tx_uuid).await?.runner_uuid
        } else {
            let job = self.app.scheduler.job_at(&request.tx_uuid, request.stage_idx, request.step_row_idx).await?;
            let Some(lease) = job.and_then(|job| job.lease) else { return Ok(None) };
            lease.runner_uuid
        };
        Ok(self.app.runners.list().await?.into_iter().find(|runner| runner.uuid == uuid))
    }

    /// A word about an action.
    async fn update_action(
        &self,
        request: &wire::UpdateTaskRequest,
        runner: Option<&Runner>,
    ) -> Result<(wire::UpdateTaskResponse, bool), Error> {
        let reported = agent_actions::reported(request, runner.map(|runner| runner.uuid.clone()))?;
        let times = reported.response.as_ref().map(ActionTimes::of);
        let answer = self.app.execution.report(reported).await?;
        if let Some(times) = times.filter(|_| answer.ended) {
            self.app.metrics.execution.ran(&times);
        }
        Ok((agent_actions::told(answer), answer.ended))
    }

    /// A word about a job.
    async fn update_job(
        &self,
        request: wire::UpdateTaskRequest,
        runner: Option<&Runner>,
    ) -> Result<(wire::UpdateTaskResponse, bool), Error> {
        let run = request.tx_uuid.clone();
        let updated = self.app.scheduler.update(&run, report(request, runner)?).await?;
        let pipeline_state = if updated.stop.is_some() { State::Cancelled } else { updated.run };
        let told = wire::UpdateTaskResponse {
            pipeline_state: pipeline_state.word().to_owned(),
            step_state: updated.job.word().to_owned(),
            success: true,
            terminate: updated.stop == Some(Stop::Terminate),
            ..Default::default()
        };
        Ok((told, updated.ended))
    }

    async fn update(
        &self,
        mut request: wire::UpdateTaskRequest,
        mut runner: Option<Runner>,
    ) -> Result<wire::UpdateTaskResponse, Error> {
        if runner.is_none() {
            runner = self.holder(&request).await?;
        }
        let next = request.do_next.then(|| wire::FetchTaskRequest {
            wait_ms: 1,
            // An update that is sent again because its answer was lost gets the same next task.
            request_id: format!(
                "after {}.{}.{}.{}",
                request.tx_uuid, request.stage_idx, request.step_row_idx, request.epoch
            ),
            wants: std::mem::take(&mut request.wants),
            ..Default::default()
        });
        if let Some(runner) = &runner {
            self.app.runners.seen(&runner.uuid).await?;
        }
        let (mut told, ended) = if request.action.is_set() {
            self.update_action(&request, runner.as_ref()).await?
        } else {
            self.update_job(request, runner.as_ref()).await?
        };
        let Some(runner) = runner else { return Ok(told) };
        if runner.ephemeral {
            if ended {
                self.app.runners.remove(&runner.uuid).await?;
                self.app.runners_changed().await?;
            }
        } else if let Some(next) = next {
            told.next = fetch(&self.app, &runner, &next).await?.into();
        }
        Ok(told)
    }
}

impl wire::RunnerService for AgentService {
    async fn ping(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::PingRequest>,
    ) -> ServiceResult<wire::PingResponse> {
        Response::ok(wire::PingResponse { data: request.data.to_owned(), ..Default::default() })
    }

    async fn register(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::RegisterRequest>,
    ) -> ServiceResult<wire::RegisterResponse> {
        let request = request.to_owned_message();
        let mut token = request.token;
        if token.is_empty() {
            match Caller::of(&ctx) {
                // On a server that is open on loopback no token is needed.
                Caller::Open => {
                    (token, _) = self.app.runners.create_registration_token(false, 60_000).await.map_err(status)?;
                }
                _ => {
                    return Err(ConnectError::unauthenticated(
                        "token: is empty; make one with `millrace token create --role runner`",
                    ));
                }
            }
        }
        let registration = Registration {
            token,
            name: request.name,
            version: request.version,
            labels: request.labels,
            ephemeral: request.ephemeral,
            slots: request.slots,
        };
        let (runner, token) = self.app.runners.register(registration).await.map_err(status)?;
        let runner = wire::RunnerResponse { token, ..shown(&runner) };
        Response::ok(wire::RegisterResponse { runner: runner.into(), ..Default::default() })
    }

    async fn declare(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::DeclareRequest>,
    ) -> ServiceResult<wire::DeclareResponse> {
        let runner = self.runner(&ctx, request.token).await?;
        if !request.uuid.is_empty() && request.uuid != runner.uuid {
            return Err(ConnectError::permission_denied("uuid: is not the one of the runner with this token"));
        }
        let request = request.to_owned_message();
        let declaration = Declaration {
            version: request.version,
            labels: request.labels,
            os: request.os,
            arch: request.arch,
            slots: request.slots,
            properties: offered(request.properties).map_err(status)?,
            runs_actions: request.runs_actions,
        };
        let runner = self.app.runners.declare(&runner, declaration).await.map_err(status)?;
        // Before the answer: what the agent may be given from now on, it may be asked for.
        self.app.runners_changed().await.map_err(status)?;
        Response::ok(wire::DeclareResponse { runner: shown(&runner).into(), ..Default::default() })
    }

    async fn fetch_task(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::FetchTaskRequest>,
    ) -> ServiceResult<wire::FetchTaskResponse> {
        let runner = self.runner(&ctx, request.token).await?;
        Response::ok(fetch(&self.app, &runner, &request.to_owned_message()).await.map_err(status)?)
    }

    async fn update_task(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::UpdateTaskRequest>,
    ) -> ServiceResult<wire::UpdateTaskResponse> {
        let runner = self.reporter(&ctx, request.token).await?;
        Response::ok(self.update(request.to_owned_message(), runner).await.map_err(status)?)
    }

    async fn update_log(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::UpdateLogRequest>,
    ) -> ServiceResult<wire::UpdateLogResponse> {
        let runner = self.reporter(&ctx, request.token).await?;
        let ack_index = append(&self.app, request.to_owned_message(), runner.as_ref()).await.map_err(status)?;
        Response::ok(wire::UpdateLogResponse { ack_index: ack_index as i64, ..Default::default() })
    }
}

/// What an agent offers to actions, checked.
fn offered(properties: Vec<wire::Property>) -> Result<Properties, Error> {
    let pairs = properties.into_iter().map(|one| (one.name, one.value));
    Properties::checked(pairs).map_err(|error| Error::invalid("properties", error.to_string()))
}

fn shown(runner: &Runner) -> wire::RunnerResponse {
    wire::RunnerResponse {
        id: runner.id,
        uuid: runner.uuid.clone(),
        name: runner.name.clone(),
        version: runner.version.clone(),
        labels: runner.labels.clone(),
        ..Default::default()
    }
}
