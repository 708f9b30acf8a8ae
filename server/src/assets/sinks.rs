//! Where downloads go: into a blob, or into a file without a name that goes when it is closed.

use async_trait::async_trait;
use bytes::Bytes;
use millrace_engine::assets::{Fault, Landing};
use millrace_engine::blobs::Receive;
use millrace_engine::error::Error;
use millrace_proto::digest::Digest;
use tokio::io::AsyncWriteExt;

use super::download::Sink;

/// Into a blob.
pub struct BlobSink<'a> {
    landing: &'a Landing,
    receive: Option<Receive>,
}

impl<'a> BlobSink<'a> {
    /// A blob that has not begun.
    pub fn new(landing: &'a Landing) -> Self {
        Self { landing, receive: None }
    }

    /// The blob is whole and checked: it is kept.
    pub async fn finish(self) -> Result<Digest, Fault> {
        let receive = self.receive.ok_or_else(|| Error::internal("a download that has not begun is finished"))?;
        Ok(receive.finish(None).await?)
    }
}

#[async_trait]
impl Sink for BlobSink<'_> {
    async fn begin(&mut self, size: Option<u64>) -> Result<(), Fault> {
        // What came before is dropped first: its space may be needed.
        self.receive = None;
        self.receive = Some(self.landing.receive(size).await?);
        Ok(())
    }

    async fn write(&mut self, data: Bytes) -> Result<(), Fault> {
        match &mut self.receive {
            Some(receive) => Ok(receive.write(data).await?),
            None => Err(Error::internal("a download goes on that has not begun").into()),
        }
    }
}

/// Into a file.
pub struct FileSink {
    file: Option<tokio::fs::File>,
}

impl FileSink {
    /// A file that has not begun.
    pub fn new() -> Self {
        Self { file: None }
    }

    /// The file, from its beginning.
    pub async fn finish(self) -> Result<std::fs::File, Fault> {
        use std::io::Seek;
        let mut file = self.file.ok_or_else(|| Error::internal("a download that has not begun is finished"))?;
        file.flush().await.map_err(disk)?;
        let mut file = file.into_std().await;
        file.rewind().map_err(disk)?;
        Ok(file)
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn begin(&mut self, _size: Option<u64>) -> Result<(), Fault> {
        let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(Error::internal)?;
        self.file = Some(tokio::fs::File::from_std(file.map_err(disk)?));
        Ok(())
    }

    async fn write(&mut self, data: Bytes) -> Result<(), Fault> {
        match &mut self.file {
            Some(file) => file.write_all(&data).await.map_err(disk),
            None => Err(Error::internal("a download goes on that has not begun").into()),
        }
    }
}

/// A fault of this machine's temporary folder.
#[allow(clippy::needless_pass_by_value)]
pub fn disk(error: std::io::Error) -> Fault {
    let message = format!("the folder for temporary files: {error}");
    Fault::Ours(match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Exhausted(message),
        _ => Error::Internal(message),
    })
}
