//! Scheduling: a pure state machine over the store, and the service that feeds it. `transition` and `settle` decide,
//! `store` is where it is kept, `service` is what doors call.

mod content;
mod context;
mod dispatch;
mod event;
mod ready;
mod rerun;
mod run;
mod service;
mod settle;
mod start;
pub mod store;
mod told;
pub mod transition;
pub mod waiters;

pub use dispatch::{Dispatch, Poll, Task, Wants};
pub use event::{Effects, Event, Report, StepReport};
pub use run::{Job, Lease, LogsOf, Run, State, Step, Stop, StopRequest, log_id};
pub use service::{Fetched, RunChange, Scheduler, Updated};
pub use start::{NewRun, preview};
pub use told::created as created_event;

/// How long a runner may be silent before its job is given to another when nothing else is configured, in milliseconds.
pub const LEASE_MS: i64 = 45_000;
/// How long a cancelled job may take to end by itself before its runner kills it, in milliseconds.
pub const CANCEL_GRACE_MS: i64 = 10_000;
/// How long after a cancellation the server stops waiting for the runner's word, in milliseconds.
pub const STOP_DEADLINE_MS: i64 = 60_000;
/// How much longer than its timeout the server lets a job run: the runner enforces the timeout itself, in milliseconds.
pub const TIMEOUT_SLACK_MS: i64 = 30_000;
/// How often a job is given to another runner after one was lost.
pub const REQUEUE_MAX: u32 = 3;
/// How far ahead of the server's clock a runner's times may be, in milliseconds.
pub const CLOCK_SKEW_MAX_MS: i64 = 300_000;
/// How long FetchTask is held, in milliseconds.
pub const FETCH_WAIT_MAX_MS: i64 = 50_000;
/// How often a waiting FetchTask asks the store without being woken, in milliseconds.
pub const FETCH_POLL_MS: u64 = 5_000;
/// How often deadlines are looked at, in milliseconds.
pub const TICK_MS: u64 = 500;
/// How many runs one look at the deadlines takes.
pub const TICK_RUNS_MAX: u32 = 100;
/// How many changes of runs a slow watcher may fall behind before it reads the store afresh.
pub const CHANGES_BACKLOG_MAX: usize = 1_024;
/// The longest name of a project, in characters.
pub const PROJECT_MAX_CHARS: usize = 100;

#[cfg(test)]
mod tests;
