//! Whether all inputs of an action are here: its whole tree. What a tree is made of never changes and is worked out once;
//! whether that is here is asked each time, and it is a use of all of it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;

use crate::actions::Walk;
use crate::blobs::BlobRoom;
use crate::error::{Error, Result};

/// How many missing blobs one answer names.
pub const MISSING_BLOBS_MAX: usize = 10_000;
/// How much memory the trees that are remembered may take, in bytes.
const TREES_MAX_BYTES: usize = 64 * 1024 * 1024;
/// How many digests are looked for at once.
const LOOK_MAX: usize = 50_000;
/// What a remembered tree takes besides its digests, in bytes, about.
const TREE_OVERHEAD_BYTES: usize = 256;

/// By instance too: with a weak digest function one instance could otherwise say what is in another's tree.
type Key = (InstanceName, Digest);

/// Input trees.
pub struct Inputs {
    room: Arc<BlobRoom>,
    /// Held for a look or an insertion.
    trees: Mutex<Trees>,
}

struct Trees {
    known: LruCache<Key, Arc<[Digest]>>,
    bytes: usize,
}

impl Inputs {
    /// Trees in a room.
    pub fn new(room: Arc<BlobRoom>) -> Self {
        Self { room, trees: Mutex::new(Trees { known: LruCache::unbounded(), bytes: 0 }) }
    }

    /// Fails with [`Error::MissingBlobs`] unless all below the root is here, the root included. `also_missing` is known
    /// to be missing already.
    pub async fn check(&self, instance: &InstanceName, root: Digest, also_missing: Option<Digest>) -> Result<()> {
        let key = (instance.clone(), root);
        let known = self.trees().known.get(&key).cloned();
        let mut missing: Vec<Digest> = also_missing.into_iter().collect();
        if let Some(all) = known {
            self.look(instance, &all, &mut missing).await?;
            // A Directory that is missing may be a sign of more: only a walk finds all.
            if missing.is_empty() {
                return Ok(());
            }
        }
        missing.truncate(usize::from(also_missing.is_some()));
        let (all, directories) = self.walk(instance, root).await?;
        let complete = directories.is_empty();
        missing.extend(directories);
        self.look(instance, &all, &mut missing).await?;
        if complete {
            self.trees().keep(key, all.into());
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.truncate(MISSING_BLOBS_MAX);
        Err(Error::MissingBlobs(missing))
    }

    /// All blobs of a tree, each once, and the Directories that are missing.
    async fn walk(&self, instance: &InstanceName, root: Digest) -> Result<(Vec<Digest>, Vec<Digest>)> {
        let mut walk = Walk::from(Arc::clone(&self.room), instance.clone(), root);
        let (mut seen, mut all) = (HashSet::new(), Vec::new());
        loop {
            let found = match walk.next().await {
                Ok(found) => found,
                // The only Directory whose absence is an error.
                Err(Error::NotFound(_)) => return Ok((Vec::new(), vec![root])),
                Err(Error::Invalid { message, .. } | Error::Exhausted(message)) => {
                    return Err(Error::invalid("action.input_root_digest", message));
                }
                Err(error) => return Err(error),
            };
            if found.is_empty() {
                return Ok((all, walk.missing));
            }
            for one in found {
                all.push(one.digest);
                all.extend(one.children.files.into_iter().filter(|file| seen.insert(*file)));
            }
        }
    }

    async fn look(&self, instance: &InstanceName, all: &[Digest], missing: &mut Vec<Digest>) -> Result<()> {
        for part in all.chunks(LOOK_MAX) {
            missing.extend(self.room.find_missing(instance, part).await?);
        }
        Ok(())
    }

    fn trees(&self) -> std::sync::MutexGuard<'_, Trees> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trees {
    fn keep(&mut self, key: Key, all: Arc<[Digest]>) {
        let bytes = weight(&all);
        if bytes > TREES_MAX_BYTES {
            return;
        }
        self.bytes += bytes;
        if let Some(before) = self.known.put(key, all) {
            self.bytes -= weight(&before);
        }
        while self.bytes > TREES_MAX_BYTES
            && let Some((_, oldest)) = self.known.pop_lru()
        {
            self.bytes -= weight(&oldest);
        }
    }
}

fn weight(all: &Arc<[Digest]>) -> usize {
    size_of_val::<[Digest]>(all) + TREE_OVERHEAD_BYTES
}
