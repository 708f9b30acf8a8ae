//! Calls of a REAPI server that are ready to be sent, and what is kept of their answers. Knows the shapes of the calls,
//! not what they are for.

use bytes::Bytes;
use futures::stream;
use http_body_util::BodyExt;
use millrace_bench::client::{Client, Connection};
use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Service, http};
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::raw_codec::RawCodec;

/// The largest answer that is taken, in bytes.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;
const WRITE: &str = "/google.bytestream.ByteStream/Write";
const READ: &str = "/google.bytestream.ByteStream/Read";
const EXECUTE: &str = "/build.bazel.remote.execution.v2.Execution/Execute";

/// One call, encoded.
#[derive(Clone)]
pub enum Call {
    /// One message each way.
    Unary {
        /// `/package.Service/Method`.
        method: &'static str,
        /// The request.
        request: Bytes,
    },
    /// ByteStream.Write.
    Write {
        /// The requests.
        messages: Vec<Bytes>,
    },
    /// ByteStream.Read.
    Read {
        /// The request.
        request: Bytes,
    },
    /// Execution.Execute. Of its answer the last message is kept, whatever else is.
    Execute {
        /// The request.
        request: Bytes,
    },
    /// A plain GET over HTTP/2.
    Get {
        /// The path, with its slash.
        path: &'static str,
    },
}

/// What of an answer is kept, to be checked when the clock has stopped.
#[derive(Clone, Copy)]
pub enum Keep {
    /// Its length.
    Length,
    /// All of it.
    All,
    /// The piece that holds this byte.
    At(u64),
}

/// What came.
#[derive(Debug, Default)]
pub struct Answer {
    /// How many bytes: of a blob's data (Read, Get), or of the encoded message.
    pub bytes: u64,
    /// Pieces that were kept, each with its place.
    pub kept: Vec<(u64, Bytes)>,
}

/// A connection, for one caller at a time.
pub struct Caller {
    grpc: Grpc<Connection>,
    plain: Channel,
    origin: String,
}

/// `google.bytestream.ReadResponse`, with its data as a piece of the buffer that it came in.
#[derive(Message)]
struct ReadData {
    #[prost(bytes = "bytes", tag = "10")]
    data: Bytes,
}

impl Caller {
    /// Shares the client's connection.
    pub fn new(client: &Client, origin: &str) -> Self {
        let grpc = Grpc::new(client.connection()).max_decoding_message_size(ANSWER_MAX_BYTES);
        Self { grpc, plain: client.channel(), origin: origin.trim_end_matches('/').to_owned() }
    }

    /// Makes a call, and reads its answer to the end.
    pub async fn make(&mut self, call: &Call, keep: Keep) -> Result<Answer, Status> {
        if let Call::Get { path } = call {
            return self.get(path, keep).await;
        }
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut answer = Answer::default();
        match call {
            Call::Unary { method, request } => {
                let path = PathAndQuery::from_static(method);
                let message = self.grpc.unary(Request::new(request.clone()), path, RawCodec).await?;
                answer.take(message.into_inner(), keep);
            }
            Call::Write { messages } => {
                let path = PathAndQuery::from_static(WRITE);
                let requests = Request::new(stream::iter(messages.clone()));
                let message = self.grpc.client_streaming(requests, path, RawCodec).await?;
                answer.take(message.into_inner(), keep);
            }
            Call::Read { request } => {
                let path = PathAndQuery::from_static(READ);
                let requests = Request::new(request.clone());
                let mut messages = self.grpc.server_streaming(requests, path, RawCodec).await?.into_inner();
                while let Some(message) = messages.message().await? {
                    let data = ReadData::decode(message).map_err(|error| Status::internal(error.to_string()))?.data;
                    answer.take(data, keep);
                }
            }
            Call::Execute { request } => {
                let path = PathAndQuery::from_static(EXECUTE);
                let requests = Request::new(request.clone());
                let mut messages = self.grpc.server_streaming(requests, path, RawCodec).await?.into_inner();
                while let Some(message) = messages.message().await? {
                    answer.kept.clear();
                    answer.take(message, Keep::All);
                }
            }
            Call::Get { .. } => {}
        }
        Ok(answer)
    }

    async fn get(&mut self, path: &str, keep: Keep) -> Result<Answer, Status> {
        let failed = |error: &dyn std::fmt::Display| Status::unavailable(error.to_string());
        futures::future::poll_fn(|context| self.plain.poll_ready(context)).await.map_err(|error| failed(&error))?;
        let request = http::Request::get(format!("{}{path}", self.origin)).body(tonic::body::Body::empty());
        let response =
            self.plain.call(request.map_err(|error| failed(&error))?).await.map_err(|error| failed(&error))?;
        if response.status() != http::StatusCode::OK {
            return Err(Status::unknown(format!("GET {path}: {}", response.status())));
        }
        let (mut answer, mut body) = (Answer::default(), response.into_body());
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                answer.take(data, keep);
            }
        }
        Ok(answer)
    }
}

impl Answer {
    fn take(&mut self, piece: Bytes, keep: Keep) {
        let (from, length) = (self.bytes, piece.len() as u64);
        self.bytes += length;
        let kept = match keep {
            Keep::Length => false,
            Keep::All => true,
            Keep::At(at) => (from..self.bytes).contains(&at),
        };
        if kept {
            self.kept.push((from, piece));
        }
    }
}
