//! `build.bazel.remote.execution.v2.ContentAddressableStorage`: blobs in batches, trees, chunks.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use bytes::Bytes;
use connectrpc::{ConnectError, InboundStream, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures::{StreamExt, stream};
use millrace_engine::blobs::{Encoding, NewBlob};
use millrace_engine::error::Error;
use millrace_proto::digest::Digest;
use millrace_proto::reapi::{self as wire, batch_read_blobs_response, batch_update_blobs_response, compressor};
use millrace_proto::rpc;

use super::cas_names::{Digests, enter, shown};
use super::segments::Segmented;
use super::status::status;
use super::{cas_chunks, cas_tree};
use crate::app::App;
use crate::auth::Role;

/// The service.
pub struct CasDoor {
    app: Arc<App>,
}

impl CasDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

impl wire::ContentAddressableStorage for CasDoor {
    async fn find_missing_blobs(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::FindMissingBlobsRequest>,
    ) -> ServiceResult<wire::FindMissingBlobsResponse> {
        let instance = enter(&self.app, &ctx, Role::CacheRead, request.instance_name)?;
        let digests =
            Digests::of(&self.app, request.digest_function).all("blob_digests", request.blob_digests.iter())?;
        let missing = self.app.cache.blobs.find_missing(&instance, &digests).await.map_err(status)?;
        let (asked, absent) = (digests.len() as u64, missing.len() as u64);
        self.app.cache.activity.blobs_asked(&instance, asked.saturating_sub(absent), absent);
        Response::ok(wire::FindMissingBlobsResponse {
            missing_blob_digests: missing.iter().map(shown).collect(),
            ..Default::default()
        })
    }

    async fn batch_update_blobs(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::BatchUpdateBlobsRequest>,
    ) -> ServiceResult<wire::BatchUpdateBlobsResponse> {
        let instance = enter(&self.app, &ctx, Role::CacheWrite, request.instance_name)?;
        let digests = Digests::of(&self.app, request.digest_function);
        let mut blobs = Vec::with_capacity(request.requests.len());
        for (index, one) in request.requests.iter().enumerate() {
            let field = || format!("requests[{index}].digest");
            let Some(digest) = one.digest.as_option() else {
                return Err(ConnectError::invalid_argument(format!("{}: is missing", field())));
            };
            blobs.push(NewBlob {
                digest: digests.one(field, digest)?,
                encoding: encoding(|| format!("requests[{index}].compressor"), one.compressor.to_i32())?,
                data: piece(request.bytes(), one.data),
            });
        }
        let named: Vec<Digest> = blobs.iter().map(|blob| blob.digest).collect();
        let written = self.app.cache.blobs.write_many(&instance, blobs).await.map_err(status)?;
        let responses = named.iter().zip(written).map(|(digest, written)| batch_update_blobs_response::Response {
            digest: shown(digest).into(),
            status: of_blob(written.err()).into(),
            ..Default::default()
        });
        Response::ok(wire::BatchUpdateBlobsResponse { responses: responses.collect(), ..Default::default() })
    }

    async fn batch_read_blobs(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::BatchReadBlobsRequest>,
    ) -> ServiceResult<Segmented<wire::BatchReadBlobsResponse>> {
        let instance = enter(&self.app, &ctx, Role::CacheRead, request.instance_name)?;
        let digests = Digests::of(&self.app, request.digest_function).all("digests", request.digests.iter())?;
        let accept_zstd = request.acceptable_compressors.iter().any(|one| *one == compressor::Value::ZSTD);
        let read = self.app.cache.blobs.read_many(&instance, &digests, accept_zstd).await.map_err(status)?;
        let responses = digests.iter().zip(read).map(|(digest, read)| {
            let (encoding, data, error) = match read {
                Ok((encoding, data)) => (encoding, data, None),
                Err(error) => (Encoding::Identity, Bytes::new(), Some(error)),
            };
            batch_read_blobs_response::Response {
                digest: shown(digest).into(),
                data,
                compressor: compressor_of(encoding).into(),
                status: of_blob(error).into(),
                ..Default::default()
            }
        });
        let responses = responses.collect();
        Response::ok(Segmented(wire::BatchReadBlobsResponse { responses, ..Default::default() }))
    }

    async fn get_tree(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::GetTreeRequest>,
    ) -> ServiceResult<ServiceStream<wire::GetTreeResponse>> {
        let instance = enter(&self.app, &ctx, Role::CacheRead, request.instance_name)?;
        let digests = Digests::of(&self.app, request.digest_function);
        let root = digests.required("root_digest", request.root_digest.as_option())?;
        let pages =
            cas_tree::pages(&self.app, instance, root, request.page_size, request.page_token.to_owned()).await?;
        Response::stream_ok(pages)
    }

    async fn split_blob(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::SplitBlobRequest>,
    ) -> ServiceResult<wire::SplitBlobResponse> {
        // Chunks are blobs that a client did not have to upload; that makes it no write.
        let instance = enter(&self.app, &ctx, Role::CacheRead, request.instance_name)?;
        let digests = Digests::of(&self.app, request.digest_function);
        let blob = digests.required("blob_digest", request.blob_digest.as_option())?;
        let chunks = self.app.cache.chunking.split(&instance, &blob).await.map_err(status)?;
        Response::ok(wire::SplitBlobResponse {
            chunk_digests: chunks.iter().map(shown).collect(),
            chunking_function: cas_chunks::FUNCTION.into(),
            ..Default::default()
        })
    }

    async fn get_chunk_mapping(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::GetChunkMappingRequest>,
    ) -> ServiceResult<ServiceStream<wire::GetChunkMappingResponse>> {
        let instance = enter(&self.app, &ctx, Role::CacheRead, request.instance_name)?;
        let digests = Digests::of(&self.app, request.digest_function);
        let blob = digests.required("blob_digest", request.blob_digest.as_option())?;
        let chunks = self.app.cache.chunking.split(&instance, &blob).await.map_err(status)?;
        Response::stream_ok(stream::iter(cas_chunks::mapping(&chunks)).map(Ok))
    }

    async fn splice_blob(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::SpliceBlobRequest>,
    ) -> ServiceResult<wire::SpliceBlobResponse> {
        let instance = enter(&self.app, &ctx, Role::CacheWrite, request.instance_name)?;
        let digests = Digests::of(&self.app, request.digest_function);
        let chunks = digests.all("chunk_digests", request.chunk_digests.iter())?;
        let expected = match request.blob_digest.as_option() {
            Some(digest) => Some(digests.one(|| "blob_digest", digest)?),
            None => None,
        };
        let blob = cas_chunks::splice(&self.app, &instance, expected, &chunks).await?;
        Response::ok(wire::SpliceBlobResponse { blob_digest: shown(&blob).into(), ..Default::default() })
    }

    async fn register_chunk_mapping(
        &self,
        ctx: RequestContext,
        requests: InboundStream<wire::RegisterChunkMappingRequest>,
    ) -> ServiceResult<wire::RegisterChunkMappingResponse> {
        let blob = cas_chunks::register(&self.app, &ctx, requests).await?;
        Response::ok(wire::RegisterChunkMappingResponse { blob_digest: shown(&blob).into(), ..Default::default() })
    }
}

/// A part of a request, without a copy. It keeps the whole request: stores copy what they keep.
pub(super) fn piece(request: &Bytes, part: &[u8]) -> Bytes {
    if part.is_empty() { Bytes::new() } else { request.slice_ref(part) }
}

fn encoding(field: impl Fn() -> String, compressor: i32) -> Result<Encoding, ConnectError> {
    match compressor {
        0 => Ok(Encoding::Identity),
        1 => Ok(Encoding::Zstd),
        other => {
            let message = format!("{}: compressor {other} is not supported; IDENTITY (0) and ZSTD (1) are", field());
            Err(ConnectError::invalid_argument(message))
        }
    }
}

fn compressor_of(encoding: Encoding) -> compressor::Value {
    match encoding {
        Encoding::Identity => compressor::Value::IDENTITY,
        Encoding::Zstd => compressor::Value::ZSTD,
    }
}

/// How it went with one blob of a batch.
fn of_blob(error: Option<Error>) -> rpc::Status {
    match error {
        None => rpc::Status::default(),
        Some(error) => {
            let error = status(error);
            let code = error.code.grpc_code() as i32;
            rpc::Status { code, message: error.message.unwrap_or_default(), ..Default::default() }
        }
    }
}
