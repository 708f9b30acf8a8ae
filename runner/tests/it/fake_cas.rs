//! A content-addressable storage in memory: answers what it was given, counts what it is asked, and lies, breaks off and
//! waits on command. Knows nothing of what blobs mean.

// Each of its users needs a part of it.
#![allow(dead_code, refining_impl_trait)]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use connectrpc::{ConnectError, InboundStream, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures::StreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use millrace_proto::bytestream as stream;
use millrace_proto::bytestream::{ByteStream, ByteStreamExt};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::reapi as wire;
use millrace_proto::reapi::{ContentAddressableStorage, ContentAddressableStorageExt};
use millrace_proto::resource_name::{ReadName, WriteName};
use millrace_proto::rpc::{Code, Status};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How much one answer of Read carries.
const PIECE_BYTES: usize = 256 * 1024;

/// What it has, what it was asked, and how to answer.
#[derive(Default)]
pub struct State {
    pub blobs: HashMap<Digest, Bytes>,
    /// How often each method was called, by its name.
    pub calls: HashMap<&'static str, usize>,
    /// Every digest that was read, as often as it was.
    pub reads: Vec<Digest>,
    /// Blobs of which other bytes are sent, and how often.
    pub corrupt: HashMap<Digest, usize>,
    /// So many calls fail as if the server was away.
    pub away: usize,
    /// So many streams break off after one piece.
    pub break_streams: usize,
    /// Reads wait while this is set.
    pub hold_reads: bool,
    /// Uploads that are not whole, by resource name.
    pub uploads: HashMap<String, Vec<u8>>,
    /// The offsets at which Write was begun, and Read.
    pub offsets: Vec<i64>,
    /// Another client has these the moment the first bytes come.
    pub appears: HashSet<Digest>,
    /// What was written to log streams, by the write name, and whether it is finished.
    pub streams: HashMap<String, (Vec<u8>, bool)>,
    /// Log streams are not taken.
    pub refuse_streams: bool,
}

/// The storage, served at a port of its own.
pub struct FakeCas {
    inner: Arc<Inner>,
    url: String,
    serving: JoinHandle<()>,
}

struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl FakeCas {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let inner = Arc::new(Inner { state: Mutex::default(), changed: watch::Sender::new(0) });
        let serving = serve(&inner, listener);
        Self { inner, url, serving }
    }

    /// Its services on another server, too.
    pub fn routes(&self, router: connectrpc::Router) -> connectrpc::Router {
        let service = Arc::new(Service(Arc::clone(&self.inner)));
        ByteStreamExt::register(Arc::clone(&service), ContentAddressableStorageExt::register(service, router))
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state()
    }

    /// Changes how it answers.
    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.inner.tell();
    }

    pub fn put(&self, function: DigestFunction, content: impl Into<Bytes>) -> Digest {
        let content = content.into();
        let digest = Digest::of(function, &content);
        self.state().blobs.insert(digest, content);
        digest
    }

    pub fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.state().blobs.get(digest).cloned()
    }

    /// How often a method was called.
    pub fn calls(&self, method: &str) -> usize {
        self.state().calls.get(method).copied().unwrap_or(0)
    }

    /// How often anything was called.
    pub fn all_calls(&self) -> usize {
        self.state().calls.values().sum()
    }

    /// Waits until the state is as wanted.
    pub async fn wait_for(&self, wanted: impl Fn(&State) -> bool) {
        let mut changed = self.inner.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if wanted(&self.state()) {
                return;
            }
            changed.changed().await.expect("it lives");
        }
    }
}

