//! Makes the files of many logs durable, so that the journal needs no longer hold what is in them.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use millrace_engine::logs::LogId;

use super::name::{LogPath, Part};
use super::positioned::sync_folder;

/// Logs whose files were written.
pub type Dirty = HashSet<LogId>;

/// More logs than this are synced by one call for the whole file system, where there is one: 27 ms against 500 ms for
/// a thousand logs.
const SYNC_EACH_MAX: usize = 32;

/// Makes the files of these logs durable.
pub fn make_durable(root: &Path, dirty: &Dirty) -> io::Result<()> {
    if dirty.len() > SYNC_EACH_MAX && sync_file_system(root)? {
        return Ok(());
    }
    let mut folders = HashSet::new();
    for id in dirty {
        let path = LogPath::new(root, id);
        for part in Part::ALL {
            match open_to_sync(&path, part) {
                Ok(file) => file.sync_all()?,
                // It has no such part, or was removed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        folders.insert(path.folder().to_owned());
    }
    folders.iter().try_for_each(|folder| sync_folder(folder))
}

/// Windows syncs only what is open for writing.
fn open_to_sync(path: &LogPath, part: Part) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path.part(part))
}

/// Syncs the whole file system; false where that can't be done.
#[cfg(target_os = "linux")]
fn sync_file_system(root: &Path) -> io::Result<bool> {
    rustix::fs::syncfs(File::open(root)?)?;
    Ok(true)
}

/// Syncs the whole file system; false where that can't be done.
#[cfg(not(target_os = "linux"))]
fn sync_file_system(_root: &Path) -> io::Result<bool> {
    Ok(false)
}
