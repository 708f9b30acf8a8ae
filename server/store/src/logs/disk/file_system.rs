//! The file system of the logs, to make all that was written to it durable by one call. Knows nothing of what that is.

#[cfg(target_os = "linux")]
use std::fs::File;
use std::io;
use std::path::Path;

/// A file system. It tells an error to each of these once, if it came after this was made: so each thread has its own, from
/// before what it is to make durable is written. One opened just before the sync would not hear of what another was told.
pub struct FileSystem {
    #[cfg(target_os = "linux")]
    root: File,
}

impl FileSystem {
    /// The one that this folder is on.
    #[cfg(target_os = "linux")]
    pub fn of(root: &Path) -> io::Result<Self> {
        Ok(Self { root: File::open(root)? })
    }

    /// The one that this folder is on.
    #[cfg(not(target_os = "linux"))]
    pub fn of(_root: &Path) -> io::Result<Self> {
        Ok(Self {})
    }

    /// Syncs all of it; false where that can't be done.
    #[cfg(target_os = "linux")]
    pub fn sync(&self) -> io::Result<bool> {
        rustix::fs::syncfs(&self.root)?;
        Ok(true)
    }

    /// Syncs all of it; false where that can't be done.
    #[cfg(not(target_os = "linux"))]
    pub fn sync(&self) -> io::Result<bool> {
        Ok(false)
    }
}
