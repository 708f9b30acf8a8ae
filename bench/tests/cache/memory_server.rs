//! A REAPI cache in memory, made of the types of `bazel-remote-apis` and tonic, that can lie. Stands in for a real one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bazel_remote_apis::build::bazel::remote::execution::v2::action_cache_server::{ActionCache, ActionCacheServer};
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_server::{
    ContentAddressableStorage, ContentAddressableStorageServer,
};
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, BatchReadBlobsRequest, BatchReadBlobsResponse, BatchUpdateBlobsRequest, BatchUpdateBlobsResponse,
    FindMissingBlobsRequest, FindMissingBlobsResponse, GetActionResultRequest, GetChunkMappingRequest,
    GetChunkMappingResponse, GetTreeRequest, GetTreeResponse, RegisterChunkMappingRequest,
    RegisterChunkMappingResponse, SpliceBlobRequest, SpliceBlobResponse, SplitBlobRequest, SplitBlobResponse,
    UpdateActionResultRequest, batch_read_blobs_response, batch_update_blobs_response,
};
use bazel_remote_apis::google::bytestream::byte_stream_server::{ByteStream, ByteStreamServer};
use bazel_remote_apis::google::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};
use bazel_remote_apis::google::rpc;
use futures::stream::{self, BoxStream};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming, async_trait};

/// What of a blob goes into a message, in bytes.
const MESSAGE_BYTES: usize = 256 * 1024;

/// How a server is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    None,
    ForgetsWrites,
    WrongBytes,
    ShortReads,
    NothingIsMissing,
    HitsAlways,
}

/// A running server; ends when it is dropped.
pub struct MemoryServer {
    pub url: String,
    serving: JoinHandle<()>,
}

/// By instance name and hash.
type Stored<T> = Arc<Mutex<HashMap<(String, String), T>>>;

#[derive(Clone)]
struct Memory {
    blobs: Stored<Vec<u8>>,
    results: Stored<ActionResult>,
    lie: Lie,
}

impl MemoryServer {
    /// Listens on a free port.
    pub async fn start(lie: Lie) -> Self {
        let memory = Memory { blobs: Stored::default(), results: Stored::default(), lie };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let router = Server::builder()
            .add_service(ContentAddressableStorageServer::new(memory.clone()))
            .add_service(ActionCacheServer::new(memory.clone()))
            .add_service(ByteStreamServer::new(memory));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = tokio::spawn(async move { router.serve_with_incoming(incoming).await.expect("it serves") });
        Self { url, serving }
    }
}

impl Drop for MemoryServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Memory {
    fn store(&self, instance: &str, hash: &str, data: Vec<u8>) {
        if self.lie != Lie::ForgetsWrites {
            let key = (instance.to_owned(), hash.to_owned());
            self.blobs.lock().unwrap_or_else(PoisonError::into_inner).insert(key, data);
        }
    }

    fn blob(&self, instance: &str, hash: &str) -> Result<Vec<u8>, Status> {
        let key = (instance.to_owned(), hash.to_owned());
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut data = blobs.get(&key).cloned().ok_or_else(|| Status::not_found(hash))?;
        match self.lie {
            Lie::WrongBytes => data.iter_mut().for_each(|byte| *byte ^= 1),
            Lie::ShortReads => data.truncate(data.len() - 1),
            _ => {}
        }
        Ok(data)
    }
}

#[async_trait]
impl ContentAddressableStorage for Memory {
    type GetTreeStream = BoxStream<'static, Result<GetTreeResponse, Status>>;
    type GetChunkMappingStream = BoxStream<'static, Result<GetChunkMappingResponse, Status>>;

    async fn find_missing_blobs(
        &self,
        request: Request<FindMissingBlobsRequest>,
    ) -> Result<Response<FindMissingBlobsResponse>, Status> {
        let FindMissingBlobsRequest { instance_name, mut blob_digests, .. } = request.into_inner();
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = self.lie == Lie::NothingIsMissing;
        blob_digests.retain(|digest| !nothing && !blobs.contains_key(&(instance_name.clone(), digest.hash.clone())));
        Ok(Response::new(FindMissingBlobsResponse { missing_blob_digests: blob_digests }))
    }

