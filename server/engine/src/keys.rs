//! The keys of HTTP caches: a name that its client made up, and the digest of what is kept under it. The content is a
//! blob; a key whose blob has gone is gone, too. Knows no paths and no HTTP.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use crate::blobs::{BlobRoom, ENTRY_NAME_MAX_BYTES, EntryKey, EntryStore, Space};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The function by which contents of keys are named: the one that everybody can check with a tool at hand.
pub const KEY_FUNCTION: DigestFunction = DigestFunction::Sha256;
/// The form of a value on disk.
const VALUE_VERSION: u8 = 1;
/// Version, function, size and time, before the hash.
const VALUE_HEAD_BYTES: usize = 1 + 1 + 8 + 8;

/// What is kept under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The content.
    pub digest: Digest,
    /// When it was stored, in milliseconds since 1970.
    pub stored_ms: i64,
}

/// The keys.
pub struct KeyCache {
    entries: Arc<dyn EntryStore>,
    room: Arc<BlobRoom>,
    clock: Arc<dyn Clock>,
}

impl KeyCache {
    /// Keys in a store of entries, whose contents are in a room.
    pub fn new(entries: Arc<dyn EntryStore>, room: Arc<BlobRoom>, clock: Arc<dyn Clock>) -> Self {
        Self { entries, room, clock }
    }

    /// What is kept under a key, if its content is here, too: that is a use of both.
    pub async fn get(&self, instance: &InstanceName, name: &[u8]) -> Result<Option<Kept>> {
        let key = entry_key(instance, name)?;
        let Some(kept) = self.entries.get(&key).await?.as_deref().and_then(parse) else { return Ok(None) };
        let missing = self.room.find_missing(instance, &[kept.digest]).await?;
        Ok(missing.is_empty().then_some(kept))
    }

    /// Keeps a content that is in the room under a key, in place of any other.
    pub async fn put(&self, instance: &InstanceName, name: &[u8], digest: Digest) -> Result<Kept> {
        let kept = Kept { digest, stored_ms: self.clock.now_ms() };
        self.entries.put(&entry_key(instance, name)?, value(&kept)).await?;
        Ok(kept)
    }

    /// Forgets a key. Whether there was one. The content goes when nobody has used it for long.
    pub async fn remove(&self, instance: &InstanceName, name: &[u8]) -> Result<bool> {
        self.entries.remove(&entry_key(instance, name)?).await
    }
}

fn entry_key(instance: &InstanceName, name: &[u8]) -> Result<EntryKey> {
    if name.is_empty() {
        return Err(Error::invalid("key", "is empty"));
    }
    if name.len() > ENTRY_NAME_MAX_BYTES {
        return Err(Error::invalid("key", format!("has {} bytes; the limit is {ENTRY_NAME_MAX_BYTES}", name.len())));
    }
    Ok(EntryKey { space: Space::Http, instance: instance.clone(), name: Bytes::copy_from_slice(name) })
}

fn value(kept: &Kept) -> Bytes {
    let hash = kept.digest.hash();
    let mut value = BytesMut::with_capacity(VALUE_HEAD_BYTES + hash.len());
    value.put_u8(VALUE_VERSION);
    value.put_u8(kept.digest.function().wire() as u8);
    value.put_u64(kept.digest.size());
    value.put_i64(kept.stored_ms);
    value.put_slice(hash);
    value.freeze()
}

/// A value of a later version is nothing that is known here: a miss.
fn parse(value: &[u8]) -> Option<Kept> {
    let (head, hash) = value.split_at_checked(VALUE_HEAD_BYTES)?;
    let [VALUE_VERSION, function, numbers @ ..] = head else { return None };
    let (size, stored_ms) = numbers.split_at_checked(8)?;
    let function = DigestFunction::from_wire(i32::from(*function)).ok()?;
    let digest = Digest::new(function, hash, u64::from_be_bytes(size.try_into().ok()?)).ok()?;
    Some(Kept { digest, stored_ms: i64::from_be_bytes(stored_ms.try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_was_and_others_are_nothing() {
        for function in DigestFunction::ALL {
            let kept = Kept { digest: Digest::of(function, b"hello"), stored_ms: -7 };
            let value = value(&kept);
            assert_eq!(parse(&value), Some(kept));
            for length in 0..value.len() {
                assert_eq!(parse(&value[..length]), None, "{length}");
            }
            let mut later = value.to_vec();
            later[0] = 2;
            assert_eq!(parse(&later), None);
        }
    }

    #[test]
    fn names_have_a_length() {
        let instance = InstanceName::default();
        assert!(entry_key(&instance, b"").is_err());
        assert!(entry_key(&instance, &[b'x'; ENTRY_NAME_MAX_BYTES]).is_ok());
        let error = entry_key(&instance, &[b'x'; ENTRY_NAME_MAX_BYTES + 1]).unwrap_err().to_string();
        assert!(error.contains("4096"), "{error}");
    }
}
