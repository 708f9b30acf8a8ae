//! What output directories are made of: every blob below a Tree or a Directory. That never changes, as their digests say
//! all, so each is worked out once and kept for the next hit. Whether those blobs are here is not asked here.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buffa::DecodeOptions;
use buffa::encoding::{Tag, WireType, decode_varint, skip_field};
use bytes::Bytes;
use lru::LruCache;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::TreeView;
use tokio::sync::Semaphore;

use super::directory::{BadDirectory, Children};
use super::walk::Walk;
use crate::blobs::BlobRoom;
use crate::error::{Error, Result};

/// How much memory the closures that are kept may take, in bytes.
pub const CLOSURES_MAX_BYTES: usize = 16 * 1024 * 1024;
/// The largest Tree message, in bytes.
pub const TREE_MESSAGE_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The most memory that a decoded Tree may take, in bytes: its message may be a thousand times denser.
const TREE_DECODED_MAX_BYTES: usize = 512 * 1024 * 1024;
/// From here on a Tree is decoded where it keeps no other request waiting, in bytes.
const OFFLOAD_MIN_BYTES: usize = 256 * 1024;
/// What an entry takes besides its digests, in bytes, about.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// `Tree.children`.
const TREE_CHILDREN_FIELD: u32 = 2;
/// So many closures are worked out at a time.
const WORKERS_MAX: usize = 2;

/// What a digest of an output directory is the digest of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Top {
    /// A Tree message. Its Directories are in it: they need not be blobs of their own.
    Tree,
    /// A Directory message. Those below it are blobs.
    Directory,
}

/// By instance too: with a weak digest function one instance could otherwise say what is in another's Tree.
type Key = (InstanceName, Digest, Top);

/// The closures that were worked out last.
pub struct Closures {
    room: Arc<BlobRoom>,
    /// Held for a look or an insertion.
    kept: Mutex<Kept>,
    /// Working one out takes memory: few do at a time.
    workers: Semaphore,
}

struct Kept {
    closures: LruCache<Key, Arc<[Digest]>>,
    bytes: usize,
}

impl Closures {
    /// Closures of what is in a room.
    pub fn new(room: Arc<BlobRoom>) -> Self {
        let kept = Mutex::new(Kept { closures: LruCache::unbounded(), bytes: 0 });
        Self { room, kept, workers: Semaphore::new(WORKERS_MAX) }
    }

    /// All blobs that have to be here for the top to be of use, without the top itself. None: they can't be all here,
    /// because the top or a Directory is missing, or because it is not what it should be.
    pub async fn of(&self, instance: &InstanceName, top: &Digest, kind: Top) -> Result<Option<Arc<[Digest]>>> {
        let key = (instance.clone(), *top, kind);
        if let Some(closure) = self.kept().closures.get(&key) {
            return Ok(Some(Arc::clone(closure)));
        }
        let _worker = self.workers.acquire().await.map_err(Error::internal)?;
        // Somebody may have worked it out meanwhile.
        if let Some(closure) = self.kept().closures.get(&key) {
            return Ok(Some(Arc::clone(closure)));
        }
        let worked_out = match kind {
            Top::Tree => self.of_tree(instance, top).await,
            Top::Directory => self.of_directory(instance, top).await,
        };
        match worked_out {
            Ok(Some(closure)) => {
                let closure: Arc<[Digest]> = closure.into();
                self.kept().keep(key, Arc::clone(&closure));
                Ok(Some(closure))
            }
            Ok(None) | Err(Error::NotFound(_)) => Ok(None),
            Err(error @ (Error::Invalid { .. } | Error::Exhausted(_))) => {
                tracing::warn!(%instance, digest = %top, %error, "an output directory is no use; its action is a miss");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn of_tree(&self, instance: &InstanceName, tree: &Digest) -> Result<Option<Vec<Digest>>> {
        let bytes = self.room.whole(instance, tree, TREE_MESSAGE_MAX_BYTES).await?;
        let function = tree.function();
        let files = if bytes.len() < OFFLOAD_MIN_BYTES {
            files_of_tree(function, &bytes)
        } else {
            let work = move || files_of_tree(function, &bytes);
            tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
        };
        files.map(Some).map_err(|error| Error::invalid("tree_digest", error.to_string()))
    }

    async fn of_directory(&self, instance: &InstanceName, root: &Digest) -> Result<Option<Vec<Digest>>> {
        let mut walk = Walk::from(Arc::clone(&self.room), instance.clone(), *root);
        let (mut seen, mut closure) = (HashSet::new(), Vec::new());
        loop {
            let found = walk.next().await?;
            if found.is_empty() {
                return Ok(walk.missing.is_empty().then_some(closure));
            }
            for one in found {
                closure.extend(one.children.files.into_iter().filter(|file| seen.insert(*file)));
                if one.digest != *root {
                    closure.push(one.digest);
                }
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, key: Key, closure: Arc<[Digest]>) {
        let bytes = weight(&closure);
        if bytes > CLOSURES_MAX_BYTES {
            return;
        }
        self.bytes += bytes;
        if let Some(before) = self.closures.put(key, closure) {
            self.bytes -= weight(&before);
        }
        while self.bytes > CLOSURES_MAX_BYTES
            && let Some((_, oldest)) = self.closures.pop_lru()
        {
            self.bytes -= weight(&oldest);
        }
    }
}

fn weight(closure: &Arc<[Digest]>) -> usize {
    size_of_val::<[Digest]>(closure) + ENTRY_OVERHEAD_BYTES
}

/// The files of all Directories in a Tree message, each once. The Directories stand in a list: nothing is walked, so it
/// does not matter how they name each other, but each that is named must be in the list.
fn files_of_tree(function: DigestFunction, bytes: &Bytes) -> std::result::Result<Vec<Digest>, BadDirectory> {
    let tree: TreeView<'_> = DecodeOptions::new()
        .with_element_memory_limit(TREE_DECODED_MAX_BYTES)
        .decode_view(bytes)
        .map_err(|error| BadDirectory::Undecodable(error.to_string()))?;
    let there = digests_of_children(function, bytes);
    let (mut seen, mut files) = (HashSet::new(), Vec::new());
    for directory in tree.root.as_option().into_iter().chain(&tree.children) {
        let children = Children::of(function, directory)?;
        if let Some(absent) = children.directories.iter().find(|one| !one.is_empty() && !there.contains(one)) {
            return Err(BadDirectory::Absent(*absent));
        }
        files.extend(children.files.into_iter().filter(|file| seen.insert(*file)));
    }
    Ok(files)
}

/// The digests of the children as they stand in the bytes of a Tree that can be decoded: encoded again, a Directory could
/// have others.
fn digests_of_children(function: DigestFunction, mut bytes: &[u8]) -> HashSet<Digest> {
    let mut digests = HashSet::new();
    while let Ok(tag) = Tag::decode(&mut bytes) {
        let before = bytes;
        if skip_field(tag, &mut bytes).is_err() {
            break;
        }
        if (tag.field_number(), tag.wire_type()) == (TREE_CHILDREN_FIELD, WireType::LengthDelimited) {
            // What was skipped is its length and then the child.
            let mut child = &before[..before.len() - bytes.len()];
            if decode_varint(&mut child).is_ok() {
                digests.insert(Digest::of(function, child));
            }
        }
    }
    digests
}
