//! Node properties put on files, folders and symlinks: when they were changed last, and their mode. Knows nothing of
//! trees.

use std::io;
use std::path::Path;

use crate::action::directories::Properties;

/// Puts properties on a file or folder.
#[cfg(unix)]
pub fn apply(path: &Path, properties: &Properties) -> io::Result<()> {
    if let Some(mode) = properties.unix_mode {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    }
    set_mtime(path, properties)
}

/// Puts properties on a symlink itself. A symlink's mode means nothing, and Linux does not change it.
#[cfg(unix)]
pub fn apply_to_link(path: &Path, properties: &Properties) -> io::Result<()> {
    set_mtime(path, properties)
}

#[cfg(unix)]
fn set_mtime(path: &Path, properties: &Properties) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
    use std::time::{Duration, SystemTime};

    let Some(mtime) = properties.mtime else { return Ok(()) };
    let last_modification = match mtime.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => Timespec { tv_sec: after.as_secs() as _, tv_nsec: after.subsec_nanos().into() },
        Err(before) => {
            // Nanoseconds count forwards, also before 1970.
            let before = before.duration();
            let seconds = before.as_secs() + u64::from(before.subsec_nanos() > 0);
            let nanos = Duration::from_secs(seconds).saturating_sub(before).subsec_nanos();
            Timespec { tv_sec: -(seconds as i64), tv_nsec: nanos.into() }
        }
    };
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ };
    let times = Timestamps { last_access, last_modification };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Puts the time on a file or folder; modes are nothing that Windows has.
#[cfg(windows)]
pub fn apply(path: &Path, properties: &Properties) -> io::Result<()> {
    set_mtime(path, properties, BACKUP_SEMANTICS)
}

/// Puts the time on a symlink itself.
#[cfg(windows)]
pub fn apply_to_link(path: &Path, properties: &Properties) -> io::Result<()> {
    set_mtime(path, properties, BACKUP_SEMANTICS | OPEN_REPARSE_POINT)
}

/// Windows opens folders with this flag only.
#[cfg(windows)]
const BACKUP_SEMANTICS: u32 = 0x0200_0000;
/// The link, not what it points to.
#[cfg(windows)]
const OPEN_REPARSE_POINT: u32 = 0x0020_0000;
/// The right that is enough, also for a read-only file.
#[cfg(windows)]
const FILE_WRITE_ATTRIBUTES: u32 = 0x100;

#[cfg(windows)]
fn set_mtime(path: &Path, properties: &Properties, flags: u32) -> io::Result<()> {
    use std::os::windows::fs::OpenOptionsExt as _;

    let Some(mtime) = properties.mtime else { return Ok(()) };
    let file = std::fs::OpenOptions::new().access_mode(FILE_WRITE_ATTRIBUTES).custom_flags(flags).open(path)?;
    file.set_times(std::fs::FileTimes::new().set_modified(mtime))
}
