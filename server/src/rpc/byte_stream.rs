//! `google.bytestream.ByteStream`: blobs of any size, as they are or as zstd, and logs.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use bytes::Bytes;
use connectrpc::{ConnectError, InboundStream, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures::{Stream, StreamExt};
use millrace_engine::blobs::{BlobStream, Encoding, UploadName};
use millrace_proto::bytestream as wire;
use millrace_proto::resource_name::{Compressor, ReadName, ResourceNameError, WriteName};

use super::byte_stream_log::{self, WritableLog};
use super::byte_stream_write as write;
use super::cas_names::{accepted, caller, check};
use super::segments::Segmented;
use super::status::status;
use crate::app::App;
use crate::auth::Role;

/// The largest content of an answer, in bytes: clients take messages of 4 MiB unless told otherwise.
const ANSWER_MAX_BYTES: usize = 2 * 1024 * 1024;

/// The service.
pub struct ByteStreamDoor {
    app: Arc<App>,
}

impl ByteStreamDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

impl wire::ByteStream for ByteStreamDoor {
    async fn read(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::ReadRequest>,
    ) -> ServiceResult<ServiceStream<Segmented<wire::ReadResponse>>> {
        // Before the name is looked at: who may not read learns nothing about names.
        let reads_cache = caller(&ctx).may(Role::CacheRead);
        let reads_logs = caller(&ctx).may(Role::Read);
        if let (Err(denial), Err(_)) = (&reads_cache, &reads_logs) {
            return Err(denial.clone().into());
        }
        let (instance, digest, compressor) = match ReadName::parse(request.resource_name).map_err(bad_name)? {
            ReadName::Blob { instance, digest, compressor } => (instance, digest, compressor),
            ReadName::Log { parent, id } => {
                let (offset, limit) = (from(request.read_offset)?, limit(request.read_limit)?);
                return byte_stream_log::read(&self.app, &ctx, &parent, &id, offset, limit).await;
            }
        };
        reads_cache?;
        check(&self.app, &ctx, Role::CacheRead, &instance)?;
        let digest = accepted(&self.app, digest)?;
        let want = encoding(compressor)?;
        let offset = from(request.read_offset)?;
        let limit = match (request.read_limit, want) {
            (0, _) => None,
            (asked, Encoding::Identity) => limit(asked)?,
            (limit, Encoding::Zstd) => {
                let message = format!("read_limit: is {limit}; a compressed blob is read without a limit, 0");
                return Err(ConnectError::invalid_argument(message));
            }
        };
        let stream = self.app.cache.blobs.read(&instance, &digest, want, offset, limit).await.map_err(status)?;
        Response::stream_ok(answers(stream))
    }

    async fn write(
        &self,
        ctx: RequestContext,
        requests: InboundStream<wire::WriteRequest>,
    ) -> ServiceResult<wire::WriteResponse> {
        caller(&ctx).may(Role::CacheWrite)?;
        let committed_size = write::write(&self.app, &ctx, requests).await?;
        Response::ok(wire::WriteResponse { committed_size, ..Default::default() })
    }

    async fn query_write_status(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::QueryWriteStatusRequest>,
    ) -> ServiceResult<wire::QueryWriteStatusResponse> {
        caller(&ctx).may(Role::CacheWrite)?;
        let (committed, complete) = match write_name(&self.app, &ctx, request.resource_name)? {
            Written::Blob(name) => {
                let found = self.app.cache.blobs.upload_status(&name).await.map_err(status)?;
                (found.committed_size, found.complete)
            }
            Written::Log(log) => {
                let found = byte_stream_log::query(&self.app, &ctx, &log).await?;
                (found.committed, found.complete)
            }
        };
        Response::ok(wire::QueryWriteStatusResponse {
            committed_size: committed as i64,
            complete,
            ..Default::default()
        })
    }
}

/// What a write name is of.
pub(super) enum Written {
    /// An upload, in an instance where the caller may write.
    Blob(UploadName),
    /// A log; whether the caller may write is not looked at yet.
    Log(WritableLog),
}

/// What a name means to Write and `QueryWriteStatus`.
pub(super) fn write_name(app: &App, ctx: &RequestContext, name: &str) -> Result<Written, ConnectError> {
    match WriteName::parse(name).map_err(bad_name)? {
        WriteName::Blob { instance, uuid, digest, compressor } => {
            check(app, ctx, Role::CacheWrite, &instance)?;
            let digest = accepted(app, digest)?;
            Ok(Written::Blob(UploadName { instance, uuid, digest, encoding: encoding(compressor)? }))
        }
        WriteName::Log { parent, id, token } => Ok(Written::Log(WritableLog { parent, id, token })),
    }
}

fn from(read_offset: i64) -> Result<u64, ConnectError> {
    u64::try_from(read_offset)
        .map_err(|_| ConnectError::out_of_range(format!("read_offset: {read_offset} is negative")))
}

fn limit(read_limit: i64) -> Result<Option<u64>, ConnectError> {
    match u64::try_from(read_limit) {
        Ok(0) => Ok(None),
        Ok(limit) => Ok(Some(limit)),
        Err(_) => Err(ConnectError::invalid_argument(format!("read_limit: {read_limit} is negative"))),
    }
}

/// Takes it whole: it stands behind `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn bad_name(error: ResourceNameError) -> ConnectError {
    ConnectError::invalid_argument(error.to_string())
}

fn encoding(compressor: Compressor) -> Result<Encoding, ConnectError> {
    match compressor {
        Compressor::Identity => Ok(Encoding::Identity),
        Compressor::Zstd => Ok(Encoding::Zstd),
        Compressor::Deflate | Compressor::Brotli => {
            let message = "resource_name: of the compressors only zstd is supported here";
            Err(ConnectError::invalid_argument(message))
        }
    }
}

/// The pieces of a blob as answers; a piece that is too large for one becomes several.
fn answers(
    stream: BlobStream,
) -> impl Stream<Item = Result<Segmented<wire::ReadResponse>, ConnectError>> + Send + 'static {
    stream.flat_map(|piece| {
        let parts = match piece {
            Ok(piece) => Parts { rest: piece, error: None },
            Err(error) => Parts { rest: Bytes::new(), error: Some(status(error)) },
        };
        futures::stream::iter(parts)
    })
}

struct Parts {
    rest: Bytes,
    error: Option<ConnectError>,
}

impl Iterator for Parts {
    type Item = Result<Segmented<wire::ReadResponse>, ConnectError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return self.error.take().map(Err);
        }
        let data = self.rest.split_to(self.rest.len().min(ANSWER_MAX_BYTES));
        Some(Ok(Segmented(wire::ReadResponse { data, ..Default::default() })))
    }
}
