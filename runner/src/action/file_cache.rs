//! Input files on this machine's disk, by digest and executable bit: each is fetched once, shared by hard links, and
//! dropped when it has not been used for longest and there is no room. Knows nothing of trees.

mod fetch;
mod folder;
mod index;
mod name;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use tokio::sync::watch;

use super::cas::Cas;
use super::error::{ActionError, Result};
use folder::Folder;
pub use folder::input_time;
use index::{Index, Want};

/// A file in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Its content.
    pub digest: Digest,
    /// Whether it can be run: that is a property of the file on the disk, not of a link to it.
    pub executable: bool,
}

/// The cache.
pub struct FileCache {
    folder: Folder,
    max_bytes: u64,
    // Held for a few operations on maps, never while the disk works.
    index: Mutex<Index>,
    // Held while files come and go on the disk, so that a file that is removed is not the one that just came. Taken
    // before `index`, and on threads that may block only.
    disk: Mutex<()>,
    // Links from here to where actions work do not go: another file system, or one without links.
    unlinkable: AtomicBool,
}

/// Files that stay in the cache as long as this lives.
#[derive(Default)]
pub struct Pins {
    held: Option<(Arc<FileCache>, Vec<Key>)>,
    /// Bytes that this call fetched.
    pub fetched_bytes: u64,
    /// Bytes that were here, or that another action was fetching.
    pub cached_bytes: u64,
}

/// What a flight came to: the files, held until everybody who waited has them.
type Landed = Option<Result<Arc<Pins>>>;

impl FileCache {
    /// Opens the cache in a folder of its own. Files that are there are used again if they look as they were left.
    pub async fn open(path: &Path, max_bytes: u64) -> Result<Arc<Self>> {
        let path = path.to_owned();
        let open = move || {
            let (folder, found) = Folder::open(&path).map_err(ActionError::local(path.display()))?;
            let cache = Self {
                folder,
                max_bytes,
                index: Mutex::default(),
                disk: Mutex::default(),
                unlinkable: AtomicBool::new(false),
            };
            for file in found {
                cache.index().insert(file.key, file.file, 0);
            }
            cache.make_room();
            Ok(Arc::new(cache))
        };
        tokio::task::spawn_blocking(open).await.map_err(|error| ActionError::Local(error.to_string()))?
    }

    /// Holds these files, each named once; fetches those that are not here, together with whoever else wants them.
    pub async fn obtain(self: &Arc<Self>, cas: &Cas, instance: &InstanceName, keys: &[Key]) -> Result<Pins> {
        let mut pins = Pins { held: Some((Arc::clone(self), Vec::with_capacity(keys.len()))), ..Pins::default() };
        let bytes: u64 = keys.iter().map(|key| key.digest.size()).fold(0, u64::saturating_add);
        if bytes > self.max_bytes {
            let message = format!("{bytes} bytes of input files; this runner's cache has {}", self.max_bytes);
            return Err(ActionError::Exhausted(message));
        }
        let (mut wanted, mut mine) = (keys.to_vec(), HashSet::new());
        while !wanted.is_empty() {
            let (mut fetch, mut waits, mut unchecked) = (Vec::new(), Vec::new(), Vec::new());
            {
                let mut index = self.index();
                wanted.retain(|key| {
                    match index.want(*key) {
                        Want::Here { checked } => {
                            pins.take(*key, mine.contains(key));
                            if !checked {
                                unchecked.push(*key);
                            }
                            return false;
                        }
                        Want::Flying(landing) => waits.push((landing, false)),
                        Want::Absent => fetch.push(*key),
                    }
                    true
                });
                for group in fetch::groups(&fetch) {
                    mine.extend(group.iter().copied());
                    waits.push((self.depart(&mut index, cas, instance, group), true));
                }
            }
            wanted.extend(self.check(&mut pins, unchecked).await?);
            let mut landed = Vec::with_capacity(waits.len());
            for (mut landing, ours) in waits {
                let outcome = landing.wait_for(Option::is_some).await.map(|landed| landed.clone());
                match outcome {
                    Ok(Some(Ok(files))) => landed.push(files),
                    Ok(Some(Err(error))) if ours => return Err(error),
                    // Another's flight may have failed for a file that is not wanted here, or was broken off.
                    Ok(Some(Err(_)) | None) | Err(_) => {}
                }
            }
        }
        Ok(pins)
    }

    /// Links a held file to a name in a folder. A folder elsewhere gets a copy.
    pub fn link(&self, key: &Key, into: &Dir, name: &str) -> std::io::Result<Linked> {
        if self.unlinkable.load(Ordering::Relaxed) {
            return Ok(Linked::Impossible);
        }
        match self.folder.link(key, into, name) {
            Ok(()) => Ok(Linked::Done),
            Err(error) if error.kind() == std::io::ErrorKind::TooManyLinks => Ok(Linked::Impossible),
            Err(error) if folder::never_links(&error) => {
                if !self.unlinkable.swap(true, Ordering::Relaxed) {
                    tracing::info!("input files are copied, not linked: {error}");
                }
                Ok(Linked::Impossible)
            }
            Err(error) => Err(error),
        }
    }

    /// Where a held file is.
    pub fn path(&self, key: &Key) -> PathBuf {
        self.folder.path(key)
    }

