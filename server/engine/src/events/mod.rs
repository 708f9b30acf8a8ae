//! The platform's own events: what has happened to runs, runners, executions and invocations, for whoever wants to follow
//! it. Each is a CloudEvents 1.0 record of the log `events`.
//!
//! ```text
//! a state change -> its transaction writes the outbox, too -> EventPump -> the log `events` of the server and of the project
//! ```
//!
//! What holds: a change that is committed is told, once, in the order of the commits; one that is not committed is not.
//! This room does not know what happened: the scheduler and its like say that.

mod event;
pub mod memory;
mod outbox;
mod pump;

pub use event::{EVENT_MAX_BYTES, EVENT_TEXT_MAX_BYTES, EventId, EventKind, NewEvent, page_part, rfc3339, short};
pub use outbox::{EventOutbox, OUTBOX_MAX_EVENTS, OutboxRow, lost};
pub use pump::{
    EventPump, PUMP_BATCH_MAX_EVENTS, PUMP_HELD_MAX_EVENTS, PUMP_POLL_MS, PUMP_REMOVE_EVERY_MS, PumpFigures,
};
