//! The server's content-addressable storage as a runner uses it: batches, streams that resume, tries again. Whatever
//! was read has the digest that was asked for. Knows nothing of files.

mod batch;
mod error;
mod read;
mod retry;
mod write;

use std::sync::Arc;
use std::time::Duration;

use connectrpc::client::ClientConfig;
use millrace_proto::bytestream::ByteStreamClient;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::reapi::{self, ContentAddressableStorageClient};
use tokio::sync::Semaphore;

pub use batch::{BATCH_MAX_BYTES, batches};
pub use error::CasError;
pub use write::Source;

use crate::error::Error;
use crate::transport::Transport;

/// How many calls that move content are under way at once, of all slots together.
pub const CAS_CALLS_MAX: usize = 16;
/// The largest answer: a batch, and a chunk of a stream.
const ANSWER_MAX_BYTES: usize = 8 * 1024 * 1024;
/// How long a call without a stream may take.
const CALL_TIMEOUT_SECONDS: u64 = 60;
/// How long the server may be unreachable before the action is given up.
pub const CAS_PATIENCE_SECONDS: u64 = 60;

/// The CAS of a server. Cheap to clone.
#[derive(Clone)]
pub struct Cas {
    blobs: ContentAddressableStorageClient<Transport>,
    streams: ByteStreamClient<Transport>,
    lanes: Arc<Semaphore>,
    patience: Duration,
}

impl Cas {
    /// The CAS of the server at this address; every call carries the runner token.
    pub fn new(server: &str, transport: Transport, token: &str) -> Result<Self, Error> {
        let uri = server.parse().map_err(|error| Error::Usage(format!("server: {error}")))?;
        let config = ClientConfig::new(uri)
            .with_default_max_message_size(ANSWER_MAX_BYTES)
            .with_default_header("authorization", format!("Bearer {token}"));
        // A stream takes as long as it takes; that it stands still is noticed where it is read or written.
        let streams = ByteStreamClient::new(transport.clone(), config.clone());
        let config = config.with_default_timeout(Duration::from_secs(CALL_TIMEOUT_SECONDS));
        Ok(Self {
            blobs: ContentAddressableStorageClient::new(transport, config),
            streams,
            lanes: Arc::new(Semaphore::new(CAS_CALLS_MAX)),
            patience: Duration::from_secs(CAS_PATIENCE_SECONDS),
        })
    }

    /// Gives up earlier or later when the server cannot be reached.
    #[cfg(test)]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// A digest as messages have it.
pub fn wire(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hex(), size_bytes: digest.size_wire(), ..Default::default() }
}

/// A digest function as messages have it.
fn wire_function(function: DigestFunction) -> buffa::EnumValue<reapi::digest_function::Value> {
    function.wire().into()
}
