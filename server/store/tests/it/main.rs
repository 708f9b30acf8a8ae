//! One integration binary: what the stores promise, on real files.

mod blobs;
mod logs;
mod queue_model;
mod sqlite;
mod strace;
