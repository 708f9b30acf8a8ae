//! What is kept of invocations, and what is needed of a store for it.

use async_trait::async_trait;

use super::publication::StreamKey;
use crate::error::Result;
use crate::events::NewEvent;

/// An invocation as it is kept: what it is found by, and its document (a `millrace.v1.Invocation`), short and whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvocationRow {
    /// Its id.
    pub id: String,
    /// The project.
    pub instance: String,
    /// The build.
    pub build_id: String,
    /// Its status, by its number on the wire.
    pub status: i32,
    /// No more events are awaited.
    pub complete: bool,
    /// When its first event came.
    pub created_ms: i64,
    /// When its last event came.
    pub updated_ms: i64,
    /// How long its publisher may be silent when no stream is open, in milliseconds.
    pub timeout_ms: i64,
    /// Who built, in lower case.
    pub user: String,
    /// What a search looks into, in lower case.
    pub search: String,
    /// The bytes of its events together.
    pub events_bytes: i64,
    /// The document as lists show it, encoded.
    pub summary: Vec<u8>,
    /// The whole document, encoded.
    pub document: Vec<u8>,
}

/// A target as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetRow {
    /// Its label.
    pub label: String,
    /// Its configuration's id.
    pub configuration: String,
    /// The aspect, or nothing.
    pub aspect: String,
    /// 0: has a failure; 1: has none.
    pub rank: i32,
    /// Its status, by its number on the wire.
    pub status: i32,
    /// There is a test result.
    pub has_test: bool,
    /// The `millrace.v1.InvocationTarget`, encoded.
    pub document: Vec<u8>,
}

/// An event as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number.
    pub sequence: i64,
    /// The `google.devtools.build.v1.BuildEvent`, encoded.
    pub event: Vec<u8>,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredStream {
    /// The number of its last event; 0: none came.
    pub last_sequence: i64,
    /// Its last event has come.
    pub finished: bool,
}

/// What one transaction changes.
#[derive(Clone, Debug)]
pub struct InvocationChange {
    /// The stream that goes on.
    pub stream: StreamKey,
    /// How far it has come after this.
    pub position: StoredStream,
    /// Its new events, which follow those that are there.
    pub events: Vec<StoredEvent>,
    /// When.
    pub now_ms: i64,
    /// The invocation after this; none: the stream is of a build as such.
    pub row: Option<InvocationRow>,
    /// The targets that changed.
    pub targets: Vec<TargetRow>,
    /// What is told of it.
    pub told: Vec<NewEvent>,
}

/// Which invocations are wanted.
#[derive(Clone, Debug, Default)]
pub struct InvocationFilter {
    /// Only of this project.
    pub instance: Option<String>,
    /// Only with one of these statuses; empty: all.
    pub statuses: Vec<i32>,
    /// Only this user's, in lower case; empty: all.
    pub user: String,
    /// Only with this in what a search looks into, in lower case; empty: all.
    pub text: String,
    /// Only those after this one.
    pub after: Option<InvocationPosition>,
    /// The most.
    pub limit: u32,
}

/// A place in a list of invocations: newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvocationPosition {
    /// When it was made.
    pub created_ms: i64,
    /// Its id.
    pub id: String,
}

/// Which targets are wanted.
#[derive(Clone, Debug, Default)]
pub struct TargetFilter {
    /// Only with one of these statuses; empty: all.
    pub statuses: Vec<i32>,
    /// Only with this in the label, whatever the case of ASCII letters; empty: all.
    pub text: String,
    /// Only with a test result.
    pub tests_only: bool,
    /// Only those after this one.
    pub after: Option<TargetPosition>,
    /// The most.
    pub limit: u32,
}

/// A place in a list of targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPosition {
    /// [`TargetRow::rank`].
    pub rank: i32,
    /// Its label.
    pub label: String,
    /// Its configuration's id.
    pub configuration: String,
    /// The aspect.
    pub aspect: String,
}

/// Targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetPage {
    /// By rank, label, configuration and aspect.
    pub targets: Vec<TargetRow>,
    /// How many there are in all pages.
    pub total: i64,
}

/// A place in the list of an invocation's events: those of its build first, then by component and number.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventPosition {
    /// Empty: of the build.
    pub invocation_id: String,
    /// The component.
    pub component: i32,
    /// The number.
    pub sequence: i64,
}

/// Events, with their places.
pub type EventPage = Vec<(EventPosition, Vec<u8>)>;

/// Keeps invocations.
#[async_trait]
pub trait InvocationStore: Send + Sync + 'static {
    /// Does a change as a whole. `Conflict` when the stream has not come as far as the change begins.
    async fn commit(&self, change: InvocationChange) -> Result<()>;

    /// Changes an invocation's row alone, if it is there, and tells of that.
    async fn update(&self, row: InvocationRow, told: Vec<NewEvent>) -> Result<()>;

    /// An invocation.
    async fn invocation(&self, id: &str) -> Result<Option<InvocationRow>>;

    /// How far a stream has come.
    async fn stream(&self, stream: &StreamKey) -> Result<StoredStream>;

    /// Invocations, newest first, without their whole documents.
    async fn list_invocations(&self, filter: InvocationFilter) -> Result<Vec<InvocationRow>>;

    /// The ids of those that are not complete and of which nothing came for as long as their publishers may be silent.
    async fn silent(&self, now_ms: i64, limit: u32) -> Result<Vec<String>>;

    /// Targets of an invocation.
    async fn targets(&self, id: &str, filter: TargetFilter) -> Result<TargetPage>;

    /// Events of an invocation and, where `build_id` is its build's, of its build, after a place; at most so many, and no
    /// more after so many bytes.
    async fn events(
        &self,
        instance: &str,
        build_id: &str,
        id: &str,
        after: EventPosition,
        limit: u32,
        max_bytes: usize,
    ) -> Result<EventPage>;

    /// The invocations that go: of which nothing came since, or that are too many. At most so many at once.
    async fn outdated(&self, before_ms: i64, kept_max: u32, limit: u32) -> Result<Vec<String>>;

    /// Forgets an invocation with all that belongs to it, and its build when that has no other.
    async fn forget(&self, id: &str) -> Result<()>;

    /// Forgets builds that never had an invocation and of which nothing came since.
    async fn forget_builds(&self, before_ms: i64) -> Result<()>;
}
