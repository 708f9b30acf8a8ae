//! Directory messages in memory, each decoded once, and whole trees of them, read level by level. Knows nothing of
//! files and of where trees are laid out.

mod folder;
mod names;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use lru::LruCache;
use millrace_proto::digest::{Digest, Hasher};
use millrace_proto::instance_name::InstanceName;

use super::cas::{BATCH_MAX_BYTES, Cas, CasError, batches};
use super::error::{ActionError, Result};
pub use folder::{File, Folder, Link, Properties};
pub use names::check as check_name;

/// How much memory decoded messages may take, about.
pub const DIRECTORIES_MAX_BYTES: usize = 64 * 1024 * 1024;
/// The largest Directory message.
pub const DIRECTORY_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// The most different Directory messages in a tree.
pub const TREE_DIRECTORIES_MAX: usize = 200_000;
/// The most bytes of different Directory messages in a tree.
pub const TREE_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// The most files, directories and symlinks in a tree, when all that is shared is counted as often as it appears.
pub const TREE_NODES_MAX: u64 = 1_000_000;
/// How many directories may be in one another.
pub const TREE_DEPTH_MAX: usize = 200;
/// How many batches are read at once.
const BATCHES_AT_ONCE: usize = 8;

/// The messages that were used lately.
pub struct Directories {
    // Held for a few operations on the map.
    known: Mutex<Known>,
}

struct Known {
    folders: LruCache<Digest, Arc<Folder>>,
    bytes: usize,
    max_bytes: usize,
}

/// A whole tree that can be laid out: names checked, limits kept.
#[derive(Debug)]
pub struct Tree {
    root: Digest,
    folders: HashMap<Digest, Arc<Folder>>,
}

