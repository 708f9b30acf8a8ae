//! The blob room: bytes by digest, entries by key, and what is done with them. Knows no wire, no files, no HTTP.

mod entries;
mod store;

pub use entries::{ENTRY_MAX_BYTES, ENTRY_NAME_MAX_BYTES, EntryKey, EntryStore, Space};
pub use store::{BlobRead, BlobSource, BlobStore, BlobUsage, BlobWrite, Encoding, NewBlob, OpenBlob};
