//! The cache's folder on the disk: whole files under their names, half-written ones apart. Knows nothing of who uses
//! them.
//!
//! A file is written beside the others, gets its mode and a fixed time, and is renamed. That time is how a file tells
//! that somebody wrote to it. It also makes inputs look the same in each run of an action.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions};
use millrace_proto::digest::Hasher;

use super::index::CachedFile;
use super::{Key, name};

/// When every cached file was changed last, as its time says: 2000-01-01 00:00 UTC, in seconds since 1970.
pub const INPUT_TIME_SECONDS: u64 = 946_684_800;

const FILES: &str = "files";
const INCOMING: &str = "incoming";
/// There while no run of the cache is under way that began and did not end.
const CLEAN: &str = "clean";
const COPY_BUFFER_BYTES: usize = 128 * 1024;

/// The folder. When it is dropped, it notes that the run ended well.
pub struct Folder {
    path: PathBuf,
    root: Dir,
    files: Dir,
    incoming: Dir,
    next: AtomicU64,
}

/// A file that an earlier run left.
pub struct Found {
    /// What it is.
    pub key: Key,
    /// Its state.
    pub file: CachedFile,
    used: SystemTime,
}

/// A file that is whole and checked and does not count yet.
pub struct Written {
    /// What it is.
    pub key: Key,
    incoming: String,
}

/// A file that is being written.
pub struct Incoming {
    file: cap_std::fs::File,
    name: String,
}

impl Folder {
    /// Opens or makes it: the files found, the one used longest ago first. What does not look right is removed.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<Found>)> {
        std::fs::create_dir_all(path)?;
        let root = Dir::open_ambient_dir(path, ambient_authority())?;
        if root.try_exists(INCOMING)? {
            root.remove_dir_all(INCOMING)?;
        }
        root.create_dir(INCOMING)?;
        root.create_dir_all(FILES)?;
        let (files, incoming) = (root.open_dir(FILES)?, root.open_dir(INCOMING)?);
        let clean = match root.remove_file(CLEAN) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        let folder = Self { path: path.to_owned(), root, files, incoming, next: AtomicU64::new(0) };
        let found = folder.scan(clean)?;
        Ok((folder, found))
    }

    /// Where a file is.
    pub fn path(&self, key: &Key) -> PathBuf {
        self.path.join(FILES).join(name::of(key))
    }

    /// Links a file into another folder.
    pub fn link(&self, key: &Key, into: &Dir, as_name: &str) -> io::Result<()> {
        self.files.hard_link(name::of(key), into, as_name)
    }

    /// Removes a file.
    pub fn remove(&self, key: &Key) {
        match self.files.remove_file(name::of(key)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("{}: cannot be removed: {error}", self.path(key).display()),
        }
    }

    /// Begins a file.
    pub fn begin(&self) -> io::Result<Incoming> {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let file = self.incoming.open_with(&name, OpenOptions::new().write(true).create_new(true))?;
        Ok(Incoming { file, name })
    }

    /// Ends a file whose content was checked.
    pub fn end(&self, incoming: Incoming, key: Key) -> io::Result<Written> {
        let Incoming { file, name } = incoming;
        let file = file.into_std();
        let times = std::fs::FileTimes::new().set_modified(input_time());
        let ended = file.set_times(times).and_then(|()| read_only(&file, key.executable));
        drop(file);
        let written = Written { key, incoming: name };
        match ended {
            Ok(()) => Ok(written),
            Err(error) => {
                self.discard(&written);
                Err(error)
            }
        }
    }

    /// Removes a file that will not count.
    pub fn discard(&self, written: &Written) {
        if let Err(error) = self.incoming.remove_file(&written.incoming) {
            tracing::warn!(
                "{}: cannot be removed: {error}",
                self.path.join(INCOMING).join(&written.incoming).display()
            );
        }
    }

    /// Removes a file that came to nothing.
    pub fn abandon(&self, incoming: Incoming) {
        let Incoming { file, name } = incoming;
        // Closed first: Windows removes no open file.
        drop(file);
        if let Err(error) = self.incoming.remove_file(&name) {
            tracing::warn!("{}: cannot be removed: {error}", self.path.join(INCOMING).join(name).display());
        }
    }

    /// Puts a file where it counts.
    pub fn take(&self, written: &Written) -> io::Result<CachedFile> {
        let name = name::of(&written.key);
        self.incoming.rename(&written.incoming, &self.files, &name)?;
        let metadata = self.files.symlink_metadata(&name)?;
        Ok(CachedFile { inode: inode(&metadata), checked: true })
    }

    /// Whether a file is as it was left. One whose mode alone was changed, and whose content is right, is put right.
    pub fn untouched(&self, key: &Key, file: CachedFile) -> bool {
        let Ok(metadata) = self.files.symlink_metadata(name::of(key)) else { return false };
        if !same_content(&metadata, key) || inode(&metadata) != file.inode {
            return false;
        }
        // Whoever made it writable may have set its time back.
        has_mode(&metadata, key.executable) || self.is_right(key) && self.restore_mode(key).is_ok()
    }

    /// Whether a file's content has its digest.
    pub fn is_right(&self, key: &Key) -> bool {
        let hash = || -> io::Result<bool> {
            let mut file = self.files.open(name::of(key))?.into_std();
            let (mut hasher, mut buffer) = (Hasher::new(key.digest.function()), vec![0; COPY_BUFFER_BYTES]);
            loop {
                match io::Read::read(&mut file, &mut buffer)? {
                    0 => return Ok(hasher.finish() == key.digest),
                    count => hasher.update(&buffer[..count]),
                }
            }
        };
        hash().unwrap_or(false)
    }

    fn restore_mode(&self, key: &Key) -> io::Result<()> {
        read_only(&self.files.open(name::of(key))?.into_std(), key.executable)
    }

    fn scan(&self, clean: bool) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in self.files.entries()? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let key = entry.file_name().to_str().and_then(name::parse);
            let right = key.filter(|key| same_content(&metadata, key) && has_mode(&metadata, key.executable));
            match right {
                Some(key) => {
                    let file = CachedFile { inode: inode(&metadata), checked: clean };
                    found.push(Found { key, file, used: last_used(&metadata) });
                }
                None if metadata.is_dir() => self.files.remove_dir_all(entry.file_name())?,
                None => self.files.remove_file(entry.file_name())?,
            }
        }
        found.sort_by_key(|file| file.used);
        Ok(found)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let note = || self.root.create(CLEAN)?.sync_all();
        if let Err(error) = note() {
            tracing::warn!("{}: {error}; its files will be looked at again", self.path.display());
        }
    }
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// When inputs were changed last, as far as actions can see.
pub fn input_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(INPUT_TIME_SECONDS)
}

