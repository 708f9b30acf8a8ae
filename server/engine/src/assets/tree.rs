//! A directory tree in the making, as archives and repositories tell of it: entry by entry, in any order, not to be
//! trusted. Nothing in it is outside of it. Knows no archive format and keeps nothing.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};

use super::links;

/// The most entries of a tree.
pub const TREE_ENTRIES_MAX: usize = 500_000;
/// The most folders between the root and an entry.
pub const TREE_DEPTH_MAX: usize = 100;
/// The longest name of an entry, in bytes.
const NAME_MAX_BYTES: usize = 255;
/// The longest target of a symbolic link, in bytes.
const TARGET_MAX_BYTES: usize = 4_096;

/// Why a tree cannot be: for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TreeError(pub String);

type Result<T> = std::result::Result<T, TreeError>;

/// What is in a folder, sorted as Directory messages are.
pub(super) type Folder = BTreeMap<String, Node>;

/// Something in a folder.
#[derive(Clone, Debug)]
pub(super) enum Node {
    File { digest: Digest, executable: bool },
    Symlink(String),
    Folder(Folder),
}

/// The tree.
#[derive(Debug, Default)]
pub struct TreeBuilder {
    root: Folder,
    entries: usize,
}

impl TreeBuilder {
    /// A file; it takes the place of a file or link of that name, as in an archive that was appended to.
    pub fn file(&mut self, path: &str, digest: Digest, executable: bool) -> Result<()> {
        self.put(path, Node::File { digest, executable })
    }

    /// A symbolic link. Where it leads is looked at when the tree is whole.
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<()> {
        if target.is_empty() || target.len() > TARGET_MAX_BYTES || target.contains('\0') {
            return Err(refused(path, &format!("a link's target has 1 to {TARGET_MAX_BYTES} bytes and no NUL")));
        }
        self.put(path, Node::Symlink(target.to_owned()))
    }

    /// Another name for a file that came before.
    pub fn hard_link(&mut self, path: &str, target: &str) -> Result<()> {
        let found = find(&self.root, &parts(target)?).cloned();
        match found {
            Some(node @ (Node::File { .. } | Node::Symlink(_))) => self.put(path, node),
            _ => Err(refused(path, &format!("is a hard link to {target:?}, which is no file that came before it"))),
        }
    }

    /// A folder, perhaps without anything in it.
    pub fn folder(&mut self, path: &str) -> Result<()> {
        let parts = parts(path)?;
        self.make(path, &parts).map(|_| ())
    }

    /// The whole tree, or the part below a path; no link in it leads out of it.
    pub fn finish(self, below: &str) -> Result<Tree> {
        let below_parts = parts(below)?;
        let mut root = self.root;
        for part in below_parts {
            match root.remove(part) {
                Some(Node::Folder(folder)) => root = folder,
                _ => return Err(TreeError(format!("there is no directory {below:?}"))),
            }
        }
        links::check(&root)?;
        Ok(Tree { root })
    }

    fn put(&mut self, path: &str, node: Node) -> Result<()> {
        let parts = parts(path)?;
        let Some((name, folders)) = parts.split_last() else {
            return Err(refused(path, "is the root, and no directory"));
        };
        let folder = self.make(path, folders)?;
        if matches!(folder.get(*name), Some(Node::Folder(_))) {
            return Err(refused(path, "is a directory, and again something else"));
        }
        if folder.insert((*name).to_owned(), node).is_none() { self.count(1) } else { Ok(()) }
    }

    /// The folder at a path, made if need be. Never through a link.
    fn make(&mut self, path: &str, parts: &[&str]) -> Result<&mut Folder> {
        if parts.len() > TREE_DEPTH_MAX {
            return Err(refused(path, &format!("is deeper than the limit of {TREE_DEPTH_MAX} directories")));
        }
        let mut made = 0;
        let mut folder = &mut self.root;
        for part in parts {
            let node = folder.entry((*part).to_owned()).or_insert_with(|| {
                made += 1;
                Node::Folder(Folder::new())
            });
            match node {
                Node::Folder(inner) => folder = inner,
                Node::Symlink(_) => return Err(refused(path, &format!("goes through the symbolic link {part:?}"))),
                Node::File { .. } => return Err(refused(path, &format!("goes through the file {part:?}"))),
            }
        }
        self.entries += made;
        if self.entries > TREE_ENTRIES_MAX {
            return Err(too_many());
        }
        Ok(folder)
    }

    fn count(&mut self, more: usize) -> Result<()> {
        self.entries += more;
        if self.entries > TREE_ENTRIES_MAX { Err(too_many()) } else { Ok(()) }
    }
}

/// A whole tree.
#[derive(Debug)]
pub struct Tree {
    pub(super) root: Folder,
}

impl Tree {
    /// The root's digest, the Directory messages, and the digests of all files.
    pub fn directories(&self, function: DigestFunction) -> (Digest, HashMap<Digest, Bytes>, Vec<Digest>) {
        super::directory::messages(&self.root, function)
    }
}

/// The names in a path. Not in it: a root, `..`, NUL; `.` and double slashes are passed over, as everybody does.
fn parts(path: &str) -> Result<Vec<&str>> {
    if path.starts_with('/') {
        return Err(refused(path, "is an absolute path"));
    }
    let mut parts = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(refused(path, "has \"..\" in it"));
        }
        if part.len() > NAME_MAX_BYTES || part.contains('\0') {
            return Err(refused(path, &format!("has a name with NUL or of more than {NAME_MAX_BYTES} bytes")));
        }
        parts.push(part);
    }
    Ok(parts)
}

fn find<'a>(root: &'a Folder, parts: &[&str]) -> Option<&'a Node> {
    let (name, folders) = parts.split_last()?;
    let mut folder = root;
    for part in folders {
        match folder.get(*part)? {
            Node::Folder(inner) => folder = inner,
            _ => return None,
        }
    }
    folder.get(*name)
}

fn refused(path: &str, why: &str) -> TreeError {
    let path: String = path.chars().take(300).collect();
    TreeError(format!("the entry {path:?} {why}"))
}

fn too_many() -> TreeError {
    TreeError(format!("there are more than {TREE_ENTRIES_MAX} entries, which is the limit"))
}
