//! What the scheduler needs of a store: every method that changes something is one transaction. The pure transition
//! runs inside it, so that no decision is made on a state that is no longer true.

use async_trait::async_trait;

use super::event::{Effects, Event};
use super::run::{Job, Run, State};
use crate::error::Result;

/// A run after a committed transition, and what is to be done about it.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The run with its jobs.
    pub run: Run,
    /// What the world has to do.
    pub effects: Effects,
}

/// A runner asking for work.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The runner.
    pub runner_uuid: String,
    /// Its name, for people.
    pub runner_name: String,
    /// What it serves: a job's labels must all be among these. Compared without case.
    pub labels: Vec<String>,
    /// Made by the agent for this request; empty: none. A task that was leased under it is given again.
    pub request_id: String,
    /// The end of the lease, Unix milliseconds.
    pub expires_ms: i64,
}

/// The job that was given to a runner.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The run with its jobs.
    pub run: Run,
    /// The job's place in it.
    pub job: usize,
    /// It had been given under the same request before; nothing changed.
    pub repeated: bool,
}

/// Which runs to list: newest first.
#[derive(Clone, Debug, Default)]
pub struct RunQuery {
    /// Only this project's.
    pub project: Option<String>,
    /// Only these states; empty: all.
    pub states: Vec<State>,
    /// Only runs before this one in the listing: (creation time, id).
    pub before: Option<(i64, String)>,
    /// At most so many.
    pub limit: u32,
}

/// How a run ended that may have been tried again: attempts share logs, so what counts is the newest of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// The project.
    pub project: String,
    /// When the newest attempt ended, in Unix milliseconds; None: it goes on.
    pub ended_ms: Option<i64>,
}

/// A task in a runner's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The runner.
    pub runner_uuid: String,
    /// The run.
    pub run_id: String,
    /// The run's project.
    pub project: String,
    /// The run's number.
    pub run_number: u64,
    /// The job's key.
    pub job_key: String,
    /// Unix milliseconds.
    pub started_ms: i64,
}

/// Runs, their jobs and the queue of those that are ready.
#[async_trait]
pub trait RunStore: Send + Sync + 'static {
    /// Stores a new run. A number of 0 is replaced by the project's next one. When the project has a run with the same
    /// non-empty request id, that one is given back and nothing is stored.
    async fn create(&self, run: Run) -> Result<Run>;

    /// A run with its jobs.
    async fn get(&self, id: &str) -> Result<Option<Run>>;

    /// How the newest attempt at this run's number ended; None: there is no such run.
    async fn end(&self, id: &str) -> Result<Option<RunEnd>>;

    /// The id of the newest attempt of the run with this number; `None` for the project: of any.
    async fn find(&self, project: Option<&str>, number: u64) -> Result<Option<String>>;

    /// Runs without their jobs.
    async fn list(&self, query: RunQuery) -> Result<Vec<Run>>;

    /// Lets an event happen to a run.
    async fn apply(&self, id: &str, event: Event, now_ms: i64) -> Result<Applied>;

    /// Gives the first matching job of the queue (highest priority, then oldest) to a runner.
    async fn claim(&self, claim: Claim, now_ms: i64) -> Result<Option<Claimed>>;

    /// The priority of the job that a claim would give, and since when it waits; the highest and the oldest there can be
    /// when it was given under the same request before.
    async fn first_queued(&self, claim: &Claim) -> Result<Option<(i64, i64)>>;

    /// The job at an address, without the rest of its run.
    async fn job_at(&self, run_id: &str, stage: u32, row: u32) -> Result<Option<Job>>;

    /// Runs with a running job whose deadline has come; at most `limit`.
    async fn overdue(&self, now_ms: i64, limit: u32) -> Result<Vec<String>>;

    /// What runners have in their hands.
    async fn held(&self) -> Result<Vec<Held>>;

    /// How many tasks are queued, by label set.
    async fn queue_depth(&self) -> Result<Vec<(Vec<String>, u64)>>;
}