/// Makes a file read-only, with or without the executable bit.
#[cfg(unix)]
pub fn read_only(file: &File, executable: bool) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode(executable)))
}

/// Makes a file read-only.
#[cfg(windows)]
pub fn read_only(file: &File, _executable: bool) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions)
}

#[cfg(unix)]
fn mode(executable: bool) -> u32 {
    if executable { 0o555 } else { 0o444 }
}

#[cfg(unix)]
fn has_mode(metadata: &Metadata, executable: bool) -> bool {
    use cap_std::fs::MetadataExt as _;
    metadata.mode() & 0o7777 == mode(executable)
}

#[cfg(windows)]
fn has_mode(metadata: &Metadata, _executable: bool) -> bool {
    metadata.permissions().readonly()
}

fn same_content(metadata: &Metadata, key: &Key) -> bool {
    let written = metadata.modified().is_ok_and(|time| time.into_std() == input_time());
    metadata.is_file() && metadata.len() == key.digest.size() && written
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    cap_std::fs::MetadataExt::ino(metadata)
}

#[cfg(windows)]
fn inode(_metadata: &Metadata) -> u64 {
    0
}

/// Each link to a file changes its status time.
#[cfg(unix)]
fn last_used(metadata: &Metadata) -> SystemTime {
    use cap_std::fs::MetadataExt as _;
    let (seconds, nanos) = (metadata.ctime().max(0) as u64, metadata.ctime_nsec().max(0) as u32);
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
}

#[cfg(windows)]
fn last_used(metadata: &Metadata) -> SystemTime {
    metadata.created().map_or(SystemTime::UNIX_EPOCH, cap_std::time::SystemTime::into_std)
}

/// Whether the system makes no links between these places at all.
#[cfg(unix)]
pub fn never_links(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let refusals = [Errno::XDEV, Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS];
    error.raw_os_error().is_some_and(|raw| refusals.iter().any(|errno| errno.raw_os_error() == raw))
}

/// Whether the system makes no links between these places at all.
#[cfg(windows)]
pub fn never_links(error: &io::Error) -> bool {
    // ERROR_INVALID_FUNCTION, ERROR_NOT_SAME_DEVICE and ERROR_NOT_SUPPORTED.
    matches!(error.raw_os_error(), Some(1 | 17 | 50)) || error.kind() == ErrorKind::CrossesDevices
}
