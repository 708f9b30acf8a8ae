//! The calls of the runner protocol, and what their failures mean. Knows nothing of when they are made.

use std::time::Duration;

use connectrpc::client::{CallOptions, ClientConfig};
use connectrpc::{ConnectError, ErrorCode};
use millrace_proto::bytestream::ByteStreamClient;
use millrace_proto::runner_v1::fetch_task_request::Wants;
use millrace_proto::runner_v1::{
    DeclareRequest, FetchTaskRequest, FetchTaskResponse, RegisterRequest, RunnerResponse, RunnerServiceClient,
    UpdateLogRequest, UpdateTaskRequest, UpdateTaskResponse,
};

use crate::config::Config;
use crate::error::Error;
use crate::identity::Identity;
use crate::machine;
use crate::transport::Transport;

/// The agent's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long the server is asked to hold a FetchTask.
pub const FETCH_WAIT_MS: u32 = 50_000;
/// How much longer than that an answer may take.
pub const FETCH_MARGIN_MS: u64 = 15_000;
/// How long any other call may take.
pub const CALL_TIMEOUT_MS: u64 = 30_000;
/// The largest answer: a task with its contexts.
pub const ANSWER_MAX_BYTES: usize = 32 * 1024 * 1024;

/// What a failed call means.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// Try again later.
    #[error("{0}")]
    Unavailable(String),
    /// The runner token is worth nothing.
    #[error("{0}")]
    NotAuthorised(String),
    /// The task is not this runner's any more.
    #[error("{0}")]
    NotYours(String),
    /// The server holds something else at this place.
    #[error("{0}")]
    Conflict(String),
    /// The same call will never be taken.
    #[error("{0}")]
    Refused(String),
}

impl From<ConnectError> for ApiError {
    fn from(error: ConnectError) -> Self {
        let text = match &error.message {
            Some(message) if !message.is_empty() => format!("{message} ({})", error.code.as_str()),
            _ => error.code.as_str().to_owned(),
        };
        match error.code {
            ErrorCode::Unauthenticated => Self::NotAuthorised(text),
            ErrorCode::PermissionDenied | ErrorCode::NotFound | ErrorCode::FailedPrecondition => Self::NotYours(text),
            ErrorCode::Aborted | ErrorCode::AlreadyExists => Self::Conflict(text),
            ErrorCode::InvalidArgument | ErrorCode::OutOfRange | ErrorCode::Unimplemented => Self::Refused(text),
            _ => Self::Unavailable(text),
        }
    }
}

/// The server, with or without an identity.
#[derive(Clone)]
pub struct Api {
    client: RunnerServiceClient<Transport>,
    token: String,
}

impl Api {
    /// A server that does not know us yet.
    pub fn new(server: &str, transport: Transport) -> Result<Self, Error> {
        let uri = server.parse().map_err(|error| Error::Usage(format!("server: {error}")))?;
        let config = ClientConfig::new(uri)
            .with_default_timeout(Duration::from_millis(CALL_TIMEOUT_MS))
            .with_default_max_message_size(ANSWER_MAX_BYTES);
        Ok(Self { client: RunnerServiceClient::new(transport, config), token: String::new() })
    }

    /// The same server, and every call says who we are.
    pub fn with_identity(mut self, identity: &Identity) -> Self {
        let config = self.client.config().clone();
        *self.client.config_mut() = config.with_default_header("authorization", format!("Bearer {}", identity.token));
        self.token.clone_from(&identity.token);
        self
    }

    /// The same server's streams, for what commands print. A stream takes as long as it takes.
    pub fn streams(&self, server: &str, transport: Transport) -> Result<ByteStreamClient<Transport>, Error> {
        let uri = server.parse().map_err(|error| Error::Usage(format!("server: {error}")))?;
        let config = ClientConfig::new(uri).with_default_header("authorization", format!("Bearer {}", self.token));
        Ok(ByteStreamClient::new(transport, config))
    }

    /// Turns a registration token into an identity.
    pub async fn register(&self, config: &Config, token: &str) -> Result<RunnerResponse, ApiError> {
        let request = RegisterRequest {
            name: config.name.clone(),
            token: token.to_owned(),
            version: VERSION.to_owned(),
            labels: config.all_labels(),
            ephemeral: config.ephemeral,
            slots: config.slots,
            ..Default::default()
        };
        let response = self.client.register(request).await?.into_owned();
        Ok(response.runner.into_option().unwrap_or_default())
    }

    /// Tells what this runner is and serves.
    pub async fn declare(&self, config: &Config, identity: &Identity) -> Result<(), ApiError> {
        let request = DeclareRequest {
            token: identity.token.clone(),
            uuid: identity.uuid.clone(),
            version: VERSION.to_owned(),
            labels: config.all_labels(),
            slots: config.slots,
            os: machine::os().to_owned(),
            arch: machine::arch().to_owned(),
            properties: config.actions.offered(&config.all_labels()),
            runs_actions: config.actions.enabled,
            ..Default::default()
        };
        self.client.declare(request).await?;
        Ok(())
    }

    /// Waits for a task.
    pub async fn fetch_task(
        &self,
        request_id: &str,
        draining: bool,
        wants: Wants,
    ) -> Result<FetchTaskResponse, ApiError> {
        let request = FetchTaskRequest {
            token: self.token.clone(),
            request_id: request_id.to_owned(),
            wait_ms: FETCH_WAIT_MS,
            draining,
            wants: wants.into(),
            ..Default::default()
        };
        let timeout = Duration::from_millis(u64::from(FETCH_WAIT_MS) + FETCH_MARGIN_MS);
        let options = CallOptions::default().with_timeout(timeout);
        Ok(self.client.fetch_task_with_options(request, options).await?.into_owned())
    }

    /// Tells what has become of a task.
    pub async fn update_task(&self, request: UpdateTaskRequest) -> Result<UpdateTaskResponse, ApiError> {
        Ok(self.client.update_task(request).await?.into_owned())
    }

    /// Sends rows; answers how many are stored.
    pub async fn update_log(&self, request: UpdateLogRequest) -> Result<i64, ApiError> {
        Ok(self.client.update_log(request).await?.into_owned().ack_index)
    }
}