    async fn batch_update_blobs(
        &self,
        request: Request<BatchUpdateBlobsRequest>,
    ) -> Result<Response<BatchUpdateBlobsResponse>, Status> {
        let BatchUpdateBlobsRequest { instance_name, requests, .. } = request.into_inner();
        let stored = requests.into_iter().map(|blob| {
            self.store(&instance_name, &blob.digest.clone().unwrap_or_default().hash, blob.data);
            batch_update_blobs_response::Response { digest: blob.digest, status: Some(rpc::Status::default()) }
        });
        Ok(Response::new(BatchUpdateBlobsResponse { responses: stored.collect() }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<BatchReadBlobsRequest>,
    ) -> Result<Response<BatchReadBlobsResponse>, Status> {
        let BatchReadBlobsRequest { instance_name, digests, .. } = request.into_inner();
        let mut responses = Vec::new();
        for digest in digests {
            let data = self.blob(&instance_name, &digest.hash)?;
            let digest = Some(digest);
            responses.push(batch_read_blobs_response::Response { digest, data, ..Default::default() });
        }
        Ok(Response::new(BatchReadBlobsResponse { responses }))
    }

    async fn get_tree(&self, _request: Request<GetTreeRequest>) -> Result<Response<Self::GetTreeStream>, Status> {
        Err(Status::unimplemented("GetTree"))
    }

    async fn split_blob(&self, _request: Request<SplitBlobRequest>) -> Result<Response<SplitBlobResponse>, Status> {
        Err(Status::unimplemented("SplitBlob"))
    }

    async fn get_chunk_mapping(
        &self,
        _request: Request<GetChunkMappingRequest>,
    ) -> Result<Response<Self::GetChunkMappingStream>, Status> {
        Err(Status::unimplemented("GetChunkMapping"))
    }

    async fn register_chunk_mapping(
        &self,
        _request: Request<Streaming<RegisterChunkMappingRequest>>,
    ) -> Result<Response<RegisterChunkMappingResponse>, Status> {
        Err(Status::unimplemented("RegisterChunkMapping"))
    }

    async fn splice_blob(&self, _request: Request<SpliceBlobRequest>) -> Result<Response<SpliceBlobResponse>, Status> {
        Err(Status::unimplemented("SpliceBlob"))
    }
}

#[async_trait]
impl ActionCache for Memory {
    async fn get_action_result(
        &self,
        request: Request<GetActionResultRequest>,
    ) -> Result<Response<ActionResult>, Status> {
        let GetActionResultRequest { instance_name, action_digest, .. } = request.into_inner();
        let key = (instance_name, action_digest.unwrap_or_default().hash);
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        match results.get(&key) {
            Some(result) => Ok(Response::new(result.clone())),
            None if self.lie == Lie::HitsAlways => Ok(Response::new(ActionResult::default())),
            None => Err(Status::not_found("no such result")),
        }
    }

    async fn update_action_result(
        &self,
        request: Request<UpdateActionResultRequest>,
    ) -> Result<Response<ActionResult>, Status> {
        let UpdateActionResultRequest { instance_name, action_digest, action_result, .. } = request.into_inner();
        let (key, result) =
            ((instance_name, action_digest.unwrap_or_default().hash), action_result.unwrap_or_default());
        if self.lie != Lie::ForgetsWrites {
            self.results.lock().unwrap_or_else(PoisonError::into_inner).insert(key, result.clone());
        }
        Ok(Response::new(result))
    }
}

#[async_trait]
impl ByteStream for Memory {
    type ReadStream = BoxStream<'static, Result<ReadResponse, Status>>;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let name = request.into_inner().resource_name;
        let (instance, hash) = parts(&name, "blobs/")?;
        let data = self.blob(instance, hash)?;
        let messages: Vec<_> =
            data.chunks(MESSAGE_BYTES).map(|data| Ok(ReadResponse { data: data.to_vec() })).collect();
        Ok(Response::new(Box::pin(stream::iter(messages))))
    }

    async fn write(&self, request: Request<Streaming<WriteRequest>>) -> Result<Response<WriteResponse>, Status> {
        let (mut requests, mut name, mut data, mut finished) = (request.into_inner(), String::new(), Vec::new(), false);
        while let Some(WriteRequest { resource_name, write_offset, finish_write, data: more }) =
            requests.message().await?
        {
            if finished || write_offset != data.len() as i64 {
                return Err(Status::invalid_argument("write_offset"));
            }
            if name.is_empty() {
                name = resource_name;
            }
            data.extend(more);
            finished = finish_write;
        }
        if !finished {
            return Err(Status::invalid_argument("finish_write"));
        }
        let ((instance, _uuid), (_, hash)) = (parts(&name, "uploads/")?, parts(&name, "blobs/")?);
        let committed_size = data.len() as i64;
        self.store(instance, hash, data);
        Ok(Response::new(WriteResponse { committed_size }))
    }

    async fn query_write_status(
        &self,
        _request: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        Err(Status::unimplemented("QueryWriteStatus"))
    }
}

/// The instance name, and the segment after the mark.
fn parts<'a>(name: &'a str, mark: &str) -> Result<(&'a str, &'a str), Status> {
    let at = name.find(mark).ok_or_else(|| Status::invalid_argument(name))?;
    let segment = name[at + mark.len()..].split('/').next().unwrap_or_default();
    Ok((name[..at].trim_end_matches('/'), segment))
}
