//! `millrace.v1.PipelineService`.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use millrace_engine::error::Error;
use millrace_engine::pipelines::Workflow;
use millrace_engine::scheduler::store::RunQuery;
use millrace_engine::scheduler::{NewRun, Run, Stop};
use millrace_proto::millrace::v1 as api;
use millrace_proto::task_content::Source;

use super::convert;
use super::status::status;
use super::watch::{watch_run, watch_runs};
use super::{until_stopping, waiting};
use crate::app::App;
use crate::auth::{self, Caller, Role};

/// How many runs a page has when the request does not say.
const PAGE_DEFAULT: u32 = 50;
/// The most runs of a page.
const PAGE_MAX: u32 = 500;

/// The service.
pub struct PipelineDoor {
    app: Arc<App>,
}

impl PipelineDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// A run that this caller may see.
    async fn visible(&self, caller: &Caller, name: &str) -> Result<Run, ConnectError> {
        self.app.visible_run(caller, name).await.map_err(status)
    }
}

impl api::PipelineService for PipelineDoor {
    async fn validate(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::ValidateRequest>,
    ) -> ServiceResult<api::ValidateResponse> {
        auth::require(&ctx, Role::Read)?;
        Response::ok(validate(request.workflow, request.file_name))
    }

    async fn run(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::RunRequest>,
    ) -> ServiceResult<api::RunResponse> {
        let caller = auth::require(&ctx, Role::Run)?;
        let run = start(&self.app, &caller, request.to_owned_message()).await.map_err(status)?;
        Response::ok(api::RunResponse { run: convert::run(&run).into(), ..Default::default() })
    }

    async fn get_run(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::GetRunRequest>,
    ) -> ServiceResult<api::GetRunResponse> {
        let caller = auth::require(&ctx, Role::Read)?;
        let mut run = self.visible(&caller, request.run_id).await?;
        waiting::explain(&self.app, &mut run).await.map_err(status)?;
        Response::ok(api::GetRunResponse { run: convert::run(&run).into(), ..Default::default() })
    }

    async fn list_runs(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::ListRunsRequest>,
    ) -> ServiceResult<api::ListRunsResponse> {
        let caller = auth::require(&ctx, Role::Read)?;
        let response = list(&self.app, &caller, request.to_owned_message()).await.map_err(status)?;
        // A listing is text that repeats itself: here compression pays.
        Ok(Response::new(response).compress(true))
    }

    async fn watch_run(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::WatchRunRequest>,
    ) -> ServiceResult<ServiceStream<api::WatchRunResponse>> {
        let caller = auth::require(&ctx, Role::Read)?;
        // Subscribed before the first look, so that nothing is missed in between.
        let changes = self.app.scheduler.changes();
        let run = self.visible(&caller, request.run_id).await?;
        until_stopping(&self.app, watch_run(Arc::clone(&self.app), run, changes))
    }

    async fn watch_runs(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::WatchRunsRequest>,
    ) -> ServiceResult<ServiceStream<api::WatchRunsResponse>> {
        let caller = auth::require(&ctx, Role::Read)?;
        let changes = self.app.scheduler.changes();
        let runs = watch_runs(Arc::clone(&self.app), caller, request.project.to_owned(), changes);
        until_stopping(&self.app, runs)
    }

    async fn cancel_run(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::CancelRunRequest>,
    ) -> ServiceResult<api::CancelRunResponse> {
        let caller = auth::require(&ctx, Role::Run)?;
        let run = self.visible(&caller, request.run_id).await?;
        let run = self.app.scheduler.stop(&run.id, Stop::Cancel).await.map_err(status)?;
        Response::ok(api::CancelRunResponse { run: convert::run(&run).into(), ..Default::default() })
    }

    async fn terminate_run(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::TerminateRunRequest>,
    ) -> ServiceResult<api::TerminateRunResponse> {
        let caller = auth::require(&ctx, Role::Run)?;
        let run = self.visible(&caller, request.run_id).await?;
        let run = self.app.scheduler.stop(&run.id, Stop::Terminate).await.map_err(status)?;
        Response::ok(api::TerminateRunResponse { run: convert::run(&run).into(), ..Default::default() })
    }

    async fn skip_job(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::SkipJobRequest>,
    ) -> ServiceResult<api::SkipJobResponse> {
        let caller = auth::require(&ctx, Role::Run)?;
        let run = self.visible(&caller, request.run_id).await?;
        let run = self.app.scheduler.skip(&run.id, request.job_key).await.map_err(status)?;
        Response::ok(api::SkipJobResponse { run: convert::run(&run).into(), ..Default::default() })
    }