impl Drop for FakeCas {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn serve(inner: &Arc<Inner>, listener: TcpListener) -> JoinHandle<()> {
    let service = Arc::new(Service(Arc::clone(inner)));
    let router = ContentAddressableStorageExt::register(Arc::clone(&service), connectrpc::Router::new());
    let router = ByteStreamExt::register(service, router);
    let limits = connectrpc::Limits::default().with_max_request_body_size(1 << 30).with_max_message_size(16 << 20);
    let app = axum::Router::new().fallback_service(router.into_axum_service().with_limits(limits));
    tokio::spawn(async move {
        // Dropped with this task: every connection is cut.
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let service = TowerToHyperService::new(app.clone());
            connections.spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                // Clients break off as they like.
                let _cut = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_modify(|generation| *generation += 1);
    }

    fn called(&self, method: &'static str) -> Result<(), ConnectError> {
        let mut state = self.state();
        *state.calls.entry(method).or_default() += 1;
        let away = state.away > 0;
        state.away = state.away.saturating_sub(1);
        drop(state);
        self.tell();
        if away { Err(ConnectError::unavailable("away")) } else { Ok(()) }
    }

    /// Takes a piece of a log stream; breaks off after it, if it was told to.
    fn log(&self, name: &str, request: &stream::WriteRequest) -> Result<i64, ConnectError> {
        let mut state = self.state();
        if state.refuse_streams {
            return Err(ConnectError::permission_denied("no streams here"));
        }
        let breaks = state.break_streams > 0;
        state.break_streams = state.break_streams.saturating_sub(1);
        let (written, finished) = state.streams.entry(name.to_owned()).or_default();
        assert_eq!((written.len() as i64, *finished), (request.write_offset, false), "the place in the stream");
        written.extend_from_slice(&request.data);
        *finished = request.finish_write;
        let committed = written.len() as i64;
        drop(state);
        self.tell();
        if breaks { Err(ConnectError::unavailable("broken off")) } else { Ok(committed) }
    }

    async fn released(&self) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if !self.state().hold_reads {
                return;
            }
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// The content of a blob, or something else of the same size.
    fn content(&self, digest: &Digest) -> Option<Bytes> {
        let mut state = self.state();
        state.reads.push(*digest);
        self.tell();
        if let Some(times) = state.corrupt.get_mut(digest).filter(|times| **times > 0) {
            *times -= 1;
            return Some(vec![0xAA; digest.size() as usize].into());
        }
        state.blobs.get(digest).cloned()
    }
}

struct Service(Arc<Inner>);

fn parse(function: i32, digest: &wire::Digest) -> Result<Digest, ConnectError> {
    let function = DigestFunction::from_wire_or_infer(function, digest.hash.len());
    let function = function.map_err(|error| ConnectError::invalid_argument(error.to_string()))?;
    Digest::parse(function, &digest.hash, digest.size_bytes)
        .map_err(|error| ConnectError::invalid_argument(error.to_string()))
}

fn status(code: Code, message: &str) -> Status {
    Status { code: code as i32, message: message.into(), ..Default::default() }
}

impl ContentAddressableStorage for Service {
    async fn find_missing_blobs(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::FindMissingBlobsRequest>,
    ) -> ServiceResult<wire::FindMissingBlobsResponse> {
        self.0.called("find_missing")?;
        let request = request.to_owned_message();
        let mut missing = Vec::new();
        for digest in request.blob_digests {
            if !self.0.state().blobs.contains_key(&parse(request.digest_function.to_i32(), &digest)?) {
                missing.push(digest);
            }
        }
        Response::ok(wire::FindMissingBlobsResponse { missing_blob_digests: missing, ..Default::default() })
    }

    async fn batch_update_blobs(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::BatchUpdateBlobsRequest>,
    ) -> ServiceResult<wire::BatchUpdateBlobsResponse> {
        self.0.called("batch_update")?;
        let request = request.to_owned_message();
        let bytes: usize = request.requests.iter().map(|blob| blob.data.len()).sum();
        if bytes > 4 * 1024 * 1024 - 64 * 1024 {
            return Err(ConnectError::invalid_argument("requests: too large"));
        }
        let mut responses = Vec::new();
        for blob in request.requests {
            let digest = parse(request.digest_function.to_i32(), blob.digest.as_option().expect("a digest"))?;
            let right = Digest::of(digest.function(), &blob.data) == digest;
            let status = if right { status(Code::OK, "") } else { status(Code::INVALID_ARGUMENT, "other bytes") };
            if right {
                self.0.state().blobs.insert(digest, Bytes::copy_from_slice(&blob.data));
            }
            responses.push(wire::batch_update_blobs_response::Response {
                digest: blob.digest,
                status: status.into(),
                ..Default::default()
            });
        }
        Response::ok(wire::BatchUpdateBlobsResponse { responses, ..Default::default() })
    }

    async fn batch_read_blobs(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::BatchReadBlobsRequest>,
    ) -> ServiceResult<wire::BatchReadBlobsResponse> {
        self.0.called("batch_read")?;
        self.0.released().await;
        let request = request.to_owned_message();
        let (mut responses, mut bytes) = (Vec::new(), 0);
        for digest in request.digests {
            let content = self.0.content(&parse(request.digest_function.to_i32(), &digest)?);
            let status = if content.is_some() { status(Code::OK, "") } else { status(Code::NOT_FOUND, "not here") };
            let data = content.unwrap_or_default();
            bytes += data.len();
            responses.push(wire::batch_read_blobs_response::Response {
                digest: digest.into(),
                data,
                status: status.into(),
                ..Default::default()
            });
        }
        if bytes > 4 * 1024 * 1024 - 64 * 1024 {
            return Err(ConnectError::invalid_argument("digests: too large"));
        }
        Response::ok(wire::BatchReadBlobsResponse { responses, ..Default::default() })
    }

    async fn get_tree(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, wire::GetTreeRequest>,
    ) -> ServiceResult<ServiceStream<wire::GetTreeResponse>> {
        Err(ConnectError::unimplemented("not here"))
    }

    async fn split_blob(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, wire::SplitBlobRequest>,
    ) -> ServiceResult<wire::SplitBlobResponse> {
        Err(ConnectError::unimplemented("not here"))
    }

    async fn get_chunk_mapping(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, wire::GetChunkMappingRequest>,
    ) -> ServiceResult<ServiceStream<wire::GetChunkMappingResponse>> {
        Err(ConnectError::unimplemented("not here"))
    }

