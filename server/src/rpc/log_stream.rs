//! `build.bazel.remote.logstream.v1.LogStreamService`: makes logs that one side writes and many read by ByteStream.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::logstream as wire;

use super::cas_names::{caller, check};
use super::status::status;
use crate::app::App;
use crate::auth::Role;

/// The service.
pub struct LogStreamDoor {
    app: Arc<App>,
}

impl LogStreamDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

impl wire::LogStreamService for LogStreamDoor {
    async fn create_log_stream(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::CreateLogStreamRequest>,
    ) -> ServiceResult<wire::LogStream> {
        // Who may fill the cache may keep logs; runners and who may execute are among them.
        caller(&ctx).may(Role::CacheWrite)?;
        let parent = InstanceName::parse(request.parent).map_err(|error| {
            let message = error.to_string();
            ConnectError::invalid_argument(format!("parent: {}", message.trim_start_matches("instance_name: ")))
        })?;
        check(&self.app, &ctx, Role::CacheWrite, &parent)?;
        let names = self.app.streams.create(&parent).await.map_err(status)?;
        Response::ok(wire::LogStream { name: names.name, write_resource_name: names.write_name, ..Default::default() })
    }
}
