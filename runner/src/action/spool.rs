//! What a command prints, kept until it is in the CAS: in memory while it is little, in a file beyond. Readers may
//! follow while it grows. Knows nothing of pipes or of digests.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// What is kept in memory of one stream; beyond it all of it goes to a file.
pub const SPOOL_MEMORY_MAX_BYTES: usize = 64 * 1024;

/// One stream's bytes; grows at its end only.
pub struct Spool {
    path: PathBuf,
    // Held for copies in memory only.
    state: Mutex<State>,
}

enum State {
    Memory(Vec<u8>),
    Disk { file: Arc<File>, len: u64 },
}

impl Spool {
    /// An empty one; `path` is where its file will be, should it need one.
    pub fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::new(State::Memory(Vec::new())) }
    }

    /// How much was printed so far.
    pub fn len(&self) -> u64 {
        match &*self.state() {
            State::Memory(bytes) => bytes.len() as u64,
            State::Disk { len, .. } => *len,
        }
    }

    /// Whether nothing was printed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it, when it is little enough to be in memory; otherwise it is in the file at [`Self::path`].
    pub fn in_memory(&self) -> Option<Bytes> {
        match &*self.state() {
            State::Memory(bytes) => Some(Bytes::copy_from_slice(bytes)),
            State::Disk { .. } => None,
        }
    }

    /// The file that has all of it, when it is not in memory. It goes with the spool.
    pub fn path(&self) -> Option<&Path> {
        match &*self.state() {
            State::Memory(_) => None,
            State::Disk { .. } => Some(&self.path),
        }
    }

    /// Adds what was printed. One writer at a time.
    pub async fn push(&self, bytes: &[u8]) -> io::Result<()> {
        let (file, bytes, at) = {
            let mut state = self.state();
            match &mut *state {
                State::Memory(kept) if kept.len() + bytes.len() <= SPOOL_MEMORY_MAX_BYTES => {
                    kept.extend_from_slice(bytes);
                    return Ok(());
                }
                State::Memory(kept) => (None, [kept.as_slice(), bytes].concat(), 0),
                State::Disk { file, len } => (Some(Arc::clone(file)), bytes.to_vec(), *len),
            }
        };
        let (path, end) = (self.path.clone(), at + bytes.len() as u64);
        // A disk that is slow to take it must not hold up the other tasks of this thread.
        let written = tokio::task::spawn_blocking(move || {
            let file = file.map_or_else(|| create(&path).map(Arc::new), Ok)?;
            write_all_at(&file, &bytes, at)?;
            Ok::<_, io::Error>(file)
        });
        let file = written.await.map_err(io::Error::other)??;
        *self.state() = State::Disk { file, len: end };
        Ok(())
    }

    /// What is there from `offset` on, at most `limit` bytes; nothing at its end.
    pub fn read(&self, offset: u64, limit: usize) -> io::Result<Bytes> {
        let (file, len) = match &*self.state() {
            State::Memory(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let to = from.saturating_add(limit).min(bytes.len());
                return Ok(Bytes::copy_from_slice(&bytes[from..to]));
            }
            State::Disk { file, len } => (Arc::clone(file), *len),
        };
        let mut buffer = vec![0; usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX).min(limit)];
        read_exact_at(&file, &mut buffer, offset)?;
        Ok(buffer.into())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if matches!(&*self.state(), State::Disk { .. })
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!("{}: {error}", self.path.display());
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        bytes = &bytes[count..];
        at += count as u64;
    }
    Ok(())
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, buffer, at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[count..];
        at += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn little_stays_in_memory_and_much_goes_to_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let spool = Spool::new(path.clone());
        assert!(spool.is_empty() && spool.read(0, 10).expect("reads").is_empty());
        spool.push(b"hello ").await.expect("takes");
        spool.push(b"world").await.expect("takes");
        assert_eq!(spool.in_memory().as_deref(), Some(&b"hello world"[..]));
        assert_eq!(&spool.read(6, 3).expect("reads")[..], b"wor");
        assert!(!path.exists());
        let much = vec![7; SPOOL_MEMORY_MAX_BYTES];
        spool.push(&much).await.expect("takes");
        spool.push(b"end").await.expect("takes");
        assert_eq!(spool.len(), 11 + much.len() as u64 + 3);
        assert!(spool.in_memory().is_none() && spool.path() == Some(path.as_path()));
        assert_eq!(&spool.read(0, 12).expect("reads")[..], b"hello world\x07");
        assert_eq!(&spool.read(11 + much.len() as u64, 100).expect("reads")[..], b"end");
        assert!(spool.read(u64::MAX, 100).expect("reads").is_empty());
        drop(spool);
        assert!(!path.exists());
    }
}
