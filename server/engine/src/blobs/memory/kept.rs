//! What a store in memory holds, and which of it goes first. Knows no streams.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use crate::blobs::entries::EntryKey;
use crate::blobs::store::Encoding;
use crate::error::{Error, Result};

#[derive(Default)]
pub(super) struct Kept {
    pub(super) limit_bytes: u64,
    pub(super) values: HashMap<Key, Value>,
    /// By last use, the oldest first.
    order: BTreeMap<u64, Key>,
    uses: u64,
    pub(super) stored_bytes: u64,
    pub(super) evicted: u64,
    pub(super) evicted_bytes: u64,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Without the size, so that a hash can be found.
    Blob(InstanceName, DigestFunction, Bytes),
    Entry(EntryKey),
}

pub(super) struct Value {
    used: u64,
    /// Of the decoded bytes.
    size: u64,
    pub(super) encoding: Encoding,
    pub(super) data: Bytes,
}

impl Kept {
    pub(super) fn size(&self, key: &Key) -> Option<u64> {
        self.values.get(key).map(|value| value.size)
    }

    pub(super) fn touch(&mut self, key: &Key) {
        self.uses += 1;
        let Some(value) = self.values.get_mut(key) else { return };
        self.order.remove(&value.used);
        value.used = self.uses;
        self.order.insert(self.uses, key.clone());
    }

    pub(super) fn keep(&mut self, key: Key, size: u64, encoding: Encoding, data: Bytes) -> Result<()> {
        if self.size(&key) == Some(size) {
            self.touch(&key);
            return Ok(());
        }
        let len = data.len() as u64;
        if self.limit_bytes > 0 && len > self.limit_bytes {
            let message = format!("{len} bytes do not fit the store's limit of {}", self.limit_bytes);
            return Err(Error::Exhausted(message));
        }
        self.remove(&key);
        while self.limit_bytes > 0 && self.stored_bytes + len > self.limit_bytes {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            let oldest = oldest.clone();
            let gone = self.remove(&oldest).map_or(0, |value| value.data.len() as u64);
            self.evicted += 1;
            self.evicted_bytes += gone;
        }
        self.uses += 1;
        self.order.insert(self.uses, key.clone());
        self.stored_bytes += len;
        self.values.insert(key, Value { used: self.uses, size, encoding, data });
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Value> {
        let value = self.values.remove(key)?;
        self.order.remove(&value.used);
        self.stored_bytes -= value.data.len() as u64;
        Some(value)
    }
}

pub(super) fn blob_key(instance: &InstanceName, digest: &Digest) -> Key {
    Key::Blob(instance.clone(), digest.function(), Bytes::copy_from_slice(digest.hash()))
}
