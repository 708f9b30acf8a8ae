//! A blob on its way in whose digest is not known beforehand, or is the caller's to check.

use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;

use super::open_uploads::OpenUploads;
use super::sink::Sink;
use crate::error::Result;

/// A blob on its way in. Dropped before `finish`, nothing is left of it. After an error it takes no more.
pub struct Receive {
    sink: Sink,
    instance: InstanceName,
    uploads: Arc<OpenUploads>,
}

impl Receive {
    pub(super) fn new(sink: Sink, instance: InstanceName, uploads: Arc<OpenUploads>) -> Self {
        Self { sink, instance, uploads }
    }

    /// Takes the next encoded bytes.
    pub async fn write(&mut self, data: Bytes) -> Result<()> {
        self.sink.write(data).await
    }

    /// What the decoded bytes so far hash to: for a caller who knows a part of the digest and looks before the end.
    pub fn digest(&mut self) -> Result<Digest> {
        self.sink.digest()
    }

    /// Makes the blob durable and visible, and says what it is called. With an `expected` digest that the bytes don't
    /// have: `Error::Invalid`, and nothing is left.
    pub async fn finish(mut self, expected: Option<Digest>) -> Result<Digest> {
        let digest = match expected {
            Some(digest) => digest,
            None => self.sink.digest()?,
        };
        self.sink.commit(digest).await?;
        self.uploads.completed(&self.instance, &digest);
        Ok(digest)
    }
}
