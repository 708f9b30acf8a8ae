//! One process at a time in a folder. Knows nothing of what is in it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

/// So often a lock is tried: a process that is ending lets go a moment later, and so does a child that was just begun.
const LOCK_TRIES: u32 = 10;
/// How soon to try again.
const LOCK_RETRY_WAIT: Duration = Duration::from_millis(20);

/// Locks a folder for as long as what it returns lives: two servers must not share it. Blocks for a moment if another one has it.
#[expect(clippy::disallowed_methods, reason = "at a start nothing else is to do")]
pub fn lock_folder(root: &Path) -> io::Result<File> {
    let lock = File::options().write(true).create(true).truncate(false).open(root.join("lock"))?;
    for tried in 1.. {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if tried < LOCK_TRIES => std::thread::sleep(LOCK_RETRY_WAIT),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another server uses this folder"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(lock)
}
