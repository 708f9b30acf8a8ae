//! What an operator or a test may set, and what follows from it.

/// What an operator or a test may set.
#[derive(Clone, Copy, Debug)]
pub struct DiskBlobsOptions {
    /// The most bytes on disk, with all that is wasted. 0: what the disk has at the start, without `free_min_bytes`.
    pub limit_bytes: u64,
    /// So many bytes of the disk are left to the database and the logs: blobs are refused first. Never more than a
    /// twentieth of the disk.
    pub free_min_bytes: u64,
    /// What a client was told is here stays for so long at least.
    pub lease_ms: u64,
    /// Blobs of more (encoded) bytes have a file each, others share packs.
    pub small_max_bytes: u64,
    /// A pack is full when it is longer. 0: by the limit.
    pub pack_max_bytes: u64,
    /// How often the order of use is written down, for a start after a crash.
    pub snapshot_every_ms: u64,
}

impl Default for DiskBlobsOptions {
    fn default() -> Self {
        Self {
            limit_bytes: 0,
            free_min_bytes: 512 * 1024 * 1024,
            lease_ms: 60_000,
            small_max_bytes: 256 * 1024,
            pack_max_bytes: 0,
            snapshot_every_ms: 300_000,
        }
    }
}

/// Packs are neither smaller nor larger than this, unless somebody says so.
const PACK_MIN_BYTES: u64 = 64 * 1024;
const PACK_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// So many packs fill the limit.
const PACKS_IN_LIMIT: u64 = 64;

/// Each pack is an open file: with a very large limit packs are larger rather than more than this.
const PACKS_OPEN_MAX: u64 = 512;

impl DiskBlobsOptions {
    /// When a pack is full. Few packs, for each is an open file; small enough to move what lives in one within the limit.
    pub(super) fn pack_len(&self, limit_bytes: u64) -> u64 {
        match self.pack_max_bytes {
            0 => {
                let most = PACK_MAX_BYTES.max(limit_bytes / PACKS_OPEN_MAX);
                (limit_bytes / PACKS_IN_LIMIT).clamp(PACK_MIN_BYTES, most).min(u64::from(u32::MAX) / 2)
            }
            // Offsets have 32 bits.
            set => set.min(u64::from(u32::MAX) / 2),
        }
    }
}
