//! How much of what there may be in the blob room.

/// The default of [`BlobLimits::blob_max_bytes`].
pub const BLOB_MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// The default of [`BlobLimits::batch_max_bytes`]: gRPC clients take messages of 4 MiB; the rest is for digests and tags.
pub const BATCH_MAX_BYTES: u64 = 4 * 1024 * 1024 - 64 * 1024;
/// The default of [`BlobLimits::parked_uploads_max`].
pub const PARKED_UPLOADS_MAX: usize = 64;
/// The default of [`BlobLimits::parked_uploads_max_bytes`].
pub const PARKED_UPLOADS_MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// The default of [`BlobLimits::parked_uploads_max_ms`]: clients that come back do so within a minute.
pub const PARKED_UPLOADS_MAX_MS: i64 = 10 * 60 * 1000;

/// How much of what there may be.
#[derive(Clone, Debug)]
pub struct BlobLimits {
    /// The largest blob, in decoded bytes: what clients are told. The store's layers hold them to it.
    pub blob_max_bytes: u64,
    /// The most decoded bytes of all blobs in a batch.
    pub batch_max_bytes: u64,
    /// How many unfinished uploads are kept for their clients to go on with.
    pub parked_uploads_max: usize,
    /// How many encoded bytes these may have taken together.
    pub parked_uploads_max_bytes: u64,
    /// How long they are kept.
    pub parked_uploads_max_ms: i64,
}

impl Default for BlobLimits {
    fn default() -> Self {
        Self {
            blob_max_bytes: BLOB_MAX_BYTES,
            batch_max_bytes: BATCH_MAX_BYTES,
            parked_uploads_max: PARKED_UPLOADS_MAX,
            parked_uploads_max_bytes: PARKED_UPLOADS_MAX_BYTES,
            parked_uploads_max_ms: PARKED_UPLOADS_MAX_MS,
        }
    }
}
