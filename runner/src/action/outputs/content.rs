//! What is to be uploaded, by digest: in memory while it is little, otherwise where it is on the disk. Knows nothing of
//! calls.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use cap_std::fs::{Dir, Metadata};
use millrace_proto::digest::Digest;

use super::hash;
use crate::action::cas::Source;

/// A blob that may have to be uploaded.
pub enum Content {
    /// In memory.
    Bytes(Bytes),
    /// An output that is too large for that.
    Output(Arc<Output>),
    /// A file of the runner's own.
    Open(Arc<File>),
}

/// Blobs that may have to be uploaded, each once.
#[derive(Default)]
pub struct Contents {
    /// All of them.
    pub blobs: HashMap<Digest, Content>,
}

impl Contents {
    /// One more. The blob without bytes is in every CAS.
    pub fn add(&mut self, digest: Digest, content: Content) {
        if digest.size() > 0 {
            self.blobs.entry(digest).or_insert(content);
        }
    }
}

/// A file among the outputs, as it was when it was hashed.
pub struct Output {
    /// The input root.
    pub root: Arc<Dir>,
    /// Where it is beneath that.
    pub path: String,
    /// What tells whether it was changed since.
    pub stamp: Stamp,
}

/// What of a file changes when somebody writes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    len: u64,
    modified: Option<std::time::SystemTime>,
    inode: u64,
}

impl Stamp {
    /// Of a file.
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
        Self { len: metadata.len(), modified, inode: inode(metadata) }
    }
}

impl Output {
    /// The file, if it still is what was hashed.
    pub fn open(&self) -> io::Result<File> {
        let (file, stamp) = hash::open(&self.root, &self.path)?;
        if stamp == self.stamp { Ok(file) } else { Err(io::Error::other("it was changed")) }
    }

    /// Whether it is what was hashed.
    pub fn is_same(&self) -> bool {
        self.root.symlink_metadata(&self.path).is_ok_and(|metadata| Stamp::of(&metadata) == self.stamp)
    }
}

/// A file that is read at any place.
pub struct FileSource(pub Arc<File>);

impl Source for FileSource {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut buffer = vec![0; len];
        read_exact_at(&self.0, &mut buffer, offset)?;
        Ok(buffer.into())
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
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

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    cap_std::fs::MetadataExt::ino(metadata)
}

#[cfg(windows)]
fn inode(_metadata: &Metadata) -> u64 {
    0
}
