//! Remote execution: actions that clients ask for and runners run. `queue` is a pure state machine, `store` is where its
//! state is kept, `service` is what doors call. Knows no wire but the messages that are kept, no SQL.

mod ask;
mod inputs;
mod memory;
mod options;
mod paths;
mod queue;
mod request;
mod response;
mod runner;
mod service;
mod snapshot;
mod spec;
mod state;
pub mod store;
mod told;

pub use ask::{ClientMetadata, ExecuteAsk};
pub use memory::MemoryExecutions;
pub use options::{ConfiguredPlatform, ExecutionOptions, UnknownProperties};
pub use queue::Offer;
pub use runner::{ActionClaim, ActionLease, ActionReported, KnownRunner, ReportAnswer};
pub use service::{Execution, HISTORY_MAX, HISTORY_MAX_MS, OfferListener, Watch};
pub use snapshot::{PlatformMismatch, PlatformSnapshot, QueueSnapshot, RunnerSnapshot, WaitingSnapshot};
pub use spec::Spec;
pub use state::{ExecutionQuery, ExecutionState, OperationQuery, OperationState, Page, Stage, Stream, operation_name};

/// How many groups of waiting executions are shown of a platform queue.
pub const WAITING_GROUPS_MAX: usize = 100;
