//! `build.bazel.remote.execution.v2.ActionCache`.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use millrace_engine::actions::Inline;
use millrace_proto::reapi as wire;

use super::cas_names::{Digests, enter};
use super::request_metadata::origin;
use super::segments::Segmented;
use super::status::status;
use crate::app::App;
use crate::auth::Role;

/// The service.
pub struct ActionCacheDoor {
    app: Arc<App>,
}

impl ActionCacheDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

impl wire::ActionCache for ActionCacheDoor {
    async fn get_action_result(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::GetActionResultRequest>,
    ) -> ServiceResult<Segmented<wire::ActionResult>> {
        let instance = enter(&self.app, &ctx, Role::CacheRead, request.instance_name)?;
        let digests = Digests::of(&self.app, request.digest_function);
        let action = digests.required("action_digest", request.action_digest.as_option())?;
        let inline = Inline {
            stdout: request.inline_stdout,
            stderr: request.inline_stderr,
            output_files: request.inline_output_files.iter().map(|path| (*path).to_owned()).collect(),
        };
        let found = self.app.cache.actions.get(&instance, &action, &inline, origin(&ctx)).await.map_err(status)?;
        match found {
            Some(result) => Response::ok(Segmented(result)),
            None => Err(ConnectError::not_found(format!("action result {action} not found"))),
        }
    }

    /// The policy's priority is accepted and means nothing: the one that is used least goes first, whatever it is.
    async fn update_action_result(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::UpdateActionResultRequest>,
    ) -> ServiceResult<wire::ActionResult> {
        let instance = enter(&self.app, &ctx, Role::CacheWrite, request.instance_name)?;
        let digests = Digests::of(&self.app, request.digest_function);
        let action = digests.required("action_digest", request.action_digest.as_option())?;
        let request = request.to_owned_message();
        let Some(result) = request.action_result.into_option() else {
            return Err(ConnectError::invalid_argument("action_result: is missing"));
        };
        Response::ok(self.app.cache.actions.update(&instance, &action, result, origin(&ctx)).await.map_err(status)?)
    }
}
