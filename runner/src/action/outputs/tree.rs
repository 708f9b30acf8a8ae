//! A folder among the outputs as Directory messages: sorted, each message once, parents before what is in them in the
//! Tree. Knows nothing of other outputs.

use std::collections::HashSet;

use buffa::Message as _;
use bytes::{BufMut as _, Bytes, BytesMut};
use cap_std::fs::Dir;
use millrace_proto::digest::Digest;
use millrace_proto::reapi::{Directory, DirectoryNode, FileNode, SymlinkNode};

use super::scan::{Scan, link_target, refused, special};
use crate::action::cas::wire;
use crate::action::error::{ActionError, Result};

/// The most files, directories and symlinks in one output directory.
pub const OUTPUT_NODES_MAX: usize = 1_000_000;
/// How many directories may be in one another.
pub const OUTPUT_DEPTH_MAX: usize = 200;
/// The largest Tree message; the server looks into none that is larger.
pub const OUTPUT_TREE_MAX_BYTES: usize = 64 * 1024 * 1024;

/// The fields of a Tree, as they are on the wire: root and child.
const TREE_ROOT: u8 = 1 << 3 | 2;
const TREE_CHILD: u8 = 2 << 3 | 2;

/// The messages of a folder.
pub struct Found {
    /// The folder's own.
    pub root: Digest,
    /// All of them, each after those in it; the folder's own is the last.
    pub messages: Vec<(Digest, Bytes)>,
}

/// Reads a folder. `path` is where it is beneath the input root.
pub fn scan(scan: &mut Scan, folder: &Dir, path: &str) -> Result<Found> {
    let mut walk = Walk { scan, messages: Vec::new(), seen: HashSet::new(), nodes: 0 };
    let mut path = path.to_owned();
    let root = walk.folder(folder, &mut path, 1)?;
    Ok(Found { root, messages: walk.messages })
}

impl Found {
    /// The Tree message.
    pub fn tree(&self, path: &str) -> Result<Bytes> {
        let bytes: usize = self.messages.iter().map(|(_, message)| message.len() + 8).sum();
        if bytes > OUTPUT_TREE_MAX_BYTES {
            let message = format!("its Tree message has {bytes} bytes; the limit is {OUTPUT_TREE_MAX_BYTES}");
            return Err(ActionError::OutputRefused { path: path.to_owned(), message });
        }
        let mut tree = BytesMut::with_capacity(bytes);
        for (at, (_, message)) in self.messages.iter().rev().enumerate() {
            tree.put_u8(if at == 0 { TREE_ROOT } else { TREE_CHILD });
            put_varint(&mut tree, message.len());
            tree.put_slice(message);
        }
        Ok(tree.freeze())
    }
}

fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

struct Walk<'s> {
    scan: &'s mut Scan,
    messages: Vec<(Digest, Bytes)>,
    seen: HashSet<Digest>,
    nodes: usize,
}

impl Walk<'_> {
    /// The depth is bounded, so that neither stack nor open files run out.
    fn folder(&mut self, folder: &Dir, path: &mut String, depth: usize) -> Result<Digest> {
        if depth > OUTPUT_DEPTH_MAX {
            return Err(over(path, &format!("directories in one another; the limit is {OUTPUT_DEPTH_MAX}")));
        }
        let mut directory = Directory::default();
        for (name, kind) in self.names(folder, path)? {
            let len = path.len();
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&name);
            if kind.is_dir() {
                let inner = folder.open_dir(&name).map_err(|error| refused(path, &error))?;
                let digest = wire(&self.folder(&inner, path, depth + 1)?).into();
                directory.directories.push(DirectoryNode { name, digest, ..Default::default() });
            } else if kind.is_symlink() {
                directory.symlinks.push(self.symlink(folder, name, path)?);
            } else if kind.is_file() {
                directory.files.push(self.file(folder, name, path)?);
            } else {
                let metadata = folder.symlink_metadata(&name).map_err(|error| refused(path, &error))?;
                return Err(special(path, &metadata));
            }
            path.truncate(len);
        }
        if !self.scan.wanted.is_nothing() {
            let metadata = folder.dir_metadata().map_err(|error| refused(path, &error))?;
            directory.node_properties = self.scan.wanted.read(&metadata).into();
        }
        let message = Bytes::from(directory.encode_to_vec());
        let digest = Digest::of(self.scan.function, &message);
        if self.seen.insert(digest) {
            self.messages.push((digest, message));
        }
        Ok(digest)
    }

    /// What is in a folder, sorted.
    fn names(&mut self, folder: &Dir, path: &str) -> Result<Vec<(String, cap_std::fs::FileType)>> {
        let mut names = Vec::new();
        for entry in folder.entries().map_err(|error| refused(path, &error))? {
            let entry = entry.map_err(|error| refused(path, &error))?;
            let name = entry.file_name().into_string().map_err(|name| ActionError::OutputRefused {
                path: format!("{path}/{}", name.display()),
                message: "the name is not UTF-8".into(),
            })?;
            let kind = entry.file_type().map_err(|error| refused(path, &error))?;
            self.nodes += 1;
            if self.nodes > OUTPUT_NODES_MAX {
                return Err(over(path, &format!("files, directories and symlinks; the limit is {OUTPUT_NODES_MAX}")));
            }
            names.push((name, kind));
        }
        names.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(names)
    }

    fn file(&mut self, folder: &Dir, name: String, path: &str) -> Result<FileNode> {
        let hashed = self.scan.file(folder, &name, path)?;
        Ok(FileNode {
            name,
            digest: wire(&hashed.digest).into(),
            is_executable: hashed.is_executable,
            node_properties: hashed.properties.into(),
            ..Default::default()
        })
    }

    fn symlink(&mut self, folder: &Dir, name: String, path: &str) -> Result<SymlinkNode> {
        let target = link_target(folder, &name, path)?;
        let mut link = SymlinkNode { target, ..Default::default() };
        if !self.scan.wanted.is_nothing() {
            let metadata = folder.symlink_metadata(&name).map_err(|error| refused(path, &error))?;
            link.node_properties = self.scan.wanted.read(&metadata).into();
        }
        link.name = name;
        Ok(link)
    }
}

fn over(path: &str, message: &str) -> ActionError {
    ActionError::OutputRefused { path: path.to_owned(), message: format!("too many {message}") }
}
