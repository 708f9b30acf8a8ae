//! Records: the named logs, whose rows are counted.

mod id;

pub use id::{DEFAULT_LOG, EVENTS_LOG, LOG_NAME_MAX_BYTES, NamedLog};
