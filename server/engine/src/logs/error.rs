//! What can go wrong in the log room, by meaning. It knows no protocol codes.

use super::{LogId, LogPlace};

/// A call on a log that did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// There is no such log.
    #[error("log {0} not found")]
    NotFound(LogId),
    /// A field of the request can't be what it is.
    #[error("{field}: {message}")]
    Invalid {
        /// The field, by its name on the wire.
        field: &'static str,
        /// What is wrong, and the limit if there is one.
        message: String,
    },
    /// A row that is stored already was sent again with other bytes.
    #[error("row {row} of log {id} is stored with other bytes than were sent")]
    Conflict {
        /// The log.
        id: LogId,
        /// The first row that differs.
        row: u64,
    },
    /// Bytes that are stored already were sent again, and are others.
    #[error("log {id} has other bytes at {offset} than were sent")]
    OtherBytes {
        /// The log.
        id: LogId,
        /// Where they begin to differ.
        offset: u64,
    },
    /// Rows were sent after the end of the log.
    #[error("log {0} is complete, it takes no more rows")]
    Closed(LogId),
    /// Retention has taken what was asked for.
    #[error("the beginning of log {id} was removed by retention; it goes on at byte {} and line {}", first.stream_offset(), first.line)]
    Gone {
        /// The log.
        id: LogId,
        /// Where it begins by now.
        first: LogPlace,
    },
    /// Somebody else wrote to the log at the same time; try again.
    #[error("log {0} was written by somebody else at the same time, try again")]
    Stale(LogId),
    /// The disk or a quota is full. The log is as it was, and goes on when there is space.
    #[error("no space for logs: {0}")]
    Exhausted(String),
    /// What is stored can't be read.
    #[error("log {id} is damaged: {message}")]
    Corrupt {
        /// The log.
        id: LogId,
        /// What was found.
        message: String,
    },
    /// A fault of the machine.
    #[error("{0}")]
    Io(String),
}

impl LogError {
    /// An invalid field.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }
}
