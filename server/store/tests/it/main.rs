//! One integration binary: what the stores promise, on real files.

mod logs;
mod queue_model;
mod sqlite;
