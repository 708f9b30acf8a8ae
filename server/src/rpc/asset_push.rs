//! `build.bazel.remote.asset.v1.Push`.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use millrace_engine::assets::{AssetKind, Push};
use millrace_proto::asset as wire;

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

    async fn push(&self, push: Push) -> Result<(), ConnectError> {
        self.app.cache.assets.push(push).await.map_err(status)
    }
}

impl wire::Push for PushDoor {
    async fn push_blob(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::PushBlobRequest>,
    ) -> ServiceResult<wire::PushBlobResponse> {
        let instance = enter(&self.app, &ctx, Role::CacheWrite, request.instance_name)?;
        let digests = Digests::of(&self.app, request.digest_function);
        let digest = digests.required("blob_digest", request.blob_digest.as_option())?;
        let blobs = digests.all("references_blobs", request.references_blobs.iter())?;
        let directories = digests.all("references_directories", request.references_directories.iter())?;
        let request = request.to_owned_message();
        let push = Push {
            instance,
            kind: AssetKind::Blob,
            uris: request.uris,
            qualifiers: qualifiers(request.qualifiers).map_err(status)?,
            expire_ms: request.expire_at.as_option().map(millis),
            digest,
            blobs,
            directories,
        };
        self.push(push).await?;
        Response::ok(wire::PushBlobResponse::default())
    }

    async fn push_directory(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::PushDirectoryRequest>,
    ) -> ServiceResult<wire::PushDirectoryResponse> {
        let instance = enter(&self.app, &ctx, Role::CacheWrite, request.instance_name)?;
        let digests = Digests::of(&self.app, request.digest_function);
        let digest = digests.required("root_directory_digest", request.root_directory_digest.as_option())?;
        let blobs = digests.all("references_blobs", request.references_blobs.iter())?;
        let directories = digests.all("references_directories", request.references_directories.iter())?;
        let request = request.to_owned_message();
        let push = Push {
            instance,
            kind: AssetKind::Directory,
            uris: request.uris,
            qualifiers: qualifiers(request.qualifiers).map_err(status)?,
            expire_ms: request.expire_at.as_option().map(millis),
            digest,
            blobs,
            directories,
        };
        self.push(push).await?;
        Response::ok(wire::PushDirectoryResponse::default())
    }
}
