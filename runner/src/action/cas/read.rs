//! A blob of any size, piece by piece; goes on where a broken connection left it. Knows nothing of what is done with
//! the bytes: whoever has them all checks the hash.

use std::time::Duration;

use bytes::Bytes;
use connectrpc::client::ServerStream;
use millrace_proto::bytestream::__buffa::view::ReadResponseView;
use millrace_proto::bytestream::ReadRequest;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::resource_name::{Compressor, ReadName};
use tokio::sync::SemaphorePermit;

use super::Cas;
use super::error::CasError;
use super::retry::Patience;

/// How long a stream may stand still.
const STANDSTILL_SECONDS: u64 = 60;

type Stream = ServerStream<hyper::body::Incoming, ReadResponseView<'static>>;

/// A blob on its way here.
pub struct BlobReader<'c> {
    cas: &'c Cas,
    digest: Digest,
    name: String,
    offset: u64,
    stream: Option<Stream>,
    patience: Patience,
    _lane: Option<SemaphorePermit<'c>>,
}

impl Cas {
    /// Reads a blob from its start.
    pub async fn read(&self, instance: &InstanceName, digest: Digest) -> BlobReader<'_> {
        let compressor = Compressor::Identity;
        let name = ReadName::Blob { instance: instance.clone(), digest, compressor }.to_string();
        let patience = Patience::new(self.patience);
        let lane = self.lanes.acquire().await.ok();
        BlobReader { cas: self, digest, name, offset: 0, stream: None, patience, _lane: lane }
    }
}

impl BlobReader<'_> {
    /// The next bytes; nothing once there were as many as the digest says.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CasError> {
        loop {
            if self.offset == self.digest.size() {
                return Ok(None);
            }
            match self.step().await {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    self.offset += bytes.len() as u64;
                    if self.offset > self.digest.size() {
                        let found = format!("more than {} bytes", self.digest.size());
                        return Err(CasError::Corrupt { digest: self.digest, found });
                    }
                    self.patience.renew();
                    return Ok(Some(bytes));
                }
                Err(error) => {
                    self.stream = None;
                    self.patience.after(error).await?;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Bytes, CasError> {
        let still = Duration::from_secs(STANDSTILL_SECONDS);
        let stood = |_| CasError::Unavailable(format!("nothing came for {STANDSTILL_SECONDS} s"));
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let read_offset = self.offset as i64;
                let request = ReadRequest { resource_name: self.name.clone(), read_offset, ..Default::default() };
                let opened = tokio::time::timeout(still, self.cas.streams.read(request)).await.map_err(stood)??;
                self.stream.insert(opened)
            }
        };
        match tokio::time::timeout(still, stream.message()).await.map_err(stood)?? {
            Some(message) => Ok(message.to_owned_message().data),
            None => {
                let found = format!("{} bytes instead of {}", self.offset, self.digest.size());
                Err(CasError::Corrupt { digest: self.digest, found })
            }
        }
    }
}
