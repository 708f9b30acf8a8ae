//! Where downloads come in: blobs and trees of one instance, under a limit of bytes. Knows nothing of where they are from.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::downloader::{Brought, Fault, Upstream};
use super::tree::{TreeBuilder, TreeError};
use crate::blobs::{BlobRoom, Encoding, NewBlob, Receive};
use crate::error::Result;

/// Files up to this size wait for others, to be kept with one commit, in bytes.
const SMALL_MAX_BYTES: usize = 256 * 1024;
/// How much waits, in bytes; less than a batch of the blob room's may have.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// How many files wait.
const BATCH_FILES: usize = 1_000;

/// Where a download goes.
#[derive(Clone)]
pub struct Landing {
    /// The room.
    pub room: Arc<BlobRoom>,
    /// Whose.
    pub instance: InstanceName,
    /// By which function digests are.
    pub function: DigestFunction,
}

impl Landing {
    /// Begins a blob.
    pub async fn receive(&self, size: Option<u64>) -> Result<Receive> {
        self.room.receive(&self.instance, self.function, Encoding::Identity, size).await
    }

    /// Begins a tree that holds so many bytes at most.
    pub fn tree(&self, max_bytes: u64) -> TreeLanding {
        TreeLanding {
            landing: self.clone(),
            tree: TreeBuilder::default(),
            open: None,
            batch: Vec::new(),
            batch_bytes: 0,
            total_bytes: 0,
            max_bytes,
        }
    }

    async fn keep(&self, blobs: Vec<NewBlob>) -> Result<()> {
        for kept in self.room.write_many(&self.instance, blobs).await? {
            kept?;
        }
        Ok(())
    }
}

/// A tree that is coming in: entries one after another, a file's bytes after the file.
pub struct TreeLanding {
    landing: Landing,
    tree: TreeBuilder,
    open: Option<OpenFile>,
    batch: Vec<NewBlob>,
    batch_bytes: usize,
    total_bytes: u64,
    max_bytes: u64,
}

struct OpenFile {
    path: String,
    executable: bool,
    small: BytesMut,
    large: Option<Receive>,
}

impl TreeLanding {
    /// A file begins.
    pub async fn file(&mut self, path: &str, executable: bool) -> std::result::Result<(), Fault> {
        self.close().await?;
        self.open = Some(OpenFile { path: path.to_owned(), executable, small: BytesMut::new(), large: None });
        Ok(())
    }

    /// The file goes on.
    pub async fn data(&mut self, data: Bytes) -> std::result::Result<(), Fault> {
        self.total_bytes += data.len() as u64;
        if self.total_bytes > self.max_bytes {
            let message = format!("its files have more than {} bytes together, which is the limit", self.max_bytes);
            return Err(Fault::upstream(Upstream::Exhausted, message));
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Some(large) = &mut open.large {
            large.write(data).await?;
        } else if open.small.len() + data.len() > SMALL_MAX_BYTES {
            let mut large = self.landing.receive(None).await?;
            if !open.small.is_empty() {
                large.write(std::mem::take(&mut open.small).freeze()).await?;
            }
            large.write(data).await?;
            open.large = Some(large);
        } else {
            open.small.extend_from_slice(&data);
        }
        Ok(())
    }

    /// A symbolic link.
    pub async fn symlink(&mut self, path: &str, target: &str) -> std::result::Result<(), Fault> {
        self.close().await?;
        Ok(self.tree.symlink(path, target)?)
    }

    /// Another name for a file that came before.
    pub async fn hard_link(&mut self, path: &str, target: &str) -> std::result::Result<(), Fault> {
        self.close().await?;
        Ok(self.tree.hard_link(path, target)?)
    }

    /// A folder.
    pub async fn folder(&mut self, path: &str) -> std::result::Result<(), Fault> {
        self.close().await?;
        Ok(self.tree.folder(path)?)
    }

    /// That was all: the tree, or the part of it below a path, is kept.
    pub async fn finish(mut self, below: &str) -> std::result::Result<Brought, Fault> {
        self.close().await?;
        self.flush().await?;
        let tree = std::mem::take(&mut self.tree).finish(below)?;
        let (root, messages, files) = tree.directories(self.landing.function);
        let mut with = files;
        with.extend(messages.keys().filter(|digest| **digest != root));
        for (digest, data) in messages {
            if data.len() > SMALL_MAX_BYTES {
                let mut receive = self.landing.receive(Some(digest.size())).await?;
                receive.write(data).await?;
                receive.finish(Some(digest)).await?;
            } else {
                self.batch(digest, data).await?;
            }
        }
        self.flush().await?;
        Ok(Brought { digest: root, with })
    }

    async fn close(&mut self) -> std::result::Result<(), Fault> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let digest = if let Some(large) = open.large {
            large.finish(None).await?
        } else {
            let data = open.small.freeze();
            let digest = Digest::of(self.landing.function, &data);
            self.batch(digest, data).await?;
            digest
        };
        Ok(self.tree.file(&open.path, digest, open.executable)?)
    }

    async fn batch(&mut self, digest: Digest, data: Bytes) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        self.batch_bytes += data.len();
        self.batch.push(NewBlob { digest, encoding: Encoding::Identity, data });
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_FILES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        self.batch_bytes = 0;
        let blobs = std::mem::take(&mut self.batch);
        if blobs.is_empty() { Ok(()) } else { self.landing.keep(blobs).await }
    }
}

impl From<TreeError> for Fault {
    fn from(error: TreeError) -> Self {
        Self::Upstream(Upstream::Aborted, error.0)
    }
}
