//! `build.bazel.remote.asset.v1.Push`.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use buffa::EnumValue;
use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use millrace_engine::assets::{AssetKind, Push};
use millrace_proto::asset as wire;
use millrace_proto::reapi::__buffa::view::DigestView;
use millrace_proto::reapi::digest_function;

use super::asset_request::{millis, qualifiers};
use super::cas_names::{Digests, enter};
use super::status::status;
use crate::app::App;
use crate::auth::Role;

/// The service.
pub struct PushDoor {
    app: Arc<App>,
}

impl PushDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn push(&self, ctx: &RequestContext, asked: Asked<'_>) -> Result<(), ConnectError> {
        let instance = enter(&self.app, ctx, Role::CacheWrite, asked.instance)?;
        let digests = Digests::of(&self.app, asked.function);
        let (field, digest) = asked.digest;
        let push = Push {
            instance,
            kind: asked.kind,
            digest: digests.required(field, digest)?,
            blobs: digests.all("references_blobs", asked.blobs.iter())?,
            directories: digests.all("references_directories", asked.directories.iter())?,
            uris: asked.uris,
            qualifiers: qualifiers(asked.qualifiers).map_err(status)?,
            expire_ms: asked.expire_ms,
        };
        self.app.cache.assets.push(push).await.map_err(status)
    }
}

/// What both requests say.
struct Asked<'a> {
    kind: AssetKind,
    instance: &'a str,
    function: EnumValue<digest_function::Value>,
    /// By its name in the request.
    digest: (&'static str, Option<&'a DigestView<'a>>),
    blobs: &'a [DigestView<'a>],
    directories: &'a [DigestView<'a>],
    uris: Vec<String>,
    qualifiers: Vec<wire::Qualifier>,
    expire_ms: Option<i64>,
}

impl wire::Push for PushDoor {
    async fn push_blob(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::PushBlobRequest>,
    ) -> ServiceResult<wire::PushBlobResponse> {
        let wire::PushBlobRequest { uris, qualifiers, expire_at, .. } = request.to_owned_message();
        let asked = Asked {
            kind: AssetKind::Blob,
            instance: request.instance_name,
            function: request.digest_function,
            digest: ("blob_digest", request.blob_digest.as_option()),
            blobs: &request.references_blobs,
            directories: &request.references_directories,
            uris,
            qualifiers,
            expire_ms: expire_at.as_option().map(millis),
        };
        self.push(&ctx, asked).await?;
        Response::ok(wire::PushBlobResponse::default())
    }

    async fn push_directory(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::PushDirectoryRequest>,
    ) -> ServiceResult<wire::PushDirectoryResponse> {
        let wire::PushDirectoryRequest { uris, qualifiers, expire_at, .. } = request.to_owned_message();
        let asked = Asked {
            kind: AssetKind::Directory,
            instance: request.instance_name,
            function: request.digest_function,
            digest: ("root_directory_digest", request.root_directory_digest.as_option()),
            blobs: &request.references_blobs,
            directories: &request.references_directories,
            uris,
            qualifiers,
            expire_ms: expire_at.as_option().map(millis),
        };
        self.push(&ctx, asked).await?;
        Response::ok(wire::PushDirectoryResponse::default())
    }
}
