//! What the platform does: pipelines, scheduling, logs, runners. No HTTP, no SQL, no files.

#![warn(missing_docs)]

pub mod actions;
pub mod assets;
pub mod blobs;
pub mod clock;
pub mod error;
pub mod events;
pub mod execution;
pub mod invocations;
pub mod keys;
pub mod logs;
pub mod pipelines;
pub mod runners;
pub mod scheduler;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tokens;
