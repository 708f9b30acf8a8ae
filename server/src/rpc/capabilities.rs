//! `build.bazel.remote.execution.v2.Capabilities`: what this server does, truly.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use millrace_engine::actions::CHUNK_AVERAGE_BYTES;
use millrace_proto::digest::DigestFunction;
use millrace_proto::reapi::priority_capabilities::PriorityRange;
use millrace_proto::reapi::{self as wire, compressor, digest_function, symlink_absolute_path_strategy};
use millrace_proto::semver::SemVer;

use super::cas_names::{caller, enter, functions};
use crate::app::App;
use crate::auth::Role;

/// The version of the API in which `GetChunkMapping` came.
const API_MINOR_MAX: i32 = 13;

/// The node properties that runners read and write.
const NODE_PROPERTIES: [&str; 2] = ["mtime", "unix_mode"];

/// The service.
pub struct CapabilitiesDoor {
    app: Arc<App>,
}

impl CapabilitiesDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

impl wire::Capabilities for CapabilitiesDoor {
    async fn get_capabilities(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::GetCapabilitiesRequest>,
    ) -> ServiceResult<wire::ServerCapabilities> {
        enter(&self.app, &ctx, Role::CacheRead, request.instance_name)?;
        let may_write = caller(&ctx).may(Role::CacheWrite).is_ok();
        let may_execute = self.app.execution_config.enabled && caller(&ctx).may(Role::Execute).is_ok();
        let version = |minor| SemVer { major: 2, minor, ..Default::default() };
        Response::ok(wire::ServerCapabilities {
            cache_capabilities: cache(&self.app, may_write).into(),
            execution_capabilities: execution(&self.app, may_execute).into(),
            deprecated_api_version: version(0).into(),
            low_api_version: version(0).into(),
            high_api_version: version(API_MINOR_MAX).into(),
            ..Default::default()
        })
    }
}

fn cache(app: &App, may_write: bool) -> wire::CacheCapabilities {
    let limits = app.cache.blobs.limits();
    // Identity needs no mention; some clients look for it all the same.
    let compressors = || vec![compressor::Value::IDENTITY.into(), compressor::Value::ZSTD.into()];
    wire::CacheCapabilities {
        digest_functions: functions(app).map(of_function).collect(),
        action_cache_update_capabilities: wire::ActionCacheUpdateCapabilities {
            update_enabled: may_write,
            ..Default::default()
        }
        .into(),
        // One priority for all: what is used least goes first.
        cache_priority_capabilities: wire::PriorityCapabilities {
            priorities: vec![PriorityRange::default()],
            ..Default::default()
        }
        .into(),
        max_batch_total_size_bytes: limits.batch_max_bytes as i64,
        symlink_absolute_path_strategy: symlink_absolute_path_strategy::Value::ALLOWED.into(),
        supported_compressors: compressors(),
        supported_batch_update_compressors: compressors(),
        max_cas_blob_size_bytes: i64::try_from(limits.blob_max_bytes).unwrap_or(i64::MAX),
        split_blob_support: true,
        splice_blob_support: true,
        fast_cdc_2020_params: wire::FastCdc2020Params {
            avg_chunk_size_bytes: CHUNK_AVERAGE_BYTES as u64,
            ..Default::default()
        }
        .into(),
        ..Default::default()
    }
}

/// The functions stand in both fields: old clients know only the one.
fn execution(app: &App, exec_enabled: bool) -> wire::ExecutionCapabilities {
    // Any number: the lower goes first.
    let every = PriorityRange { min_priority: i32::MIN, max_priority: i32::MAX, ..Default::default() };
    let priorities = wire::PriorityCapabilities { priorities: vec![every], ..Default::default() };
    wire::ExecutionCapabilities {
        exec_enabled,
        digest_function: of_function(DigestFunction::Sha256),
        digest_functions: functions(app).map(of_function).collect(),
        execution_priority_capabilities: exec_enabled.then_some(priorities).into(),
        supported_node_properties: NODE_PROPERTIES.map(ToOwned::to_owned).to_vec(),
        ..Default::default()
    }
}

fn of_function(function: DigestFunction) -> buffa::EnumValue<digest_function::Value> {
    function.wire().into()
}
