//! What the platform does: pipelines, scheduling, logs, runners. No HTTP, no SQL, no files.

pub mod clock;
pub mod logs;
