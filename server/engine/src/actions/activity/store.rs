//! What is kept about the cache's use, and what is needed of a store for it.

use async_trait::async_trait;

use crate::error::Result;

/// What happened, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActivityCounts {
    /// Action results found.
    pub action_hits: u64,
    /// Action results asked for and not found.
    pub action_misses: u64,
    /// Action results stored.
    pub action_updates: u64,
    /// Blobs asked for by FindMissingBlobs that were here.
    pub blobs_present: u64,
    /// Blobs asked for by FindMissingBlobs that were not here.
    pub blobs_missing: u64,
    /// Bytes of blobs sent to clients.
    pub bytes_read: u64,
    /// Bytes of blobs received from clients.
    pub bytes_written: u64,
    /// Execution time that hits saved, in milliseconds.
    pub saved_ms: u64,
    /// Keys of HTTP caches found.
    pub key_hits: u64,
    /// Keys of HTTP caches asked for and not found.
    pub key_misses: u64,
}

impl ActivityCounts {
    /// Adds others to these.
    pub fn add(&mut self, other: &Self) {
        self.action_hits += other.action_hits;
        self.action_misses += other.action_misses;
        self.action_updates += other.action_updates;
        self.blobs_present += other.blobs_present;
        self.blobs_missing += other.blobs_missing;
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        self.saved_ms += other.saved_ms;
        self.key_hits += other.key_hits;
        self.key_misses += other.key_misses;
    }
}

/// What happened in an instance in a minute, or in a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityMinute {
    /// The instance's name.
    pub instance: String,
    /// Minutes since 1970.
    pub minute: i64,
    /// What happened.
    pub counts: ActivityCounts,
}

/// Keeps counts by instance and minute.
#[async_trait]
pub trait ActivityStore: Send + Sync + 'static {
    /// Adds counts to what is kept for the same instance and minute. All of them or, on an error, none.
    async fn add(&self, minutes: Vec<ActivityMinute>) -> Result<()>;

    /// The sums of `[first_minute, end_minute)` in steps of so many minutes, counted from `first_minute`: (index of the
    /// step, sum), in order, without empty steps. Of one instance, or of all.
    async fn sums(
        &self,
        instance: Option<&str>,
        first_minute: i64,
        end_minute: i64,
        step_minutes: i64,
    ) -> Result<Vec<(i64, ActivityCounts)>>;

    /// The names of the instances of which something is kept, in order, so many at most.
    async fn instances(&self, limit: u32) -> Result<Vec<String>>;

    /// Forgets what was before a minute.
    async fn prune(&self, before_minute: i64) -> Result<()>;
}