    async fn run_stage(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::RunStageRequest>,
    ) -> ServiceResult<api::RunStageResponse> {
        let caller = auth::require(&ctx, Role::Run)?;
        let run = self.visible(&caller, request.run_id).await?;
        let run = self.app.scheduler.approve(&run.id, request.job_key).await.map_err(status)?;
        Response::ok(api::RunStageResponse { run: convert::run(&run).into(), ..Default::default() })
    }

    async fn rerun(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::RerunRequest>,
    ) -> ServiceResult<api::RerunResponse> {
        let caller = auth::require(&ctx, Role::Run)?;
        let run = self.visible(&caller, request.run_id).await?;
        let run = self.app.scheduler.rerun(&run.id, request.failed_only, &caller.name()).await.map_err(status)?;
        Response::ok(api::RerunResponse { run: convert::run(&run).into(), ..Default::default() })
    }
}

/// Checks a workflow file.
pub fn validate(workflow: &str, file_name: &str) -> api::ValidateResponse {
    let file_name = if file_name.is_empty() { "workflow.yml" } else { file_name };
    let (valid, found, jobs) = match Workflow::parse(file_name, workflow.as_bytes()) {
        Ok((workflow, warnings)) => (true, warnings, millrace_engine::scheduler::preview(&workflow)),
        Err(diagnostics) => (false, diagnostics, Vec::new()),
    };
    let run = Run { jobs, ..Default::default() };
    api::ValidateResponse {
        valid,
        diagnostics: found.iter().map(convert::diagnostic).collect(),
        jobs: run.jobs.iter().map(|job| convert::job(&run, job)).collect(),
        ..Default::default()
    }
}

/// Starts a run for a caller.
pub async fn start(app: &App, caller: &Caller, request: api::RunRequest) -> Result<Run, Error> {
    let project = if request.project.is_empty() { caller.project().unwrap_or("").to_owned() } else { request.project };
    if !caller.sees(if project.is_empty() { "default" } else { &project }) {
        return Err(Error::Denied(format!(
            "project: the caller's token is for {} only",
            caller.project().unwrap_or("")
        )));
    }
    let new = NewRun {
        project,
        workflow: request.workflow,
        file_name: request.file_name,
        source: request.source.into_option().map(source).transpose()?.flatten(),
        inputs: request.inputs.into_iter().collect(),
        vars: request.vars.into_iter().collect(),
        request_id: request.request_id,
        priority: request.priority,
        actor: caller.name(),
    };
    app.scheduler.run(new).await
}

fn source(source: api::Source) -> Result<Option<Source>, Error> {
    match (source.directory.is_empty(), source.git_url.is_empty()) {
        (true, true) => Ok(None),
        (false, true) => Ok(Some(Source::Directory(source.directory))),
        (true, false) => Ok(Some(Source::Git { url: source.git_url, r#ref: source.git_ref })),
        (false, false) => Err(Error::invalid("source", "directory and git_url are both set: give one")),
    }
}

async fn list(app: &App, caller: &Caller, request: api::ListRunsRequest) -> Result<api::ListRunsResponse, Error> {
    if request.page_size > PAGE_MAX {
        return Err(Error::invalid("page_size", format!("{} is more than {PAGE_MAX}", request.page_size)));
    }
    let limit = if request.page_size == 0 { PAGE_DEFAULT } else { request.page_size };
    let project =
        if request.project.is_empty() { caller.project().map(ToOwned::to_owned) } else { Some(request.project) };
    if project.as_deref().is_some_and(|project| !caller.sees(project)) {
        return Ok(api::ListRunsResponse::default());
    }
    let query = RunQuery {
        project,
        states: request.states.iter().filter_map(|state| convert::state_from(state.as_known()?)).collect(),
        before: page_token(&request.page_token)?,
        limit: limit + 1,
    };
    let mut runs = app.scheduler.list(query).await?;
    let more = runs.len() > limit as usize;
    runs.truncate(limit as usize);
    let next = runs.last().filter(|_| more).map(|run| format!("{}.{}", run.created_ms, run.id));
    Ok(api::ListRunsResponse {
        runs: runs.iter().map(convert::run).collect(),
        next_page_token: next.unwrap_or_default(),
        ..Default::default()
    })
}

fn page_token(token: &str) -> Result<Option<(i64, String)>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let parsed = token.split_once('.').and_then(|(ms, id)| Some((ms.parse().ok()?, id.to_owned())));
    parsed.map(Some).ok_or_else(|| Error::invalid("page_token", "is not one of a former answer"))
}
