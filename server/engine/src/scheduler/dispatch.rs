//! One poll for both: jobs of pipelines and actions of remote execution. Of those a runner can take the one with the
//! higher priority goes first, of equals the older.

use std::sync::Arc;

use millrace_proto::platform_properties::Properties;

use super::service::{Fetched, Scheduler};
use crate::error::Result;
use crate::execution::{ActionLease, Execution};
use crate::runners::Runner;

/// What a runner gets.
#[derive(Debug)]
pub enum Task {
    /// A job.
    Job(Fetched),
    /// An action.
    Action(Box<ActionLease>),
}

/// What a runner can do with a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wants {
    /// Jobs.
    #[default]
    Jobs,
    /// Jobs and actions.
    JobsAndActions,
    /// Actions, to fetch their inputs while every slot is busy.
    ActionsAhead,
}

/// A runner's poll.
#[derive(Clone, Debug)]
pub struct Poll<'a> {
    /// Who polls.
    pub runner: &'a Runner,
    /// The labels it serves.
    pub labels: &'a [String],
    /// What it offers to actions.
    pub properties: Properties,
    /// What it can do with a task.
    pub wants: Wants,
    /// Made by the agent for this request; empty: none.
    pub request_id: &'a str,
    /// How long it waits, in milliseconds.
    pub wait_ms: i64,
    /// It takes nothing new, only what was given under the same request id before: its answer may have been lost.
    pub draining: bool,
}

/// Gives tasks of both kinds to runners.
pub struct Dispatch {
    scheduler: Arc<Scheduler>,
    execution: Arc<Execution>,
}

impl Dispatch {
    /// Gives the tasks of these.
    pub fn new(scheduler: Arc<Scheduler>, execution: Arc<Execution>) -> Self {
        Self { scheduler, execution }
    }

    /// Waits for a task for this runner. Dropping the future gives nothing away: a task is leased in a store's
    /// transaction, and the same request id gets it again.
    pub async fn fetch(&self, poll: Poll<'_>) -> Result<Option<Task>> {
        let _ = &self.execution;
        let fetched = self.scheduler.fetch(poll.runner, poll.labels, poll.request_id, poll.wait_ms).await?;
        Ok(fetched.map(Task::Job))
    }
}
