//! The name of a blob or an entry inside this store: 128 bits of a keyed hash over instance, function (or space) and
//! hash (or name). The key is random and stays in the folder, so nobody outside can make two names meet; among a billion
//! names two meet by chance with a probability of 10^-21.

use std::hash::Hasher;
use std::io;
use std::path::Path;

use millrace_engine::blobs::EntryKey;
use millrace_proto::digest::DigestFunction;
use millrace_proto::instance_name::InstanceName;
use siphasher::sip128::{Hasher128, SipHasher13};
use uuid::Uuid;

use crate::positioned::{sync_folder, write_all_at};

const KEY_FILE: &str = "key";
const MAGIC: &[u8; 8] = b"MRBKEY1\n";
const KEY_BYTES: usize = 16;
/// Entries have their space's number there, which is never 0.
const BLOB_SPACE: u8 = 0;

/// A name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64, pub u64);

impl Fingerprint {
    /// As it stands in files.
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.0) << 64) | u128::from(self.1)).to_be_bytes()
    }

    /// From a file.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::from_number(u128::from_be_bytes(bytes))
    }

    /// From a file's name.
    pub fn from_hex(hex: &str) -> Option<Self> {
        (hex.len() == 32).then(|| u128::from_str_radix(hex, 16).ok().map(Self::from_number))?
    }

    fn from_number(number: u128) -> Self {
        Self((number >> 64) as u64, number as u64)
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:016x}{:016x}", self.0, self.1)
    }
}

/// Makes names.
pub struct FingerprintKey(SipHasher13);

impl FingerprintKey {
    /// The key in this folder; a new one if `fresh`, which is when nothing is there that needs the old one.
    pub fn open(root: &Path, fresh: bool) -> io::Result<Self> {
        let path = root.join(KEY_FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound && fresh => make_key(root)?,
            Err(error) => return Err(io::Error::new(error.kind(), format!("{KEY_FILE}: {error}"))),
        };
        let broken = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{KEY_FILE} is damaged: without it no blob can be found; move the folder away to start anew"),
            )
        };
        let (head, crc) = bytes.split_at_checked(MAGIC.len() + KEY_BYTES).ok_or_else(broken)?;
        if crc != crc32fast::hash(head).to_le_bytes() {
            return Err(broken());
        }
        let key = head.strip_prefix(MAGIC).and_then(|key| key.first_chunk()).ok_or_else(broken)?;
        Ok(Self(SipHasher13::new_with_key(key)))
    }

    /// Names of blobs of one instance and function.
    pub fn blobs(&self, instance: &InstanceName, function: DigestFunction) -> BlobNames {
        BlobNames(self.begin(BLOB_SPACE, function.wire() as u8, instance))
    }

    /// The name of an entry.
    pub fn entry(&self, key: &EntryKey) -> Fingerprint {
        name(self.begin(key.space as u8, 0, &key.instance), &key.name)
    }

    fn begin(&self, space: u8, function: u8, instance: &InstanceName) -> SipHasher13 {
        let mut hasher = self.0;
        // One write: the hasher takes whole words.
        let len = instance.as_str().len() as u32;
        let mut head = [0; 8];
        head[0] = space;
        head[1] = function;
        head[4..].copy_from_slice(&len.to_le_bytes());
        hasher.write(&head);
        hasher.write(instance.as_str().as_bytes());
        hasher
    }
}

/// Makes names of blobs of one instance and function.
pub struct BlobNames(SipHasher13);

impl BlobNames {
    /// The name of the blob with this hash.
    pub fn of(&self, hash: &[u8]) -> Fingerprint {
        name(self.0, hash)
    }
}

fn name(mut hasher: SipHasher13, rest: &[u8]) -> Fingerprint {
    hasher.write(rest);
    let hash = hasher.finish128();
    Fingerprint(hash.h1, hash.h2)
}

fn make_key(root: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = [&MAGIC[..], Uuid::new_v4().as_bytes()].concat();
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    let temporary = root.join("key.new");
    let file = std::fs::File::create(&temporary)?;
    write_all_at(&file, &bytes, 0)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&temporary, root.join(KEY_FILE))?;
    sync_folder(root)?;
    Ok(bytes)
}
