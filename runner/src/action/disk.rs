//! What actions take of the disk: each is bounded, and when the disk as a whole runs short, the one that takes most has
//! to end, so that the others go on. Knows nothing of processes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What an action may take of the disk unless the runner is told otherwise.
pub const ACTION_DISK_MAX_BYTES: u64 = 20 * 1024 * 1024 * 1024;
/// What is to stay free.
pub const DISK_RESERVE_BYTES: u64 = 256 * 1024 * 1024;

/// The disk that actions work on. Cheap to clone.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    action_max_bytes: u64,
    // Held for single map operations only.
    shares: Mutex<Shares>,
}

#[derive(Default)]
struct Shares {
    last: u64,
    used: HashMap<u64, u64>,
}

/// What one action takes of it.
pub struct DiskShare {
    disk: Disk,
    folder: PathBuf,
    id: u64,
}

impl Disk {
    /// The disk that a folder is on.
    pub fn new(folder: &Path, action_max_bytes: u64) -> Self {
        Self { inner: Arc::new(Inner { folder: folder.to_owned(), action_max_bytes, shares: Mutex::default() }) }
    }

    /// The bound of each action.
    pub fn action_max_bytes(&self) -> u64 {
        self.inner.action_max_bytes
    }

    /// For an action that works in a folder.
    pub fn share(&self, folder: &Path) -> DiskShare {
        let mut shares = self.shares();
        shares.last += 1;
        DiskShare { disk: self.clone(), folder: folder.to_owned(), id: shares.last }
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.inner.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskShare {
    /// Looks at the disk; why the action has to end, if it has to.
    pub async fn look(&self, printed_bytes: u64) -> Option<String> {
        let (folder, disk) = (self.folder.clone(), self.disk.inner.folder.clone());
        let looked = tokio::task::spawn_blocking(move || (written_below(&folder), fs4::available_space(&disk).ok()));
        let (written, free) = looked.await.unwrap_or_default();
        self.judge(written + printed_bytes, free)
    }

    fn judge(&self, used: u64, free: Option<u64>) -> Option<String> {
        let limit = self.disk.inner.action_max_bytes;
        let mut shares = self.disk.shares();
        shares.used.insert(self.id, used);
        if used > limit {
            return Some(format!("the action takes {used} bytes of the runner's disk; its limit is {limit}"));
        }
        let free = free.filter(|free| *free < DISK_RESERVE_BYTES)?;
        let is_largest = used > 0 && shares.used.values().all(|other| *other <= used);
        is_largest
            .then(|| format!("the runner's disk has {free} bytes left, and this action takes most of it: {used} bytes"))
    }
}

impl Drop for DiskShare {
    fn drop(&mut self) {
        self.disk.shares().used.remove(&self.id);
    }
}

/// What was written below a folder. Inputs are links to files that are kept elsewhere, and do not count.
#[cfg(unix)]
fn written_below(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten().filter_map(|entry| entry.metadata().ok());
    // A block is 512 bytes, whatever the file system's own is.
    entries.filter(|meta| meta.is_dir() || meta.nlink() == 1).map(|meta| meta.blocks() * 512).sum()
}

/// What there is below a folder.
#[cfg(windows)]
fn written_below(folder: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten().filter_map(|entry| entry.metadata().ok());
    entries.map(|meta| meta.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_counts_and_inputs_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (kept, root) = (folder.path().join("kept"), folder.path().join("root"));
        std::fs::create_dir(&root).expect("makes");
        std::fs::write(&kept, vec![1; 1 << 20]).expect("writes");
        std::fs::hard_link(&kept, root.join("input")).expect("links");
        let share = Disk::new(folder.path(), 300_000).share(&root);
        assert_eq!(share.look(0).await, None);
        assert!(share.look(300_001).await.is_some_and(|why| why.contains("300000")));
        std::fs::write(root.join("output"), vec![1; 400_000]).expect("writes");
        assert!(share.look(0).await.is_some());
    }

    #[test]
    fn the_largest_has_to_end_when_the_disk_is_full() {
        let disk = Disk::new(Path::new("/"), u64::MAX);
        let (small, large) = (disk.share(Path::new("/a")), disk.share(Path::new("/b")));
        assert_eq!(large.judge(1_000, Some(DISK_RESERVE_BYTES)), None);
        assert_eq!(small.judge(10, Some(5)), None);
        assert!(large.judge(1_000, Some(5)).is_some());
        drop(large);
        assert!(small.judge(10, Some(5)).is_some());
    }
}