    async fn splice_blob(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, wire::SpliceBlobRequest>,
    ) -> ServiceResult<wire::SpliceBlobResponse> {
        Err(ConnectError::unimplemented("not here"))
    }

    async fn register_chunk_mapping(
        &self,
        _ctx: RequestContext,
        _requests: InboundStream<wire::RegisterChunkMappingRequest>,
    ) -> ServiceResult<wire::RegisterChunkMappingResponse> {
        Err(ConnectError::unimplemented("not here"))
    }
}

impl ByteStream for Service {
    async fn read(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, stream::ReadRequest>,
    ) -> ServiceResult<ServiceStream<stream::ReadResponse>> {
        self.0.called("read")?;
        self.0.released().await;
        let Ok(ReadName::Blob { digest, .. }) = ReadName::parse(request.resource_name) else {
            return Err(ConnectError::invalid_argument("resource_name"));
        };
        let content = self.0.content(&digest).ok_or_else(|| ConnectError::not_found("not here"))?;
        let content = content.slice(request.read_offset as usize..);
        let breaks = {
            let mut state = self.0.state();
            state.offsets.push(request.read_offset);
            let breaks = state.break_streams > 0;
            state.break_streams = state.break_streams.saturating_sub(1);
            breaks
        };
        let pieces = content.chunks(PIECE_BYTES).map(|piece| content.slice_ref(piece));
        let pieces: Vec<_> = if breaks { pieces.take(1).collect() } else { pieces.collect() };
        let answers = pieces.into_iter().map(|data| Ok(stream::ReadResponse { data, ..Default::default() }));
        let end = breaks.then(|| Err(ConnectError::unavailable("broken off")));
        Response::stream_ok(futures::stream::iter(answers.chain(end).collect::<Vec<_>>()))
    }

    async fn write(
        &self,
        _ctx: RequestContext,
        mut requests: InboundStream<stream::WriteRequest>,
    ) -> ServiceResult<stream::WriteResponse> {
        self.0.called("write")?;
        let (mut name, mut finished) = (String::new(), false);
        let mut breaks = false;
        while let Some(request) = requests.next().await {
            let request = request?.to_owned_message();
            if is_log(&name) || is_log(&request.resource_name) {
                if name.is_empty() {
                    name.clone_from(&request.resource_name);
                }
                let committed = self.0.log(&name, &request)?;
                if request.finish_write {
                    return Response::ok(answer(committed));
                }
                continue;
            }
            if name.is_empty() {
                name.clone_from(&request.resource_name);
                let mut state = self.0.state();
                state.offsets.push(request.write_offset);
                breaks = state.break_streams > 0;
                state.break_streams = state.break_streams.saturating_sub(1);
            }
            let mut state = self.0.state();
            let upload = state.uploads.entry(name.clone()).or_default();
            if upload.len() as i64 != request.write_offset {
                let message = format!("write_offset: {} after {}", request.write_offset, upload.len());
                return Err(ConnectError::invalid_argument(message));
            }
            upload.extend_from_slice(&request.data);
            finished |= request.finish_write;
            let digest = written(&name)?;
            if state.appears.contains(&digest) {
                return Response::ok(answer(digest.size_wire()));
            }
            drop(state);
            if breaks {
                return Err(ConnectError::unavailable("broken off"));
            }
        }
        let digest = written(&name)?;
        let mut state = self.0.state();
        let content = state.uploads.remove(&name).unwrap_or_default();
        if !finished || Digest::of(digest.function(), &content) != digest {
            return Err(ConnectError::invalid_argument("the content has another digest"));
        }
        state.blobs.insert(digest, content.into());
        Response::ok(answer(digest.size_wire()))
    }

    async fn query_write_status(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, stream::QueryWriteStatusRequest>,
    ) -> ServiceResult<stream::QueryWriteStatusResponse> {
        self.0.called("query")?;
        let state = self.0.state();
        if is_log(request.resource_name) {
            let Some((written, complete)) = state.streams.get(request.resource_name) else {
                return Err(ConnectError::not_found("no such stream"));
            };
            let (committed_size, complete) = (written.len() as i64, *complete);
            return Response::ok(stream::QueryWriteStatusResponse { committed_size, complete, ..Default::default() });
        }
        let digest = written(request.resource_name)?;
        let complete = state.blobs.contains_key(&digest);
        let committed_size = match state.uploads.get(request.resource_name) {
            _ if complete => digest.size_wire(),
            Some(upload) => upload.len() as i64,
            None => return Err(ConnectError::not_found("no such upload")),
        };
        Response::ok(stream::QueryWriteStatusResponse { committed_size, complete, ..Default::default() })
    }
}

fn is_log(name: &str) -> bool {
    name.contains("logstreams/")
}

fn written(name: &str) -> Result<Digest, ConnectError> {
    match WriteName::parse(name) {
        Ok(WriteName::Blob { digest, .. }) => Ok(digest),
        _ => Err(ConnectError::invalid_argument("resource_name")),
    }
}

fn answer(committed_size: i64) -> stream::WriteResponse {
    stream::WriteResponse { committed_size, ..Default::default() }
}
