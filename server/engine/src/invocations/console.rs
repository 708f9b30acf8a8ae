//! Where what a build printed is kept: a log of the log room.

use crate::logs::LogId;

/// What the ids of these logs begin with.
const PREFIX: &str = "b.";

/// The log of an invocation.
pub fn log_id(invocation_id: &str) -> String {
    format!("{PREFIX}{invocation_id}")
}

/// The invocation that a log is of; none if it is of something else.
pub fn invocation_of(log: &LogId) -> Option<&str> {
    log.as_str().strip_prefix(PREFIX)
}
