//! One process at a time in a folder. Knows nothing of what is in it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Locks a folder for as long as what it returns lives: two servers must not share it.
pub fn lock_folder(root: &Path) -> io::Result<File> {
    let lock = File::options().write(true).create(true).truncate(false).open(root.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "another server uses this folder"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}
