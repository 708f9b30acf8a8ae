//! Tar: POSIX, pax and GNU names. The extended headers are read here and not by the tar crate, which would hold them in
//! memory whatever their size.

use std::collections::HashMap;
use std::io::Read;

use tar::{Archive, EntryType, PaxExtensions};

use super::{Out, PATH_MAX_BYTES, Piece, Unreadable, text};

/// The largest extended header, in bytes.
const EXTENDED_MAX_BYTES: u64 = 1024 * 1024;

/// What extended headers say about the next entry.
#[derive(Default)]
struct Next {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Reads an uncompressed tar file.
pub fn read(reader: impl Read, out: &Out) -> Result<(), Unreadable> {
    let mut archive = Archive::new(reader);
    let mut next = Next::default();
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => next.path = Some(name(bounded(&mut entry, PATH_MAX_BYTES)?)),
            EntryType::GNULongLink => next.target = Some(name(bounded(&mut entry, PATH_MAX_BYTES)?)),
            EntryType::XHeader => extend(&mut next, &bounded(&mut entry, EXTENDED_MAX_BYTES)?)?,
            // Comments and times for all entries: nothing that a tree keeps.
            EntryType::XGlobalHeader => {}
            _ => {
                let said = std::mem::take(&mut next);
                one(entry, kind, said, out)?;
            }
        }
    }
    Ok(())
}

fn one<R: Read>(entry: tar::Entry<'_, R>, kind: EntryType, said: Next, out: &Out) -> Result<(), Unreadable> {
    let path = text(&said.path.unwrap_or_else(|| entry.path_bytes().into_owned()))?;
    let target = || {
        let bytes = said.target.clone().or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned));
        bytes.ok_or_else(|| bad(&path, "is a link without a target")).and_then(|bytes| text(&bytes))
    };
    match kind {
        // In old archives a folder is a file whose name ends with a slash.
        EntryType::Regular if path.ends_with('/') => out.put(Piece::Folder { path }),
        EntryType::Directory => out.put(Piece::Folder { path }),
        EntryType::Regular | EntryType::Continuous => {
            if said.size.is_some_and(|size| size != entry.size()) {
                return Err(bad(&path, "has two sizes"));
            }
            let executable = entry.header().mode()? & 0o111 != 0;
            out.put(Piece::File { path, executable })?;
            out.data(entry)
        }
        EntryType::Symlink => {
            let target = target()?;
            out.put(Piece::Symlink { path, target })
        }
        EntryType::Link => {
            let target = target()?;
            out.put(Piece::HardLink { path, target })
        }
        EntryType::Char | EntryType::Block => Err(bad(&path, "is a device")),
        EntryType::Fifo => Err(bad(&path, "is a pipe")),
        EntryType::GNUSparse => Err(bad(&path, "is a sparse file, which is not supported")),
        other => Err(bad(&path, &format!("is of an unknown type ({:?})", char::from(other.as_byte())))),
    }
}

/// What a pax header says.
fn extend(next: &mut Next, bytes: &[u8]) -> Result<(), Unreadable> {
    let mut found = HashMap::new();
    for extension in PaxExtensions::new(bytes) {
        let extension = extension?;
        found.insert(extension.key_bytes(), extension.value_bytes());
    }
    if found.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
        return Err(Unreadable::Bad("the archive has a sparse file, which is not supported".into()));
    }
    if let Some(path) = found.get(&b"path"[..]) {
        next.path = Some(path.to_vec());
    }
    if let Some(target) = found.get(&b"linkpath"[..]) {
        next.target = Some(target.to_vec());
    }
    if let Some(size) = found.get(&b"size"[..]) {
        let size = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok());
        next.size = Some(size.ok_or_else(|| Unreadable::Bad("a size in the archive is no number".into()))?);
    }
    Ok(())
}

fn bounded(entry: &mut impl Read, max_bytes: u64) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    entry.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(Unreadable::Bad(format!(
            "a header in the archive has more than {max_bytes} bytes, which is the limit"
        )));
    }
    Ok(bytes)
}

/// GNU names end with NUL.
fn name(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn bad(path: &str, what: &str) -> Unreadable {
    let path: String = path.chars().take(300).collect();
    Unreadable::Bad(format!("the entry {path:?} {what}"))
}
