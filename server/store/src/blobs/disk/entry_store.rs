//! The store as a place for entries.

use async_trait::async_trait;
use bytes::Bytes;
use millrace_engine::blobs::{BlobSource, Encoding};
use millrace_engine::blobs::{ENTRY_MAX_BYTES, ENTRY_NAME_MAX_BYTES, EntryKey, EntryStore};
use millrace_engine::error::{Error, Result};

use super::DiskBlobs;
use super::catalog::record_disk_bytes;
use super::record::{Kind, Record};

#[async_trait]
impl EntryStore for DiskBlobs {
    async fn get(&self, key: &EntryKey) -> Result<Option<Bytes>> {
        let name = self.shared.key.entry(key);
        let found = self.shared.open(name, |_| true).await?;
        Ok(found.and_then(|found| match found.source {
            BlobSource::Whole(value) => Some(value),
            BlobSource::Pieces(_) => None,
        }))
    }

    async fn put(&self, key: &EntryKey, value: Bytes) -> Result<()> {
        if key.name.len() > ENTRY_NAME_MAX_BYTES {
            let message = format!("{} bytes; the limit is {ENTRY_NAME_MAX_BYTES}", key.name.len());
            return Err(Error::invalid("name", message));
        }
        if value.len() > ENTRY_MAX_BYTES {
            return Err(Error::invalid("value", format!("{} bytes; the limit is {ENTRY_MAX_BYTES}", value.len())));
        }
        let name = self.shared.key.entry(key);
        let reservation = self.shared.space.reserve(record_disk_bytes(value.len() as u64)).await?;
        let record = Record::new(Kind::Entry, name, Encoding::Identity, value.len() as u64, value);
        self.shared.put(vec![record], reservation).await
    }

    async fn remove(&self, key: &EntryKey) -> Result<bool> {
        let name = self.shared.key.entry(key);
        let Some(item) = self.shared.lock().index.get(name).copied() else { return Ok(false) };
        self.remove_item(&item).await
    }
}
