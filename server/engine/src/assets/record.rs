//! Where an asset is found again: its key, and what is kept under it. The key holds hashes only, so that no header or
//! credential of a request is ever on disk.

use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction, Hasher};
use millrace_proto::instance_name::InstanceName;
use serde::{Deserialize, Serialize};

use super::qualifiers::Qualifiers;
use crate::blobs::{ENTRY_MAX_BYTES, EntryKey, Space};
use crate::error::{Error, Result};

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AssetKind {
    /// The contents of a file. The numbers are on disk.
    Blob = 1,
    /// A tree of Directory messages.
    Directory = 2,
}

/// The key of an asset: URI and qualifiers, the kind, and by which function its digests are.
pub fn asset_key(
    instance: &InstanceName,
    kind: AssetKind,
    function: DigestFunction,
    uri: &str,
    qualifiers: &Qualifiers,
) -> EntryKey {
    let mut hasher = Hasher::new(DigestFunction::Sha256);
    let mut text = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    text(uri);
    for (name, value) in qualifiers.telling_apart() {
        text(name);
        text(value);
    }
    let mut name = vec![kind as u8, function.wire() as u8];
    name.extend_from_slice(hasher.finish().hash());
    EntryKey { space: Space::Asset, instance: instance.clone(), name: name.into() }
}

/// What is kept for an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetRecord {
    /// The blob, or the root Directory.
    pub digest: Digest,
    /// When it was pushed, or when its download began, in Unix milliseconds.
    pub since_ms: i64,
    /// From when on it is no longer given out.
    pub expire_ms: Option<i64>,
    /// Blobs that have to be there with it.
    pub blobs: Vec<Digest>,
    /// Roots of directory trees that have to be there with it.
    pub directories: Vec<Digest>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    digest: (i32, String, i64),
    since_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expire_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    blobs: Vec<(i32, String, i64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    directories: Vec<(i32, String, i64)>,
}

impl AssetRecord {
    /// As it is kept.
    pub fn encode(&self) -> Result<Bytes> {
        let stored = Stored {
            digest: tuple(&self.digest),
            since_ms: self.since_ms,
            expire_ms: self.expire_ms,
            blobs: self.blobs.iter().map(tuple).collect(),
            directories: self.directories.iter().map(tuple).collect(),
        };
        let bytes = serde_json::to_vec(&stored).map_err(Error::internal)?;
        if bytes.len() > ENTRY_MAX_BYTES {
            let references = self.blobs.len() + self.directories.len();
            let message = format!("{references} references take {} bytes; the limit is {ENTRY_MAX_BYTES}", bytes.len());
            return Err(Error::invalid("references_blobs", message));
        }
        Ok(bytes.into())
    }

    /// From what is kept; None when it is not understood, which is as good as not being there.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        let all = |digests: Vec<(i32, String, i64)>| digests.iter().map(digest).collect::<Option<Vec<_>>>();
        Some(Self {
            digest: digest(&stored.digest)?,
            since_ms: stored.since_ms,
            expire_ms: stored.expire_ms,
            blobs: all(stored.blobs)?,
            directories: all(stored.directories)?,
        })
    }

    /// Whether it may still be given out, to somebody who wants nothing older than `oldest_ms`.
    pub fn is_good(&self, now_ms: i64, oldest_ms: Option<i64>) -> bool {
        self.expire_ms.is_none_or(|at| now_ms < at) && oldest_ms.is_none_or(|oldest| self.since_ms >= oldest)
    }
}

fn tuple(digest: &Digest) -> (i32, String, i64) {
    (digest.function().wire(), digest.hex(), digest.size_wire())
}

fn digest((function, hex, size): &(i32, String, i64)) -> Option<Digest> {
    Digest::parse(DigestFunction::from_wire(*function).ok()?, hex, *size).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qualifiers(pairs: &[(&str, &str)]) -> Qualifiers {
        Qualifiers::new(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()).unwrap()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let of = |text: &str| Digest::of(DigestFunction::Blake3, text.as_bytes());
        let mut record = AssetRecord {
            digest: of("a"),
            since_ms: 5,
            expire_ms: Some(9),
            blobs: vec![of("b")],
            directories: vec![of("c"), of("")],
        };
        assert_eq!(AssetRecord::decode(&record.encode().unwrap()), Some(record.clone()));
        assert!(record.is_good(8, None) && record.is_good(8, Some(5)));
        assert!(!record.is_good(9, None) && !record.is_good(8, Some(6)));
        assert_eq!(AssetRecord::decode(b"{}"), None);
        record.blobs = vec![of("b"); 60_000];
        assert!(record.encode().unwrap_err().to_string().contains("60002 references"));
    }

    #[test]
    fn keys_differ_in_all_that_tells_assets_apart() {
        let instance = InstanceName::default();
        let key = |kind, function, uri: &str, pairs: &[(&str, &str)]| {
            asset_key(&instance, kind, function, uri, &qualifiers(pairs)).name
        };
        let (blob, directory, sha256) = (AssetKind::Blob, AssetKind::Directory, DigestFunction::Sha256);
        let all = [
            key(blob, sha256, "u", &[]),
            key(directory, sha256, "u", &[]),
            key(blob, DigestFunction::Blake3, "u", &[]),
            key(blob, sha256, "v", &[]),
            key(blob, sha256, "u", &[("a", "b")]),
            key(blob, sha256, "u", &[("ab", "")]),
            key(blob, sha256, "u", &[("", "ab")]),
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(
            key(blob, sha256, "u", &[("a", "1"), ("b", "2")]),
            key(blob, sha256, "u", &[("b", "2"), ("a", "1")])
        );
    }
}
