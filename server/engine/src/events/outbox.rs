//! What waits to be told, and what is needed of a store for it. Stores put events into the outbox in the transaction of the
//! change that they tell of; one pump takes them out.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::Notify;

use super::event::{EventKind, NewEvent};
use crate::error::Result;

/// So many events wait at most while the log can't be written (a full disk, for one). Of more the oldest are given up, and
/// an event stands for them that says how many: a change of state is never refused because it can't be told.
pub const OUTBOX_MAX_EVENTS: u64 = 1_000_000;

/// What one transaction told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Goes up with the commits, from 1, and is never given twice.
    pub id: u64,
    /// In the order in which they happened.
    pub events: Vec<NewEvent>,
}

/// The events that wait.
#[async_trait]
pub trait EventOutbox: Send + Sync + 'static {
    /// Rows with greater ids than `after`, in order: no more once they have `max_events`, but one at least if there is one.
    async fn read(&self, after: u64, max_events: u32) -> Result<Vec<OutboxRow>>;

    /// The id of the last row; None: it is empty. While older rows are kept the last one counts when it was removed, too.
    async fn newest(&self) -> Result<Option<u64>>;

    /// Removes the events of all rows up to this one but those that are kept: they were told. A row without events may stay.
    async fn remove(&self, up_to: u64, kept: &BTreeSet<u64>) -> Result<()>;

    /// Adds what is part of no other transaction.
    async fn put(&self, events: Vec<NewEvent>) -> Result<()>;

    /// When rows with greater ids than `after` have more than so many events: takes the oldest of those rows that are too
    /// many away, puts [`lost`] into the place of the last of them, and says for how many events that stands.
    async fn shorten(&self, after: u64, max_events: u64, now_ms: i64) -> Result<Option<u64>>;

    /// Wakes after a commit that put something in. A hint: who waits also looks by itself now and then.
    fn news(&self) -> Arc<Notify>;
}

#[derive(Serialize)]
struct Lost {
    events: u64,
}

/// Stands for events that were given up: those of all logs, or, with a project, those of that project's log.
pub fn lost(project: &str, events: u64, now_ms: i64) -> NewEvent {
    NewEvent::new(EventKind::EventsLost, project, "events", now_ms, &Lost { events })
}
