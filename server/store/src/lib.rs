//! The only room of Millrace that knows SQL, files and object stores. The traits it keeps are the engine's.

pub mod blobs;
mod folder_lock;
pub mod logs;
mod positioned;
pub mod sqlite;
