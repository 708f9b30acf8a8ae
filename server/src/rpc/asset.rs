//! `build.bazel.remote.asset.v1.Fetch`. Whoever may read the cache may fetch what is in it; what has to be brought in
//! fills the cache, and needs the role for that.

#![allow(refining_impl_trait)]

use std::sync::Arc;
use std::time::Duration;

use buffa::EnumValue;
use connectrpc::{ConnectError, ErrorDetail, RequestContext, Response, ServiceRequest, ServiceResult};
use millrace_engine::assets::{AssetKind, FUNCTION_DEFAULT, Fetch, FetchError, Found, Upstream, Violation, Wanted};
use millrace_engine::error::Error;
use millrace_proto::digest::DigestFunction;
use millrace_proto::reapi::digest_function::Value;
use millrace_proto::rpc;
use millrace_proto::{asset as wire, reapi};

use super::asset_request::{millis, qualifiers};
use super::cas_names::{caller, enter, functions, shown};
use super::convert;
use super::status::status;
use crate::app::App;
use crate::auth::Role;

/// The service.
pub struct FetchDoor {
    app: Arc<App>,
}

/// What both requests have.
struct Asked {
    kind: AssetKind,
    uris: Vec<String>,
    qualifiers: Vec<wire::Qualifier>,
    function: EnumValue<Value>,
    oldest_ms: Option<i64>,
    timeout: Option<Duration>,
}

/// What both answers have.
struct Told {
    status: rpc::Status,
    uri: String,
    found: Option<Found>,
    function: EnumValue<Value>,
}

impl FetchDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn fetch(&self, ctx: &RequestContext, instance: &str, asked: Asked) -> Result<Told, ConnectError> {
        let instance = enter(&self.app, ctx, Role::CacheRead, instance)?;
        let number = asked.function.to_i32();
        let function = if number == 0 {
            FUNCTION_DEFAULT
        } else {
            let known = DigestFunction::from_wire(number)
                .map_err(|error| ConnectError::invalid_argument(format!("digest_function: {error}")))?;
            functions(&self.app).find(|function| *function == known).ok_or_else(|| {
                ConnectError::invalid_argument(format!("digest_function: {known} is not accepted here"))
            })?
        };
        let (kind, uris) = (asked.kind, asked.uris);
        let qualifiers = qualifiers(asked.qualifiers).map_err(status)?;
        let fetch = Fetch {
            wanted: Wanted { instance, kind, function, uris, qualifiers },
            function_named: number != 0,
            oldest_ms: asked.oldest_ms,
            timeout: asked.timeout,
            may_download: caller(ctx).may(Role::CacheWrite).is_ok(),
        };
        match self.app.cache.assets.fetch(fetch).await {
            Ok(found) => Ok(Told {
                status: rpc::Status::default(),
                uri: found.uri.clone(),
                function: wire_function(found.digest.function()),
                found: Some(found),
            }),
            Err(FetchError::Upstream { uri, kind, message }) => {
                let status = rpc::Status { code: code(kind), message, ..Default::default() };
                Ok(Told { status, uri, found: None, function: wire_function(function) })
            }
            Err(FetchError::Refused(violations)) => Err(refused(violations)),
            Err(FetchError::Engine(error)) => Err(status(error)),
        }
    }
}

impl wire::Fetch for FetchDoor {
    async fn fetch_blob(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::FetchBlobRequest>,
    ) -> ServiceResult<wire::FetchBlobResponse> {
        let request = request.to_owned_message();
        let asked = Asked {
            kind: AssetKind::Blob,
            uris: request.uris,
            qualifiers: request.qualifiers,
            function: request.digest_function,
            oldest_ms: request.oldest_content_accepted.as_option().map(millis),
            timeout: request.timeout.as_option().map(timeout).transpose()?,
        };
        let told = self.fetch(&ctx, &request.instance_name, asked).await?;
        Response::ok(wire::FetchBlobResponse {
            status: told.status.into(),
            uri: told.uri,
            expires_at: convert::optional_time(told.found.as_ref().and_then(|found| found.expire_ms)),
            blob_digest: digest(told.found).into(),
            digest_function: told.function,
            ..Default::default()
        })
    }

    async fn fetch_directory(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::FetchDirectoryRequest>,
    ) -> ServiceResult<wire::FetchDirectoryResponse> {
        let request = request.to_owned_message();
        let asked = Asked {
            kind: AssetKind::Directory,
            uris: request.uris,
            qualifiers: request.qualifiers,
            function: request.digest_function,
            oldest_ms: request.oldest_content_accepted.as_option().map(millis),
            timeout: request.timeout.as_option().map(timeout).transpose()?,
        };
        let told = self.fetch(&ctx, &request.instance_name, asked).await?;
        Response::ok(wire::FetchDirectoryResponse {
            status: told.status.into(),
            uri: told.uri,
            expires_at: convert::optional_time(told.found.as_ref().and_then(|found| found.expire_ms)),
            root_directory_digest: digest(told.found).into(),
            digest_function: told.function,
            ..Default::default()
        })
    }
}

fn digest(found: Option<Found>) -> Option<reapi::Digest> {
    found.map(|found| shown(&found.digest))
}

fn wire_function(function: DigestFunction) -> EnumValue<Value> {
    EnumValue::from(function.wire())
}

/// A request's timeout; none at all is not zero.
fn timeout(duration: &buffa_types::google::protobuf::Duration) -> Result<Duration, ConnectError> {
    let parts = (u64::try_from(duration.seconds), u32::try_from(duration.nanos));
    match parts {
        (Ok(seconds), Ok(nanos @ ..1_000_000_000)) if seconds > 0 || nanos > 0 => Ok(Duration::new(seconds, nanos)),
        _ => Err(status(Error::invalid("timeout", "is not more than 0"))),
    }
}

fn code(kind: Upstream) -> i32 {
    use rpc::Code;
    let code = match kind {
        Upstream::NotFound => Code::NOT_FOUND,
        Upstream::Denied => Code::PERMISSION_DENIED,
        Upstream::Aborted => Code::ABORTED,
        Upstream::Exhausted => Code::RESOURCE_EXHAUSTED,
        Upstream::Deadline => Code::DEADLINE_EXCEEDED,
        Upstream::Unavailable => Code::UNAVAILABLE,
    };
    EnumValue::from(code).to_i32()
}

fn refused(violations: Vec<Violation>) -> ConnectError {
    use rpc::bad_request::FieldViolation;
    let text = violations.iter().map(|one| format!("{}: {}", one.field, one.description)).collect::<Vec<_>>();
    let field_violations = violations
        .into_iter()
        .map(|one| FieldViolation { field: one.field, description: one.description, ..Default::default() })
        .collect();
    let detail = rpc::BadRequest { field_violations, ..Default::default() };
    ConnectError::invalid_argument(text.join("; "))
        .with_detail(ErrorDetail::from_message("google.rpc.BadRequest", &detail))
}
