//! The log room: append-only logs of rows, read by line, by byte and by tails that follow.
//!
//! A *row* is what a writer counts (`UpdateLog`'s index and acknowledgement); a *line* is what a reader sees. A row with
//! inner line ends, or one longer than [`LINE_MAX_BYTES`], becomes several lines. Every line has a 64-bit word beside
//! it: Unix milliseconds << 16 | flags (see [`flags`]).
//!
//! ```text
//! RowBatch (rows -> lines) -> LogRoom::append (who counts, what is stored) -> LogStore (durable) -> tails wake
//! ```
//!
//! What holds: an acknowledged row is durable, acknowledgements never go down, readers see only what is durable and
//! only whole lines. This room knows neither RPC nor files, and not what the ids mean.

mod append;
mod error;
mod head;
mod hot;
mod id;
mod live;
mod masks;
mod notice;
pub mod project;
mod rate;
pub mod records;
pub mod retention;
mod room;
mod rows;
pub mod search;
mod store;
pub mod streams;
mod tail;

pub mod conformance;
pub mod memory;

pub use error::LogError;
pub use head::{
    LINE_WORD_BYTES, LogHead, LogMark, MARKS_MAX, MarkKind, flags, is_joined, line_ms, line_words, starts_row,
};
pub use id::{LOG_ID_MAX_BYTES, LogId};
pub use live::HeldLog;
pub use masks::{LogMasks, MASK_HOLD_MS, MaskFileValue, MessageMasks, mask_file_values};
pub use rate::{LOG_RATE_BURST_BYTES, LOG_RATE_BYTES};
pub use room::{LOG_MAX_BYTES, LogLimits, LogRoom, LogStat};
pub use rows::{LINE_MAX_BYTES, LOG_APPEND_MAX_BYTES, LOG_APPEND_MAX_LINES, LOG_APPEND_MAX_ROWS, Row, RowBatch};
pub use store::{LogAppend, LogLines, LogPlace, LogStore, LogSummary, ReadFrom, SURVEY_SHARDS, survey_shard};
pub use tail::{FOLLOW_CHUNK_MAX_BYTES, LogTail, Missing, Start, TailEvent};

#[cfg(test)]
mod tests;
