//! Uploads a blob of any size by ByteStream; goes on where a broken connection left it. Knows nothing of files: the
//! bytes come from a [`Source`].

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use millrace_proto::bytestream::{QueryWriteStatusRequest, WriteRequest};
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::resource_name::{Compressor, WriteName};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Cas;
use super::error::CasError;
use super::retry::Patience;

/// How much goes into one message.
const CHUNK_MAX_BYTES: usize = 1024 * 1024;
/// How many messages are read ahead.
const CHUNKS_AHEAD: usize = 2;

/// Bytes that can be read more than once. Called on threads that may block.
pub trait Source: Send + Sync + 'static {
    /// Exactly so many bytes from there.
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes>;
}

impl Source for Bytes {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(len).filter(|end| *end <= self.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(self.slice(start..end))
    }
}

impl Cas {
    /// Stores a blob. The server hashes what it gets: bytes of another digest are [`CasError::Refused`].
    pub async fn write(
        &self,
        instance: &InstanceName,
        digest: Digest,
        source: Arc<dyn Source>,
    ) -> Result<(), CasError> {
        let _lane = self.lanes.acquire().await;
        let (uuid, compressor) = (uuid::Uuid::new_v4().to_string(), Compressor::Identity);
        let name = WriteName::Blob { instance: instance.clone(), uuid, digest, compressor }.to_string();
        let mut patience = Patience::new(self.patience);
        let mut offset = 0;
        loop {
            let error = match self.write_from(&name, digest.size(), offset, Arc::clone(&source)).await {
                Ok(committed) if committed == digest.size() => return Ok(()),
                Ok(committed) => {
                    let found = format!("an answer that {committed} of {} bytes are stored", digest.size());
                    CasError::Corrupt { digest, found }
                }
                Err(error) => error,
            };
            patience.after(error).await?;
            match self.progress(&name, digest.size()).await {
                Ok(None) => return Ok(()),
                Ok(Some(committed)) => {
                    if committed > offset {
                        patience.renew();
                    }
                    offset = committed;
                }
                // Not heard of it yet: from the start.
                Err(CasError::NotFound(_)) => offset = 0,
                Err(error) => patience.after(error).await?,
            }
        }
    }

    async fn write_from(&self, name: &str, size: u64, offset: u64, source: Arc<dyn Source>) -> Result<u64, CasError> {
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let failed = Arc::new(Mutex::new(None));
        let (name, failure) = (name.to_owned(), Arc::clone(&failed));
        // Ends when everything is sent, or when nobody takes it any more.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = send(&sender, name, size, offset, &*source) {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            }
        });
        let answer = self.streams.write(ReceiverStream::new(receiver)).await;
        if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(CasError::Source(error));
        }
        let committed = answer?.into_owned().committed_size;
        u64::try_from(committed).map_err(|_| CasError::Refused(format!("committed_size: {committed} is negative")))
    }

    /// How far the upload is; nothing: it is whole.
    async fn progress(&self, name: &str, size: u64) -> Result<Option<u64>, CasError> {
        let request = QueryWriteStatusRequest { resource_name: name.to_owned(), ..Default::default() };
        let status = self.streams.query_write_status(request).await?.into_owned();
        if status.complete {
            return Ok(None);
        }
        let committed = u64::try_from(status.committed_size).unwrap_or(0);
        Ok(Some(if committed > size { 0 } else { committed }))
    }
}

/// Sends the messages from an offset on.
fn send(
    sender: &mpsc::Sender<WriteRequest>,
    name: String,
    size: u64,
    mut offset: u64,
    source: &dyn Source,
) -> io::Result<()> {
    let mut name = Some(name);
    loop {
        let len = usize::try_from(size - offset).unwrap_or(usize::MAX).min(CHUNK_MAX_BYTES);
        let data = source.read_at(offset, len)?;
        let write_offset = offset as i64;
        offset += len as u64;
        let finish_write = offset == size;
        let resource_name = name.take().unwrap_or_default();
        let message = WriteRequest { resource_name, write_offset, finish_write, data, ..Default::default() };
        // Refused: the server has answered already.
        if sender.blocking_send(message).is_err() || finish_write {
            return Ok(());
        }
    }
}
