//! Places for blobs and for the entries beside them.

pub mod disk;
