//! What a Directory message names, and whether a file tree can be made of it. Knows nothing of where it is kept.

use std::collections::HashSet;

use buffa::MessageFieldView;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::reapi::{DigestView, DirectoryView};

/// Why a message is no good Directory, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDirectory {
    /// The bytes are something else.
    #[error("not a Directory message: {0}")]
    Undecodable(String),
    /// A name that could leave the directory, or is none.
    #[error("the name {0:?}: a name must not be empty, \".\", \"..\", or hold a slash or a NUL")]
    Name(String),
    /// Two children with one name.
    #[error("the name {0:?} is there twice")]
    Duplicate(String),
    /// A Directory that a Tree names and does not have.
    #[error("the Directory {0} is named and is not among the Tree's children")]
    Absent(Digest),
    /// A child without a good digest.
    #[error("{name:?}: {message}")]
    Digest {
        /// The child.
        name: String,
        /// What is wrong.
        message: String,
    },
}

/// What a Directory names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Children {
    /// Contents of files.
    pub files: Vec<Digest>,
    /// Directories in it.
    pub directories: Vec<Digest>,
}

impl Children {
    /// The children of a Directory. Their order is not looked at: that they are sorted makes a digest canonical, and says
    /// nothing about the tree.
    pub fn of(function: DigestFunction, directory: &DirectoryView<'_>) -> Result<Self, BadDirectory> {
        let (files, directories) = (&directory.files, &directory.directories);
        let mut names = HashSet::with_capacity(files.len() + directories.len() + directory.symlinks.len());
        let mut children = Self::default();
        children.files.reserve(files.len());
        for file in files {
            name(&mut names, file.name)?;
            children.files.push(digest(function, file.name, &file.digest)?);
        }
        children.directories.reserve(directories.len());
        for child in directories {
            name(&mut names, child.name)?;
            children.directories.push(digest(function, child.name, &child.digest)?);
        }
        for link in &directory.symlinks {
            name(&mut names, link.name)?;
        }
        Ok(children)
    }
}

fn name<'n>(names: &mut HashSet<&'n str>, name: &'n str) -> Result<(), BadDirectory> {
    if matches!(name, "" | "." | "..") || name.bytes().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(BadDirectory::Name(name.to_owned()));
    }
    if names.insert(name) { Ok(()) } else { Err(BadDirectory::Duplicate(name.to_owned())) }
}

fn digest(
    function: DigestFunction,
    name: &str,
    digest: &MessageFieldView<DigestView<'_>>,
) -> Result<Digest, BadDirectory> {
    let bad = |message: String| BadDirectory::Digest { name: name.to_owned(), message };
    let Some(digest) = digest.as_option() else { return Err(bad("it has no digest".into())) };
    Digest::parse(function, digest.hash, digest.size_bytes).map_err(|error| bad(error.to_string()))
}
