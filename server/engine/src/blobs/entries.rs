//! Small values by key, which may be replaced: action results, the keys of HTTP caches, pushed assets. What a value means
//! is its owner's business; large contents are blobs, and the value names their digest.

use async_trait::async_trait;
use bytes::Bytes;
use millrace_proto::instance_name::InstanceName;

use crate::error::Result;

/// The largest value, in bytes.
pub const ENTRY_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The longest name, in bytes.
pub const ENTRY_NAME_MAX_BYTES: usize = 4 * 1024;

/// Whose key it is. The numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Space {
    /// Action results by the action's digest.
    Action = 1,
    /// HTTP caches: paths.
    Http = 2,
    /// Pushed and fetched assets.
    Asset = 3,
    /// How blobs were cut into chunks: by the blob's digest.
    Chunks = 4,
}

/// The key of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryKey {
    /// Whose.
    pub space: Space,
    /// In which instance; instances see nothing of each other.
    pub instance: InstanceName,
    /// The name, any bytes, [`ENTRY_NAME_MAX_BYTES`] at most.
    pub name: Bytes,
}

/// Keeps entries. They share the place and its limit with blobs, and go by the same rule: the least recently used first.
#[async_trait]
pub trait EntryStore: Send + Sync + 'static {
    /// The value, if there is one; that is a use.
    async fn get(&self, key: &EntryKey) -> Result<Option<Bytes>>;

    /// Keeps a value in place of any other, durable when this returns. [`ENTRY_MAX_BYTES`] at most.
    async fn put(&self, key: &EntryKey, value: Bytes) -> Result<()>;

    /// Drops a value. Whether there was one.
    async fn remove(&self, key: &EntryKey) -> Result<bool>;
}
