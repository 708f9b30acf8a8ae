//! The blob room: bytes by digest, entries by key, and what is done with them. Knows no wire, no files, no HTTP.

mod entries;
#[cfg(any(test, feature = "testing"))]
mod memory;
mod room;
mod store;

pub use entries::{ENTRY_MAX_BYTES, ENTRY_NAME_MAX_BYTES, EntryKey, EntryStore, Space};
#[cfg(any(test, feature = "testing"))]
pub use memory::{MEMORY_WHOLE_MAX_BYTES, MemoryBlobs};
pub use room::{BlobLimits, BlobRoom, BlobStream, Receive, Upload, UploadName, UploadStart, UploadStatus, UploadStep};
pub use store::{BlobRead, BlobSource, BlobStore, BlobUsage, BlobWrite, Encoding, NewBlob, OpenBlob};