impl Directories {
    /// None yet; keeps about so many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { known: Mutex::new(Known { folders: LruCache::unbounded(), bytes: 0, max_bytes }) }
    }

    /// The tree below a root. Reads what is not known.
    pub async fn tree(&self, cas: &Cas, instance: &InstanceName, root: Digest) -> Result<Tree> {
        let mut folders = HashMap::new();
        let (mut level, mut missing, mut bytes, mut depth) = (vec![root], Vec::new(), 0, 0);
        while !level.is_empty() {
            depth += 1;
            if depth > TREE_DEPTH_MAX {
                return Err(too_large(&format!("directories in one another: the limit is {TREE_DEPTH_MAX}")));
            }
            bytes += level.iter().map(Digest::size).fold(0, u64::saturating_add);
            if folders.len() + level.len() > TREE_DIRECTORIES_MAX {
                return Err(too_large(&format!("different directories: the limit is {TREE_DIRECTORIES_MAX}")));
            }
            if bytes > TREE_MAX_BYTES {
                return Err(too_large(&format!("bytes of Directory messages: the limit is {TREE_MAX_BYTES}")));
            }
            let unknown = self.take_known(&level, &mut folders);
            if !unknown.is_empty() {
                self.read(cas, instance, unknown, &mut folders, &mut missing).await?;
            }
            let mut next = HashSet::new();
            for folder in level.iter().filter_map(|digest| folders.get(digest)) {
                next.extend(folder.folders.iter().map(|(_, child)| *child));
            }
            level = next.into_iter().filter(|child| !folders.contains_key(child)).collect();
        }
        if !missing.is_empty() {
            return Err(ActionError::Missing(missing));
        }
        let tree = Tree { root, folders };
        tree.check_nodes()?;
        Ok(tree)
    }

    fn take_known(&self, wanted: &[Digest], folders: &mut HashMap<Digest, Arc<Folder>>) -> Vec<Digest> {
        let mut known = self.known();
        let mut unknown = Vec::new();
        for digest in wanted {
            match known.folders.get(digest) {
                Some(folder) => {
                    folders.insert(*digest, Arc::clone(folder));
                }
                None => unknown.push(*digest),
            }
        }
        unknown
    }

    async fn read(
        &self,
        cas: &Cas,
        instance: &InstanceName,
        unknown: Vec<Digest>,
        folders: &mut HashMap<Digest, Arc<Folder>>,
        missing: &mut Vec<Digest>,
    ) -> Result<()> {
        if let Some(large) = unknown.iter().find(|digest| digest.size() > DIRECTORY_MAX_BYTES) {
            return Err(too_large(&format!("blobs/{large}: the limit of a Directory is {DIRECTORY_MAX_BYTES} bytes")));
        }
        let mut found = HashMap::with_capacity(unknown.len());
        let (empty, unknown): (Vec<_>, Vec<_>) = unknown.into_iter().partition(Digest::is_empty);
        found.extend(empty.into_iter().map(|digest| (digest, Bytes::new())));
        let (small, large): (Vec<_>, Vec<_>) = unknown.iter().partition(|digest| digest.size() <= BATCH_MAX_BYTES / 2);
        let mut answers = futures::stream::iter(batches(small))
            .map(|batch| async move { cas.read_batch(instance, &batch).await })
            .buffer_unordered(BATCHES_AT_ONCE);
        while let Some(contents) = answers.try_next().await? {
            found.extend(contents);
        }
        for digest in large {
            match whole(cas, instance, digest).await {
                Ok(content) => {
                    found.insert(digest, content);
                }
                Err(CasError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        missing.extend(unknown.into_iter().filter(|digest| !found.contains_key(digest)));
        let mut decoded = Vec::with_capacity(found.len());
        for (digest, content) in found {
            decoded.push((digest, Arc::new(Folder::decode(&digest, &content)?)));
        }
        let mut known = self.known();
        for (digest, folder) in decoded {
            known.keep(digest, Arc::clone(&folder));
            folders.insert(digest, folder);
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn keep(&mut self, digest: Digest, folder: Arc<Folder>) {
        self.bytes += folder.memory_bytes();
        if let Some((_, before)) = self.folders.push(digest, folder) {
            self.bytes -= before.memory_bytes();
        }
        while self.bytes > self.max_bytes
            && let Some((_, oldest)) = self.folders.pop_lru()
        {
            self.bytes -= oldest.memory_bytes();
        }
    }
}

impl Tree {
    /// The top.
    pub fn root(&self) -> &Folder {
        // A tree is made only when all its folders are there.
        &self.folders[&self.root]
    }

    /// A folder in a folder of this tree.
    pub fn folder(&self, digest: &Digest) -> &Folder {
        &self.folders[digest]
    }

    /// All different folders.
    pub fn folders(&self) -> impl Iterator<Item = &Folder> {
        self.folders.values().map(Arc::as_ref)
    }

    /// The path of the first file that `wanted` finds, for messages.
    pub fn find(&self, wanted: impl Fn(&File) -> bool) -> Option<String> {
        let mut seen = HashSet::from([self.root]);
        let mut waiting = vec![(String::new(), self.root)];
        while let Some((path, digest)) = waiting.pop() {
            let folder = self.folder(&digest);
            if let Some(file) = folder.files.iter().find(|file| wanted(file)) {
                return Some(format!("{path}{}", file.name));
            }
            for (name, child) in &folder.folders {
                if seen.insert(*child) {
                    waiting.push((format!("{path}{name}/"), *child));
                }
            }
        }
        None
    }

    /// Counts what is shared as often as it appears, without going there each time.
    fn check_nodes(&self) -> Result<()> {
        let nodes = self.nodes(&self.root, 1, &mut HashMap::with_capacity(self.folders.len()))?;
        if nodes > TREE_NODES_MAX {
            return Err(too_large(&format!("files, directories and symlinks: the limit is {TREE_NODES_MAX}")));
        }
        Ok(())
    }

    fn nodes(&self, digest: &Digest, depth: usize, counted: &mut HashMap<Digest, (u64, usize)>) -> Result<u64> {
        Ok(self.measure(digest, depth, counted)?.0)
    }

    /// Nodes and depth below a folder. Ends in a cycle, too, which a broken hash function might allow.
    fn measure(
        &self,
        digest: &Digest,
        depth: usize,
        known: &mut HashMap<Digest, (u64, usize)>,
    ) -> Result<(u64, usize)> {
        let deep = || too_large(&format!("directories in one another: the limit is {TREE_DEPTH_MAX}"));
        if depth > TREE_DEPTH_MAX {
            return Err(deep());
        }
        if let Some((nodes, below)) = known.get(digest) {
            return if depth + below > TREE_DEPTH_MAX { Err(deep()) } else { Ok((*nodes, *below)) };
        }
        let folder = self.folder(digest);
        let (mut nodes, mut below) = (1 + (folder.files.len() + folder.links.len()) as u64, 0);
        for (_, child) in &folder.folders {
            let (more, deeper) = self.measure(child, depth + 1, known)?;
            nodes = nodes.saturating_add(more);
            below = below.max(deeper + 1);
        }
        known.insert(*digest, (nodes, below));
        Ok((nodes, below))
    }
}

/// A message that does not fit in a batch.
async fn whole(cas: &Cas, instance: &InstanceName, digest: Digest) -> std::result::Result<Bytes, CasError> {
    let mut content = Vec::with_capacity(usize::try_from(digest.size()).unwrap_or(0));
    let mut hasher = Hasher::new(digest.function());
    let mut reader = cas.read(instance, digest).await;
    while let Some(bytes) = reader.next().await? {
        hasher.update(&bytes);
        content.extend_from_slice(&bytes);
    }
    if hasher.finish() != digest {
        return Err(CasError::Corrupt { digest, found: format!("{} other bytes", content.len()) });
    }
    Ok(content.into())
}

fn too_large(message: &str) -> ActionError {
    ActionError::invalid("input_root_digest", message)
}
