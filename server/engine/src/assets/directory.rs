//! Trees as Directory messages, and what a root needs to be whole. Knows no archives and no URIs.

use std::collections::{HashMap, HashSet};

use buffa::Message;
use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi;

use super::tree::{Folder, Node};
use crate::blobs::BlobRoom;
use crate::error::{Error, Result};

/// The largest Directory message that is looked into, in bytes.
const DIRECTORY_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// The most different Directory messages below a root that are looked into.
const DIRECTORIES_MAX: usize = 500_000;
/// How many files are asked for at once.
const FILES_BATCH: usize = 10_000;

/// The root's digest, the messages by digest, and the files' digests, each once.
pub(super) fn messages(root: &Folder, function: DigestFunction) -> (Digest, HashMap<Digest, Bytes>, Vec<Digest>) {
    let (mut found, mut files) = (HashMap::new(), HashSet::new());
    let digest = message(root, function, &mut found, &mut files);
    (digest, found, files.into_iter().collect())
}

/// Depth is bounded where the tree is built.
fn message(
    folder: &Folder,
    function: DigestFunction,
    found: &mut HashMap<Digest, Bytes>,
    files: &mut HashSet<Digest>,
) -> Digest {
    let mut directory = reapi::Directory::default();
    for (name, node) in folder {
        let name = name.clone();
        match node {
            Node::File { digest, executable } => {
                files.insert(*digest);
                let is_executable = *executable;
                let file = reapi::FileNode { name, digest: wire(digest).into(), is_executable, ..Default::default() };
                directory.files.push(file);
            }
            Node::Symlink(target) => {
                let link = reapi::SymlinkNode { name, target: target.clone(), ..Default::default() };
                directory.symlinks.push(link);
            }
            Node::Folder(inner) => {
                let digest = message(inner, function, found, files);
                let node = reapi::DirectoryNode { name, digest: wire(&digest).into(), ..Default::default() };
                directory.directories.push(node);
            }
        }
    }
    let bytes = Bytes::from(directory.encode_to_vec());
    let digest = Digest::of(function, &bytes);
    found.insert(digest, bytes);
    digest
}

/// A digest as messages have it.
fn wire(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hex(), size_bytes: digest.size_wire(), ..Default::default() }
}

/// All that a root Directory needs, itself included, each once; it has all been used by this. None when something is
/// missing.
pub(super) async fn closure(room: &BlobRoom, instance: &InstanceName, root: Digest) -> Result<Option<Vec<Digest>>> {
    let mut directories = HashSet::from([root]);
    let mut files = HashSet::new();
    let mut waiting = vec![root];
    while let Some(digest) = waiting.pop() {
        let bytes = match room.whole(instance, &digest, DIRECTORY_MAX_BYTES).await {
            Ok(bytes) => bytes,
            Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let directory = reapi::Directory::decode_from_slice(&bytes)
            .map_err(|_| Error::invalid("root_directory_digest", format!("blobs/{digest} is no Directory")))?;
        for node in &directory.files {
            files.insert(parse(digest.function(), node.digest.as_option())?);
        }
        for node in &directory.directories {
            let child = parse(digest.function(), node.digest.as_option())?;
            if directories.insert(child) {
                waiting.push(child);
            }
        }
        if directories.len() > DIRECTORIES_MAX {
            let message = format!("more than {DIRECTORIES_MAX} directories below blobs/{root}, which is the limit");
            return Err(Error::invalid("root_directory_digest", message));
        }
    }
    directories.extend(files);
    let all: Vec<_> = directories.into_iter().collect();
    for some in all.chunks(FILES_BATCH) {
        if !room.find_missing(instance, some).await?.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(all))
}

fn parse(function: DigestFunction, digest: Option<&reapi::Digest>) -> Result<Digest> {
    let digest = digest.ok_or_else(|| Error::invalid("digest", "a node of a Directory has none"))?;
    Digest::parse(function, &digest.hash, digest.size_bytes)
        .map_err(|error| Error::invalid("digest", error.to_string()))
}
