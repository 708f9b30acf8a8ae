//! Which files are here, which are on their way, which are held, and which was used last. Knows nothing of the disk.

use std::collections::HashMap;
use std::sync::Arc;

use lru::LruCache;
use tokio::sync::watch;

use super::{Key, Landed};

/// What is known of a file on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedFile {
    /// Its number in the file system; 0 where there are none.
    pub inode: u64,
    /// Whether its content is known to be right.
    pub checked: bool,
}

/// Where a file is that somebody wants.
pub enum Want {
    /// Here; it is held now.
    Here {
        /// Whether its content is known to be right.
        checked: bool,
    },
    /// Somebody fetches it.
    Flying(watch::Receiver<Landed>),
    /// Nowhere.
    Absent,
}

/// All files.
pub struct Index {
    held: HashMap<Key, Held>,
    /// Those that nobody holds, the one used last at the front.
    idle: LruCache<Key, CachedFile>,
    flights: HashMap<Key, Arc<watch::Sender<Landed>>>,
    bytes: u64,
}

struct Held {
    file: CachedFile,
    count: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { held: HashMap::new(), idle: LruCache::unbounded(), flights: HashMap::new(), bytes: 0 }
    }
}

impl Index {
    /// Looks for a file and holds it if it is here.
    pub fn want(&mut self, key: Key) -> Want {
        if let Some(held) = self.held.get_mut(&key) {
            held.count += 1;
            return Want::Here { checked: held.file.checked };
        }
        if let Some(file) = self.idle.pop(&key) {
            self.held.insert(key, Held { file, count: 1 });
            return Want::Here { checked: file.checked };
        }
        self.flights.get(&key).map_or(Want::Absent, |flight| Want::Flying(flight.subscribe()))
    }

    /// A file is here, held so many times.
    pub fn insert(&mut self, key: Key, file: CachedFile, holds: usize) {
        if let Some(held) = self.held.get_mut(&key) {
            // Came a second time, after it was dropped and somebody still held it.
            *held = Held { file, count: held.count + holds };
            return;
        }
        let before = self.idle.pop(&key);
        if before.is_none() {
            self.bytes += key.digest.size();
        }
        if holds == 0 {
            self.idle.push(key, file);
        } else {
            self.held.insert(key, Held { file, count: holds });
        }
    }

    /// The file of a key that is here.
    pub fn file(&self, key: &Key) -> Option<CachedFile> {
        self.held.get(key).map(|held| held.file).or_else(|| self.idle.peek(key).copied())
    }

    /// The content was looked at and is right.
    pub fn checked(&mut self, key: &Key) {
        if let Some(held) = self.held.get_mut(key) {
            held.file.checked = true;
        }
    }

    /// One holder less.
    pub fn unpin(&mut self, key: &Key) {
        let Some(held) = self.held.get_mut(key) else { return };
        held.count -= 1;
        if held.count == 0 {
            let file = held.file;
            self.held.remove(key);
            self.idle.push(*key, file);
        }
    }

    /// The file is gone, whoever held it.
    pub fn remove(&mut self, key: &Key) {
        if self.held.remove(key).is_some() || self.idle.pop(key).is_some() {
            self.bytes -= key.digest.size();
        }
    }

    /// Somebody fetches this file.
    pub fn depart(&mut self, key: Key, flight: Arc<watch::Sender<Landed>>) {
        self.flights.insert(key, flight);
    }

    /// The flight is over, however it went.
    pub fn land(&mut self, keys: &[Key], flight: &Arc<watch::Sender<Landed>>) {
        for key in keys {
            if self.flights.get(key).is_some_and(|other| Arc::ptr_eq(other, flight)) {
                self.flights.remove(key);
            }
        }
    }

    /// Forgets what was not used for longest until the rest fits, or is held.
    pub fn overflow(&mut self, max_bytes: u64) -> Vec<Key> {
        let mut leaving = Vec::new();
        while self.bytes > max_bytes
            && let Some((key, _)) = self.idle.pop_lru()
        {
            self.bytes -= key.digest.size();
            leaving.push(key);
        }
        leaving
    }
}
