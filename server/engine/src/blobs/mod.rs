//! The blob room: bytes by digest, entries by key, and what is done with them. Knows no wire, no files, no HTTP.
//!
//! A store is wrapped, from within to without: [`ReadThrough`], [`Metered`], [`AtRest`], [`Verified`], [`SizeLimited`];
//! the [`BlobRoom`] is on top.

mod at_rest;
mod check;
mod entries;
#[cfg(any(test, feature = "testing"))]
mod memory;
mod metered;
mod offload;
mod read_through;
mod room;
mod size_limited;
mod store;
#[cfg(test)]
mod tests;
mod verified;
pub mod zstd;

pub use at_rest::AtRest;
pub use entries::{ENTRY_MAX_BYTES, ENTRY_NAME_MAX_BYTES, EntryKey, EntryStore, Space};
#[cfg(any(test, feature = "testing"))]
pub use memory::{MEMORY_WHOLE_MAX_BYTES, MemoryBlobs};
pub use metered::{BlobMeter, BlobTraffic, Metered};
pub use read_through::ReadThrough;
pub use room::{
    BATCH_MAX_BYTES, BLOB_MAX_BYTES, BlobLimits, BlobRoom, BlobStream, PARKED_UPLOADS_MAX, PARKED_UPLOADS_MAX_BYTES,
    PARKED_UPLOADS_MAX_MS, Receive, Upload, UploadName, UploadStart, UploadStatus, UploadStep,
};
pub use size_limited::SizeLimited;
pub use store::{BlobRead, BlobSource, BlobStore, BlobUsage, BlobWrite, Encoding, NewBlob, OpenBlob};
pub use verified::{Verified, VerifyReads};
