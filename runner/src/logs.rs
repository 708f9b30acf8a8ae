//! From the bytes a process prints to the rows the server stores: lines, workflow commands, masks, a bounded queue
//! and its upload. Knows nothing of jobs.

mod lines;
mod mask;
mod queue;
mod upload;
mod workflow_command;
mod writer;

pub use lines::Lines;
pub use mask::Masks;
pub use queue::Budget;
pub use upload::{Upload, UploadTarget};
pub use writer::{LogWriter, Stream, not_masked};

/// The time, in Unix milliseconds.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
