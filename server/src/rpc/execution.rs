//! `build.bazel.remote.execution.v2.Execution`.

#![allow(refining_impl_trait)]

use std::sync::Arc;
use std::time::Duration;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures::{Stream, stream};
use millrace_engine::actions::Inline;
use millrace_engine::error::Error;
use millrace_engine::execution::{ExecuteAsk, Watch};
use millrace_proto::longrunning::Operation;
use millrace_proto::reapi::{self as wire, __buffa::view::ExecuteRequestView};

use super::cas_names::{Digests, enter};
use super::status::{MISSING_TOLD_MAX, status};
use super::{operation, operation_name, request_metadata, until_stopping};
use crate::app::App;
use crate::auth::Role;

/// The service.
pub struct ExecutionDoor {
    app: Arc<App>,
}

impl ExecutionDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    fn ask(&self, ctx: &RequestContext, request: &ExecuteRequestView<'_>) -> Result<ExecuteAsk, ConnectError> {
        let instance = enter(&self.app, ctx, Role::Execute, request.instance_name)?;
        if !self.app.execution_config.enabled {
            return Err(ConnectError::unimplemented("remote execution is switched off here (--no-execution)"));
        }
        let digests = Digests::of(&self.app, request.digest_function);
        Ok(ExecuteAsk {
            instance,
            action: digests.required("action_digest", request.action_digest.as_option())?,
            skip_cache_lookup: request.skip_cache_lookup,
            priority: request.execution_policy.as_option().map_or(0, |policy| policy.priority),
            inline: Inline {
                stdout: request.inline_stdout,
                stderr: request.inline_stderr,
                output_files: request.inline_output_files.iter().map(|path| (*path).to_owned()).collect(),
            },
            metadata: request_metadata::client(ctx),
        })
    }
}

impl wire::Execution for ExecutionDoor {
    /// `results_cache_policy` is accepted and means nothing, as with UpdateActionResult.
    async fn execute(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::ExecuteRequest>,
    ) -> ServiceResult<ServiceStream<Operation>> {
        let ask = match self.ask(&ctx, &request) {
            Ok(ask) => ask,
            Err(refusal) => return refused(refusal),
        };
        let (instance, action) = (ask.instance.clone(), ask.action);
        match self.app.execution.execute(ask).await {
            Ok(watch) => {
                self.app.metrics.execution.asked(&watch.state());
                until_stopping(&self.app, operations(watch, self.app.execution_config.keep_alive))
            }
            Err(Error::MissingBlobs(digests)) if digests.len() > MISSING_TOLD_MAX => {
                let message = Error::MissingBlobs(digests.clone()).to_string();
                let operation = operation::missing_blobs(&instance, &action, message, &digests);
                Response::stream_ok(stream::iter([Ok(operation)]))
            }
            Err(error) => refused(status(error)),
        }
    }

    async fn wait_execution(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::WaitExecutionRequest>,
    ) -> ServiceResult<ServiceStream<Operation>> {
        let name = match operation_name::enter(&self.app, &ctx, request.name) {
            Ok(name) => name,
            Err(refusal) => return refused(refusal),
        };
        match self.app.execution.wait(&name.instance, &name.id).await {
            Ok(watch) => until_stopping(&self.app, operations(watch, self.app.execution_config.keep_alive)),
            Err(error) => refused(status(error)),
        }
    }
}

/// A refusal as the first and last thing of the stream: then its details are in the trailers, where every client finds them.
/// In an answer without a stream the code stands in the headers, too, and many libraries look no further.
fn refused(refusal: ConnectError) -> ServiceResult<ServiceStream<Operation>> {
    Response::stream_ok(stream::iter([Err(refusal)]))
}

/// The operation now, after each change, and now and then while nothing changes; over when it is done. Dropped before that, the
/// client has left.
fn operations(
    watch: Watch,
    keep_alive: Duration,
) -> impl Stream<Item = Result<Operation, ConnectError>> + Send + 'static {
    let first = watch.state();
    stream::unfold(Some((watch, Some(first))), move |state| async move {
        let (mut watch, first) = state?;
        let now = match first {
            Some(first) => first,
            None => match tokio::time::timeout(keep_alive, watch.changed()).await {
                Ok(Some(changed)) => changed,
                // Nothing new: said again, so that whatever is between us sees that we live.
                Ok(None) | Err(_) => watch.state(),
            },
        };
        let message = operation::message(&now);
        let next = (!message.done).then_some((watch, None));
        Some((Ok(message), next))
    })
}
