//! Walks a tree of Directory blobs from its top, level by level. Each Directory is read once, however often the tree
//! names it, and there are limits on what a tree may be: a few small blobs can describe more than any disk holds.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use buffa::view::MessageView;
use bytes::Bytes;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::DirectoryView;

use super::directory::{BadDirectory, Children};
use crate::blobs::BlobRoom;
use crate::error::{Error, Result};

/// How many different Directories a tree may have.
pub const TREE_DIRECTORIES_MAX: usize = 500_000;
/// How many children all Directories of a tree may have together.
pub const TREE_NODES_MAX: usize = 5_000_000;
/// How many bytes all Directories of a tree may have together.
pub const TREE_MAX_BYTES: u64 = 512 * 1024 * 1024;
/// How deep a tree may be: no system has longer paths.
pub const TREE_DEPTH_MAX: u32 = 4_096;
/// How many Directories are read at once.
const READ_DIRECTORIES_MAX: usize = 1_000;

/// A walk on its way.
pub struct Walk {
    room: Arc<BlobRoom>,
    instance: InstanceName,
    root: Digest,
    /// What is to be read, with its depth.
    queue: VecDeque<(Digest, u32)>,
    seen: HashSet<Digest>,
    nodes: usize,
    bytes: u64,
    /// Directories that the tree names and that are not here, so far.
    pub missing: Vec<Digest>,
}

/// A Directory on the way.
pub struct Found {
    /// Its digest.
    pub digest: Digest,
    /// Its message as it is kept.
    pub bytes: Bytes,
    /// What is in it.
    pub children: Children,
}

impl Walk {
    /// Begins at a Directory.
    pub fn from(room: Arc<BlobRoom>, instance: InstanceName, root: Digest) -> Self {
        let (queue, seen) = (VecDeque::from([(root, 0)]), HashSet::from([root]));
        Self { room, instance, root, queue, seen, nodes: 0, bytes: 0, missing: Vec::new() }
    }

    /// The next Directories, parents before their children; none: that was all. [`Error::NotFound`] when the root
    /// is not here.
    pub async fn next(&mut self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        while found.is_empty() {
            let batch = self.batch()?;
            if batch.is_empty() {
                break;
            }
            let digests: Vec<Digest> = batch.iter().map(|(digest, _)| *digest).collect();
            let read = self.room.read_many(&self.instance, &digests, false).await?;
            for ((digest, depth), read) in batch.into_iter().zip(read) {
                match read {
                    Ok((_, bytes)) => found.push(self.visit(digest, depth, bytes)?),
                    Err(Error::NotFound(_)) if digest != self.root => self.missing.push(digest),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(found)
    }

    /// The next of the queue that can be read together.
    fn batch(&mut self) -> Result<Vec<(Digest, u32)>> {
        let limit = self.room.limits().batch_max_bytes;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some((digest, _)) = self.queue.front()
            && batch.len() < READ_DIRECTORIES_MAX
        {
            if digest.size() > limit {
                return Err(Error::Exhausted(format!(
                    "the Directory {digest} is larger than a Directory may be ({limit} bytes)"
                )));
            }
            bytes += digest.size();
            if bytes > limit {
                break;
            }
            batch.extend(self.queue.pop_front());
        }
        Ok(batch)
    }

    fn visit(&mut self, digest: Digest, depth: u32, bytes: Bytes) -> Result<Found> {
        let children = DirectoryView::decode_view(&bytes)
            .map_err(|error| BadDirectory::Undecodable(error.to_string()))
            .and_then(|directory| Ok((Children::of(digest.function(), &directory)?, directory.symlinks.len())));
        let (children, symlinks) =
            children.map_err(|error| Error::invalid("root_digest", format!("the Directory {digest}: {error}")))?;
        self.nodes += children.files.len() + children.directories.len() + symlinks;
        self.bytes += bytes.len() as u64;
        for child in &children.directories {
            if self.seen.insert(*child) {
                self.queue.push_back((*child, depth + 1));
            }
        }
        self.check(depth)?;
        Ok(Found { digest, bytes, children })
    }

    fn check(&self, depth: u32) -> Result<()> {
        let over = |what: String| Err(Error::Exhausted(format!("the tree {} {what}", self.root)));
        if self.seen.len() > TREE_DIRECTORIES_MAX {
            return over(format!("has more than {TREE_DIRECTORIES_MAX} directories"));
        }
        if self.nodes > TREE_NODES_MAX {
            return over(format!("has more than {TREE_NODES_MAX} files, directories and symlinks"));
        }
        if self.bytes > TREE_MAX_BYTES {
            return over(format!("has Directories of more than {TREE_MAX_BYTES} bytes together"));
        }
        if depth > TREE_DEPTH_MAX {
            return over(format!("is deeper than {TREE_DEPTH_MAX}"));
        }
        Ok(())
    }
}
