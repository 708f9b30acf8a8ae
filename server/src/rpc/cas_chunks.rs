//! Chunks of blobs on the wire: in one message, or in several.

use connectrpc::{ConnectError, InboundStream, RequestContext};
use futures::StreamExt;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::{self as wire, chunking_function};

use super::cas_names::{Digests, enter, shown};
use super::status::status;
use crate::app::App;
use crate::auth::Role;

/// How blobs are cut here, whatever way a client would have preferred.
pub const FUNCTION: chunking_function::Value = chunking_function::Value::FAST_CDC_2020;
/// Digests of a message of a stream: with the longest hashes that is far below a message's limit.
const MAPPING_DIGESTS: usize = 10_000;
/// The most chunks of a blob. At the average size that is half a terabyte.
const CHUNKS_MAX: usize = 1_000_000;

/// The chunks of a blob as messages; one at least.
pub fn mapping(chunks: &[Digest]) -> Vec<wire::GetChunkMappingResponse> {
    let message = |part: &[Digest]| wire::GetChunkMappingResponse {
        chunk_digests: part.iter().map(shown).collect(),
        chunking_function: FUNCTION.into(),
        ..Default::default()
    };
    if chunks.is_empty() {
        return vec![message(chunks)];
    }
    chunks.chunks(MAPPING_DIGESTS).map(message).collect()
}

/// Makes a blob of chunks.
pub async fn splice(
    app: &App,
    instance: &InstanceName,
    expected: Option<Digest>,
    chunks: &[Digest],
) -> Result<Digest, ConnectError> {
    let Some(function) = expected.as_ref().or(chunks.first()).map(Digest::function) else {
        return Err(ConnectError::invalid_argument("chunk_digests: is empty, and there is no blob_digest"));
    };
    app.cache.chunking.splice(instance, function, expected, chunks).await.map_err(status)
}

/// The same with the chunks in several messages. The first says the rest.
pub async fn register(
    app: &App,
    ctx: &RequestContext,
    mut requests: InboundStream<wire::RegisterChunkMappingRequest>,
) -> Result<Digest, ConnectError> {
    super::cas_names::caller(ctx).may(Role::CacheWrite)?;
    let Some(first) = requests.next().await else {
        return Err(ConnectError::invalid_argument("requests: there is none; the first says which blob is meant"));
    };
    let first = first?;
    let request = first.view();
    let instance = enter(app, ctx, Role::CacheWrite, request.instance_name)?;
    let digests = Digests::of(app, request.digest_function);
    let expected = digests.required("blob_digest", request.blob_digest.as_option())?;
    let mut chunks = digests.all("chunk_digests", request.chunk_digests.iter())?;
    while let Some(more) = requests.next().await {
        let more = more?;
        chunks.extend(digests.all("chunk_digests", more.view().chunk_digests.iter())?);
        if chunks.len() > CHUNKS_MAX {
            let message = format!("chunk_digests: more than {CHUNKS_MAX}, the limit of a blob");
            return Err(ConnectError::invalid_argument(message));
        }
    }
    splice(app, &instance, Some(expected), &chunks).await
}
