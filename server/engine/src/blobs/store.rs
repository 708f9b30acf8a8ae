//! What a place for blobs promises. Behaviours (verifying, metering, limits, reading through) are wrappers with the same
//! trait, one a file beside this one; it knows no wire, no hashing and no compression.

use async_trait::async_trait;
use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use crate::error::Result;

/// How a blob's bytes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As they are.
    Identity,
    /// As one or more zstd frames.
    Zstd,
}

/// A whole blob to be kept, small enough for memory.
#[derive(Clone, Debug)]
pub struct NewBlob {
    /// What the decoded bytes hash to.
    pub digest: Digest,
    /// How `data` is to be understood.
    pub encoding: Encoding,
    /// The encoded bytes.
    pub data: Bytes,
}

/// A blob that was found, to be read while this is held, even if it is evicted meanwhile.
pub struct OpenBlob {
    /// How the bytes are kept.
    pub encoding: Encoding,
    /// How many bytes are kept: those of the encoded form.
    pub stored_len: u64,
    /// The encoded bytes.
    pub source: BlobSource,
}

/// Where the encoded bytes of an open blob come from.
pub enum BlobSource {
    /// All of them are here: so is every small blob.
    Whole(Bytes),
    /// They are read piece by piece.
    Pieces(Box<dyn BlobRead>),
}

/// Reads an open blob piece by piece.
#[async_trait]
pub trait BlobRead: Send + Sync {
    /// Encoded bytes from `offset` on: at least one and at most `max`, none only at the end. Bytes that are not what was
    /// stored are never returned: that is an error, and the blob is missing from then on.
    async fn read_at(&self, offset: u64, max: usize) -> Result<Bytes>;
}

/// A blob on its way in. Dropped before `commit`, nothing is left of it.
#[async_trait]
pub trait BlobWrite: Send {
    /// Takes the next encoded bytes.
    async fn write(&mut self, data: Bytes) -> Result<()>;

    /// What the decoded bytes so far hash to, if this layer knows.
    fn digest(&mut self) -> Option<Digest>;

    /// Makes the blob durable, then visible under this digest. Fails without a trace when the bytes don't have it, in
    /// the layers that look.
    async fn commit(self: Box<Self>, digest: Digest) -> Result<()>;
}

/// Keeps blobs by instance and digest. Instances see nothing of each other.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Those of the digests that are not here, each once, in the order asked. What is here has been used, and stays for
    /// the lease window at least. A blob whose size is not the digest's is not here. Answers from memory.
    async fn missing(&self, instance: &InstanceName, digests: &[Digest]) -> Result<Vec<Digest>>;

    /// The whole digest of the blob with this hash, if it is here: for protocols that say only the hash. From memory.
    async fn find(&self, instance: &InstanceName, function: DigestFunction, hash: &[u8]) -> Result<Option<Digest>>;

    /// Opens a blob, if it is here; that is a use.
    async fn open(&self, instance: &InstanceName, digest: &Digest) -> Result<Option<OpenBlob>>;

    /// Keeps small blobs with one commit: each is durable and visible, or has its own error. The answers are in the order
    /// of the blobs. A blob that is here already is a use of it.
    async fn put(&self, instance: &InstanceName, blobs: Vec<NewBlob>) -> Vec<Result<()>>;

    /// Begins a blob of any size. `size` is that of the decoded bytes, where it is known: space is reserved for it.
    async fn begin(
        &self,
        instance: &InstanceName,
        function: DigestFunction,
        encoding: Encoding,
        size: Option<u64>,
    ) -> Result<Box<dyn BlobWrite>>;

    /// Drops a blob, because it is not what its digest says or somebody asked for it. Whether it was here.
    async fn remove(&self, instance: &InstanceName, digest: &Digest) -> Result<bool>;

    /// What is kept now.
    fn usage(&self) -> BlobUsage;
}

/// How much a store keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlobUsage {
    /// Blobs.
    pub blobs: u64,
    /// Entries that are no blobs (action results, keys), where the same place keeps them.
    pub entries: u64,
    /// The bytes on disk, with all that is wasted.
    pub stored_bytes: u64,
    /// The most bytes there may be on disk; 0: as many as there are.
    pub limit_bytes: u64,
    /// Blobs and entries that had to go for others since the start.
    pub evicted: u64,
    /// The bytes of those.
    pub evicted_bytes: u64,
    /// Blobs dropped since the start because their bytes were no longer right.
    pub corrupt: u64,
}
