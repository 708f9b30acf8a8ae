//! Builds that are told of by events (Bazel's build event stream): every event is kept as it came, and what a person
//! wants to see of a build is folded out of them as they come.
//!
//! ```text
//! Publication (one stream's events) -> Invocations::publish (order, one at a time) -> Fold (what it means)
//!   -> log room (what was printed) -> InvocationStore::commit (events, document, targets: one transaction) -> acknowledged
//! ```
//!
//! What holds: an acknowledged event is durable, and so is what was folded from it; a stream has no holes; what is
//! folded can be folded again from the events. This module knows no RPC and no SQL.

pub(crate) mod console;
mod fold;
mod limits;
mod live;
pub mod memory;
mod publication;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod told;

pub use limits::{
    CONSOLE_MAX_BYTES, EVENT_MAX_BYTES, ID_MAX_BYTES, INVOCATION_EVENTS_MAX, INVOCATION_EVENTS_MAX_BYTES,
    INVOCATION_TARGETS_MAX, InvocationLimits, PUBLICATION_MAX_BYTES, PUBLICATION_MAX_EVENTS,
};
pub use live::Attached;
pub use publication::{Numbered, Publication, StreamKey, component};
pub use service::{Changes, Invocations};
pub use store::{
    EventPage, EventPosition, InvocationChange, InvocationFilter, InvocationPosition, InvocationRow, InvocationStore,
    StoredEvent, StoredStream, TargetFilter, TargetPage, TargetPosition, TargetRow,
};
