//! The only room of Millrace that knows SQL, files and object stores. The traits it keeps are the engine's.

pub mod logs;
pub mod sqlite;
