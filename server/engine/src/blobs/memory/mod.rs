//! Blobs and entries in memory: the plainest store that keeps the promises of [`BlobStore`] and [`EntryStore`] but one
//! (it forgets everything when it is dropped). Strictly the least recently used goes first. Knows no files.

mod kept;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use kept::{Kept, Key, blob_key};

use super::entries::{ENTRY_MAX_BYTES, ENTRY_NAME_MAX_BYTES, EntryKey, EntryStore};
use super::store::{BlobRead, BlobSource, BlobStore, BlobUsage, BlobWrite, Encoding, NewBlob, OpenBlob};
use crate::error::{Error, Result};

/// Up to here a blob is opened whole; longer ones come in pieces, so that tests see both.
pub const MEMORY_WHOLE_MAX_BYTES: usize = 64 * 1024;

/// Blobs and entries in memory. Clones are the same store.
#[derive(Clone, Default)]
pub struct MemoryBlobs {
    /// Short looks and changes only; nothing is awaited while it is held.
    kept: Arc<Mutex<Kept>>,
}

impl MemoryBlobs {
    /// A store with a limit on the bytes it keeps; 0: none. Nothing is leased: use is all that spares.
    pub fn with_limit(limit_bytes: u64) -> Self {
        let store = Self::default();
        store.lock().limit_bytes = limit_bytes;
        store
    }

    /// Turns over the last byte of a blob, as a bad disk would. Whether there was one.
    pub fn corrupt(&self, instance: &InstanceName, digest: &Digest) -> bool {
        let mut kept = self.lock();
        let Some(value) = kept.values.get_mut(&blob_key(instance, digest)) else { return false };
        let mut data = BytesMut::from(&value.data[..]);
        let Some(last) = data.last_mut() else { return false };
        *last ^= 0xff;
        value.data = data.freeze();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BlobStore for MemoryBlobs {
    async fn missing(&self, instance: &InstanceName, digests: &[Digest]) -> Result<Vec<Digest>> {
        let mut kept = self.lock();
        let mut missing = Vec::new();
        let mut seen = HashSet::new();
        for digest in digests {
            let key = blob_key(instance, digest);
            if kept.size(&key) == Some(digest.size()) {
                kept.touch(&key);
            } else if seen.insert(digest) {
                missing.push(*digest);
            }
        }
        Ok(missing)
    }

    async fn find(&self, instance: &InstanceName, function: DigestFunction, hash: &[u8]) -> Result<Option<Digest>> {
        let key = Key::Blob(instance.clone(), function, Bytes::copy_from_slice(hash));
        match self.lock().size(&key) {
            Some(size) => Digest::new(function, hash, size).map(Some).map_err(Error::internal),
            None => Ok(None),
        }
    }

    async fn open(&self, instance: &InstanceName, digest: &Digest) -> Result<Option<OpenBlob>> {
        let mut kept = self.lock();
        let key = blob_key(instance, digest);
        if kept.size(&key) != Some(digest.size()) {
            return Ok(None);
        }
        kept.touch(&key);
        Ok(kept.values.get(&key).map(|value| OpenBlob {
            encoding: value.encoding,
            stored_len: value.data.len() as u64,
            source: if value.data.len() <= MEMORY_WHOLE_MAX_BYTES {
                BlobSource::Whole(value.data.clone())
            } else {
                BlobSource::Pieces(Box::new(MemoryRead(value.data.clone())))
            },
        }))
    }

    async fn put(&self, instance: &InstanceName, blobs: Vec<NewBlob>) -> Vec<Result<()>> {
        let mut kept = self.lock();
        // Copied: what is kept must not hold the whole request that it was a slice of.
        let keep = |blob: NewBlob| {
            let key = blob_key(instance, &blob.digest);
            kept.keep(key, blob.digest.size(), blob.encoding, Bytes::copy_from_slice(&blob.data))
        };
        blobs.into_iter().map(keep).collect()
    }

    async fn begin(
        &self,
        instance: &InstanceName,
        _function: DigestFunction,
        encoding: Encoding,
        _size: Option<u64>,
    ) -> Result<Box<dyn BlobWrite>> {
        let (store, instance) = (self.clone(), instance.clone());
        Ok(Box::new(MemoryWrite { store, instance, encoding, data: BytesMut::new() }))
    }

    async fn remove(&self, instance: &InstanceName, digest: &Digest) -> Result<bool> {
        let mut kept = self.lock();
        let key = blob_key(instance, digest);
        let here = kept.size(&key) == Some(digest.size());
        Ok(here && kept.remove(&key).is_some())
    }

    fn usage(&self) -> BlobUsage {
        let kept = self.lock();
        let blobs = kept.values.keys().filter(|key| matches!(key, Key::Blob(..))).count();
        BlobUsage {
            blobs: blobs as u64,
            entries: (kept.values.len() - blobs) as u64,
            stored_bytes: kept.stored_bytes,
            limit_bytes: kept.limit_bytes,
            evicted: kept.evicted,
            evicted_bytes: kept.evicted_bytes,
            corrupt: 0,
        }
    }
}

#[async_trait]
impl EntryStore for MemoryBlobs {
    async fn get(&self, key: &EntryKey) -> Result<Option<Bytes>> {
        let mut kept = self.lock();
        let key = Key::Entry(key.clone());
        kept.touch(&key);
        Ok(kept.values.get(&key).map(|value| value.data.clone()))
    }

    async fn put(&self, key: &EntryKey, value: Bytes) -> Result<()> {
        if key.name.len() > ENTRY_NAME_MAX_BYTES {
            let message = format!("{} bytes; the limit is {ENTRY_NAME_MAX_BYTES}", key.name.len());
            return Err(Error::invalid("name", message));
        }
        if value.len() > ENTRY_MAX_BYTES {
            return Err(Error::invalid("value", format!("{} bytes; the limit is {ENTRY_MAX_BYTES}", value.len())));
        }
        let mut kept = self.lock();
        let (key, size) = (Key::Entry(key.clone()), value.len() as u64);
        kept.remove(&key);
        kept.keep(key, size, Encoding::Identity, Bytes::copy_from_slice(&value))
    }

    async fn remove(&self, key: &EntryKey) -> Result<bool> {
        Ok(self.lock().remove(&Key::Entry(key.clone())).is_some())
    }
}

struct MemoryRead(Bytes);

#[async_trait]
impl BlobRead for MemoryRead {
    async fn read_at(&self, offset: u64, max: usize) -> Result<Bytes> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        Ok(self.0.slice(start..start.saturating_add(max).min(self.0.len())))
    }
}

struct MemoryWrite {
    store: MemoryBlobs,
    instance: InstanceName,
    encoding: Encoding,
    data: BytesMut,
}

#[async_trait]
impl BlobWrite for MemoryWrite {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        self.data.extend_from_slice(&data);
        Ok(())
    }

    fn digest(&mut self) -> Option<Digest> {
        None
    }

    async fn commit(self: Box<Self>, digest: Digest) -> Result<()> {
        let key = blob_key(&self.instance, &digest);
        self.store.lock().keep(key, digest.size(), self.encoding, self.data.freeze())
    }
}
