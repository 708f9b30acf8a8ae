//! One integration binary: what the stores promise, on real files.

mod blobs;
mod dispatch;
mod executions_model;
mod logs;
mod queue_model;
mod sqlite;
mod strace;