    /// Forgets and removes a file that is not there any more or is not what it was.
    pub fn drop_file(&self, key: &Key) {
        let _disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        self.index().remove(key);
        self.folder.remove(key);
    }

    /// The first held file that is not as it was left; dropped, as all others that are not. Blocks.
    pub fn first_modified(&self, held: &[Key]) -> Option<Key> {
        let mut modified = None;
        for key in held {
            let Some(file) = self.index().file(key) else { continue };
            if self.folder.untouched(key, file) {
                continue;
            }
            self.drop_file(key);
            modified = modified.or(Some(*key));
        }
        modified
    }

    /// Hashes files that were left by a run that did not end well; answers those that were no good.
    async fn check(self: &Arc<Self>, pins: &mut Pins, unchecked: Vec<Key>) -> Result<Vec<Key>> {
        if unchecked.is_empty() {
            return Ok(Vec::new());
        }
        let cache = Arc::clone(self);
        let check = move || -> Vec<Key> {
            let (good, bad): (Vec<_>, Vec<_>) = unchecked.into_iter().partition(|key| cache.folder.is_right(key));
            for key in &good {
                cache.index().checked(key);
            }
            for key in &bad {
                tracing::warn!("blobs/{}: the cached file was damaged", key.digest);
                cache.drop_file(key);
            }
            bad
        };
        let bad = tokio::task::spawn_blocking(check).await.map_err(|error| ActionError::Local(error.to_string()))?;
        for key in &bad {
            pins.give_up(key);
        }
        Ok(bad)
    }

    /// Starts to fetch a group of files.
    fn depart(
        self: &Arc<Self>,
        index: &mut Index,
        cas: &Cas,
        instance: &InstanceName,
        group: Vec<Key>,
    ) -> watch::Receiver<Landed> {
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        for key in &group {
            index.depart(*key, Arc::clone(&sender));
        }
        let (cache, cas, instance) = (Arc::clone(self), cas.clone(), instance.clone());
        tokio::spawn(async move {
            // Also when the runtime ends and drops this: nobody waits for a flight that is none.
            let _flight = Flight { cache: Arc::clone(&cache), sender: Arc::clone(&sender), keys: group.clone() };
            tokio::select! {
                landed = fetch::fetch(&cache, &cas, &instance, &group) => {
                    cache.index().land(&group, &sender);
                    sender.send_replace(Some(landed.map(Arc::new)));
                }
                () = cache.deserted(&group, &sender) => {}
            }
        });
        receiver
    }

    /// Comes back when nobody wants these files any more; nobody can join the flight from then on.
    async fn deserted(&self, group: &[Key], sender: &Arc<watch::Sender<Landed>>) {
        loop {
            sender.closed().await;
            let mut index = self.index();
            // Subscribed to under the lock only.
            if sender.is_closed() {
                index.land(group, sender);
                return;
            }
        }
    }

    /// Takes files in that are whole, held once each for the caller. Blocks.
    fn commit(self: &Arc<Self>, files: Vec<folder::Written>) -> Result<Pins> {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pins = Pins { held: Some((Arc::clone(self), Vec::with_capacity(files.len()))), ..Pins::default() };
        let mut failed = None;
        for written in files {
            // What cannot be taken, and all behind it, leaves no trace.
            if failed.is_some() {
                self.folder.discard(&written);
                continue;
            }
            match self.folder.take(&written) {
                Ok(file) => {
                    self.index().insert(written.key, file, 1);
                    pins.take(written.key, true);
                }
                Err(error) => {
                    self.folder.discard(&written);
                    failed = Some(ActionError::Local(format!("the cache of input files: {error}")));
                }
            }
        }
        drop(disk);
        self.make_room();
        failed.map_or(Ok(pins), Err)
    }

    /// Removes what has not been used for longest. Files of running actions stay, even if that is too much.
    fn make_room(&self) {
        let _disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let leaving = self.index().overflow(self.max_bytes);
        for key in leaving {
            self.folder.remove(&key);
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a link was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// It is there.
    Done,
    /// The file has to be copied.
    Impossible,
}

impl Pins {
    /// The files.
    pub fn keys(&self) -> &[Key] {
        self.held.as_ref().map_or(&[], |(_, keys)| keys)
    }

    fn take(&mut self, key: Key, fetched: bool) {
        let bytes = if fetched { &mut self.fetched_bytes } else { &mut self.cached_bytes };
        *bytes += key.digest.size();
        if let Some((_, keys)) = &mut self.held {
            keys.push(key);
        }
    }

    /// The file is not in the cache any more.
    fn give_up(&mut self, key: &Key) {
        self.cached_bytes -= key.digest.size();
        if let Some((_, keys)) = &mut self.held {
            keys.retain(|held| held != key);
        }
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let Some((cache, keys)) = self.held.take() else { return };
        let mut index = cache.index();
        for key in &keys {
            index.unpin(key);
        }
    }
}

impl std::fmt::Debug for Pins {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Pins({} files)", self.keys().len())
    }
}

struct Flight {
    cache: Arc<FileCache>,
    sender: Arc<watch::Sender<Landed>>,
    keys: Vec<Key>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.cache.index().land(&self.keys, &self.sender);
    }
}
