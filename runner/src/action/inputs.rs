//! The inputs of actions: a folder laid out as the input root says, from what is here and what the CAS has. Knows
//! nothing of processes.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::Command;
use tokio_util::sync::CancellationToken;

use super::cas::Cas;
use super::directories::{DIRECTORIES_MAX_BYTES, Directories, Tree};
use super::error::{ActionError, Result};
use super::file_cache::{FileCache, Key, Pins};
use super::materialise::{self, Failed};

/// How often a tree is begun again because files were taken out of the cache by hand.
const LAY_TRIES: u32 = 3;
/// So many files are looked at without a thread of its own: they were linked a moment ago, and the system knows them.
const LOOK_INLINE_MAX: usize = 64;

/// What lays out inputs; shared by all slots. Cheap to clone.
#[derive(Clone)]
pub struct Inputs {
    cas: Cas,
    directories: Arc<Directories>,
    files: Arc<FileCache>,
}

/// Inputs that are laid out. The files' cached copies stay while this lives: keep it until the command has ended and
/// [`Inputs::check_untouched`] has looked.
#[derive(Debug)]
pub struct Laid {
    /// Bytes of inputs that came over the network.
    pub fetched_bytes: u64,
    /// Bytes of inputs that were here.
    pub cached_bytes: u64,
    tree: Arc<Tree>,
    pins: Pins,
}

impl Inputs {
    /// Opens the cache of input files in a folder of its own; at most `max_bytes` are kept there.
    pub async fn open(folder: &Path, max_bytes: u64, cas: Cas) -> Result<Self> {
        let files = FileCache::open(folder, max_bytes).await?;
        Ok(Self { cas, directories: Arc::new(Directories::new(DIRECTORIES_MAX_BYTES)), files })
    }

    /// Lays the tree of `root` out in the folder `into`, which is made if it is not there, and the parents of the
    /// command's outputs and its working directory. Whatever is in the folder after an error, the caller removes.
    pub async fn materialise(
        &self,
        instance: &InstanceName,
        root: Digest,
        command: &Command,
        into: &Path,
        cancel: &CancellationToken,
    ) -> Result<Laid> {
        let reading = cancel.run_until_cancelled(self.directories.tree(&self.cas, instance, root)).await;
        let tree = Arc::new(reading.unwrap_or(Err(ActionError::Cancelled))?);
        let keys: HashSet<Key> = tree.folders().flat_map(|folder| &folder.files).map(|file| file.key).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let mut tries = 1;
        loop {
            let fetching = cancel.run_until_cancelled(self.files.obtain(&self.cas, instance, &keys)).await;
            let pins = fetching.unwrap_or(Err(ActionError::Cancelled))?;
            // Ends by itself soon after `cancel`: nothing is made in the folder after this has come back.
            let laid = self.lay(&tree, command, into, cancel).await;
            match laid {
                Ok(()) => {
                    let (fetched_bytes, cached_bytes) = (pins.fetched_bytes, pins.cached_bytes);
                    return Ok(Laid { fetched_bytes, cached_bytes, tree, pins });
                }
                Err(Failed::Vanished(key)) if tries < LAY_TRIES => {
                    tracing::warn!("{}: is gone, and is fetched again", self.files.path(&key).display());
                    tries += 1;
                }
                Err(Failed::Vanished(key)) => {
                    return Err(ActionError::Local(format!("{}: is gone", self.files.path(&key).display())));
                }
                Err(Failed::Action(error)) => return Err(error),
            }
        }
    }

    /// Whether the command left its inputs as they were. Whatever it changed is not used for another action.
    pub async fn check_untouched(&self, laid: &Laid) -> Result<()> {
        let modified = if laid.pins.keys().len() <= LOOK_INLINE_MAX {
            self.files.first_modified(laid.pins.keys())
        } else {
            let (files, keys) = (Arc::clone(&self.files), laid.pins.keys().to_vec());
            blocking(move || Ok(files.first_modified(&keys))).await?
        };
        let Some(key) = modified else { return Ok(()) };
        let path = laid.tree.find(|file| file.key == key).unwrap_or_else(|| format!("blobs/{}", key.digest));
        Err(ActionError::InputModified { path })
    }

    async fn lay(
        &self,
        tree: &Arc<Tree>,
        command: &Command,
        into: &Path,
        cancel: &CancellationToken,
    ) -> std::result::Result<(), Failed> {
        let (tree, files, command) = (Arc::clone(tree), Arc::clone(&self.files), command.clone());
        let (into, cancel) = (into.to_owned(), cancel.clone());
        let lay = move || {
            let laid = materialise::lay(&tree, &files, &command, &into, &cancel);
            if let Err(Failed::Vanished(key)) = &laid {
                files.drop_file(key);
                std::fs::remove_dir_all(&into).map_err(ActionError::local(into.display()))?;
            }
            laid
        };
        tokio::task::spawn_blocking(lay).await.map_err(|error| ActionError::Local(error.to_string()))?
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ActionError::Local(error.to_string()))?
}
