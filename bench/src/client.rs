//! Clients of one server, with a token, over one HTTP/2 connection. Knows nothing of what is called.

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::wire::millrace_v1::log_service_client::LogServiceClient;
use crate::wire::millrace_v1::pipeline_service_client::PipelineServiceClient;
use crate::wire::millrace_v1::runner_service_client::RunnerServiceClient as AdminClient;
use crate::wire::runner_v1::runner_service_client::RunnerServiceClient as AgentClient;

/// The largest answer that is taken, in bytes.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A connection that says who calls.
pub type Connection = InterceptedService<Channel, Bearer>;

/// A server and a token for it. Clones share the connection.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    bearer: Bearer,
}

/// Puts the token into each call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Client {
    /// Connects with the first call, and again after a connection was lost. An empty token: none is sent.
    pub fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect_lazy();
        let bearer = if token.is_empty() { None } else { Some(format!("Bearer {token}").parse()?) };
        Ok(Self { channel, bearer: Bearer(bearer) })
    }

    /// Runs of pipelines.
    pub fn pipelines(&self) -> PipelineServiceClient<Connection> {
        PipelineServiceClient::new(self.connection()).max_decoding_message_size(ANSWER_MAX_BYTES)
    }

    /// Logs.
    pub fn logs(&self) -> LogServiceClient<Connection> {
        LogServiceClient::new(self.connection()).max_decoding_message_size(ANSWER_MAX_BYTES)
    }

    /// Administration of runners.
    pub fn runners(&self) -> AdminClient<Connection> {
        AdminClient::new(self.connection())
    }

    /// The runner protocol.
    pub fn agents(&self) -> AgentClient<Connection> {
        AgentClient::new(self.connection()).max_decoding_message_size(ANSWER_MAX_BYTES)
    }

    /// For calls of other services.
    pub fn connection(&self) -> Connection {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }

    /// For requests that are no calls, without the token.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}
