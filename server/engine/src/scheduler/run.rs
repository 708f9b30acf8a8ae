//! A run and its jobs as the scheduler and the store see them. Plain data: no rules, no clock, no store.

use std::collections::BTreeMap;

use millrace_proto::task_content::Source;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a run, a job or a step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for other jobs.
    #[default]
    Pending,
    /// Waits for a person to start it.
    Held,
    /// Ready; waits for a runner.
    Queued,
    /// A runner has it.
    Running,
    /// Final: done.
    Success,
    /// Final: failed.
    Failure,
    /// Final: cancelled, terminated or timed out.
    Cancelled,
    /// Final: not run.
    Skipped,
}

impl State {
    /// Whether nothing changes any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Cancelled | Self::Skipped)
    }

    /// The word on the wire and in expressions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// How a job is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Let it end by itself; kill it after the grace.
    Cancel,
    /// Kill it now.
    Terminate,
}

/// The request to stop a job, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// How.
    pub how: Stop,
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// The hold a runner has on a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The runner.
    pub runner_uuid: String,
    /// Its name, for people.
    pub runner_name: String,
    /// Counts the leases of this job; updates with an older one are refused.
    pub epoch: u64,
    /// Unix milliseconds; moved by each update.
    pub expires_ms: i64,
    /// The FetchTask it answered, so that a lost answer can be given again.
    pub request_id: String,
}

/// A command of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, for people.
    pub name: String,
    /// Its id in the workflow file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Unix milliseconds.
    pub started_ms: Option<i64>,
    /// Unix milliseconds.
    pub finished_ms: Option<i64>,
    /// The exit code of a process that ended by itself.
    pub exit_code: Option<i32>,
    /// What went wrong.
    pub message: String,
    /// A failure that continue-on-error forgave.
    pub forgiven: bool,
    /// The Markdown of its summary.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
}

/// One job: a node of the graph, a task for a runner.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its key in the run: the id, and the matrix values behind it.
    pub key: String,
    /// The id in the workflow file.
    pub job_id: String,
    /// Its name, for people.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// Why.
    pub message: String,
    /// Its needs are done and its `if` holds; it may wait for max-parallel or approval still.
    pub ready: bool,
    /// The ids of the jobs it needs.
    pub needs: Vec<String>,
    /// Its depth in the graph.
    pub stage: u32,
    /// Its place among the jobs of that depth.
    pub row: u32,
    /// The labels a runner must have.
    pub runs_on: Vec<String>,
    /// The matrix values; None: the matrix waits for the jobs it needs.
    pub matrix: Option<Vec<(String, Value)>>,
    /// Its place in its matrix, and the matrix's size.
    pub matrix_place: (u32, u32),
    /// A failure cancels the others of the matrix.
    pub fail_fast: bool,
    /// How many of the matrix may run at once.
    pub max_parallel: Option<u32>,
    /// Its failure does not fail the run.
    pub continue_on_error: bool,
    /// The environment it deploys to.
    pub environment: Option<String>,
    /// A person must start it.
    pub approval_required: bool,
    /// A person has.
    pub approved: bool,
    /// Its commands.
    pub steps: Vec<Step>,
    /// The hold on it; stays when the job is final, so that late logs find their owner.
    pub lease: Option<Lease>,
    /// The epoch of the newest lease; 0: never leased.
    pub epoch: u64,
    /// The runners that lost it.
    pub lost: u32,
    /// It is asked to stop.
    pub stop: Option<StopRequest>,
    /// How long it may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Unix milliseconds.
    pub queued_ms: Option<i64>,
    /// Unix milliseconds.
    pub started_ms: Option<i64>,
    /// Unix milliseconds.
    pub finished_ms: Option<i64>,
    /// What it gives to the jobs that need it.
    pub outputs: BTreeMap<String, String>,
    /// The run whose logs are this job's, when an earlier attempt ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs_of: Option<LogsOf>,
}

/// Where the logs of a job taken over from an earlier attempt are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsOf {
    /// The run.
    pub run_id: String,
    /// The job's stage there.
    pub stage: u32,
    /// The job's row there.
    pub row: u32,
}

impl Job {
    /// When something must be done about a running job without being asked, in Unix milliseconds: the lease ends, the
    /// grace of a stop is over, or its time is up.
    pub fn deadline_ms(&self) -> Option<i64> {
        let lease = self.lease.as_ref().filter(|_| self.state == State::Running)?;
        let mut deadline = lease.expires_ms;
        if let Some(stop) = self.stop {
            deadline = deadline.min(stop.at_ms + super::STOP_DEADLINE_MS);
        }
        // A job that is stopping has got its word; its timeout asks for nothing more.
        if let (None, Some(started), Some(timeout)) = (self.stop, self.started_ms, self.timeout_ms) {
            let over = started.saturating_add(i64::try_from(timeout).unwrap_or(i64::MAX));
            deadline = deadline.min(over.saturating_add(super::TIMEOUT_SLACK_MS));
        }
        Some(deadline)
    }

    /// The log of one of its steps in its newest execution; None while no runner has had it.
    pub fn log_id(&self, run_id: &str, step: usize) -> Option<String> {
        if self.epoch == 0 {
            return None;
        }
        Some(match &self.logs_of {
            Some(of) => log_id(&of.run_id, of.stage, of.row, self.epoch, step),
            None => log_id(run_id, self.stage, self.row, self.epoch, step),
        })
    }
}

/// What the ids of the logs of one lease begin with, before the dot and the action's number.
pub fn task_id(run_id: &str, stage: u32, row: u32, epoch: u64) -> String {
    format!("{run_id}.{stage}.{row}.0.{epoch}")
}

/// Run, stage, row and epoch of a [`task_id`].
pub fn task_of_id(task: &str) -> Option<(&str, u32, u32, u64)> {
    let mut parts = task.rsplitn(5, '.');
    let epoch = parts.next()?.parse().ok()?;
    let (_step, row, stage) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((parts.next()?, stage, row, epoch))
}

/// The log of an action: one for each lease, so that a job that was lost and runs again begins a clean one.
pub fn log_id(run_id: &str, stage: u32, row: u32, epoch: u64, action: usize) -> String {
    format!("{}.{action}", task_id(run_id, stage, row, epoch))
}

/// One run of a workflow; an attempt is a run of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// A UUID; the protocol's tx_uuid.
    pub id: String,
    /// Its number in its project; attempts share it. Given by the store.
    pub number: u64,
    /// From 1.
    pub attempt: u32,
    /// The project.
    pub project: String,
    /// The workflow's name.
    pub name: String,
    /// The workflow's file, as the caller named it.
    pub file_name: String,
    /// The workflow's text.
    pub workflow: String,
    /// Where the files come from.
    pub source: Option<Source>,
    /// The typed inputs.
    pub inputs: serde_json::Map<String, Value>,
    /// The vars context.
    pub vars: BTreeMap<String, String>,
    /// The event's name.
    pub event: String,
    /// Who started it.
    pub actor: String,
    /// Higher is taken first.
    pub priority: i32,
    /// The caller's key of this request; empty: none.
    pub request_id: String,
    /// Where it stands.
    pub state: State,
    /// Why.
    pub message: String,
    /// It is asked to stop.
    pub stop: Option<StopRequest>,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Unix milliseconds.
    pub started_ms: Option<i64>,
    /// Unix milliseconds.
    pub finished_ms: Option<i64>,
    /// Counts the changes.
    pub revision: u64,
    /// The run this is a new attempt of.
    pub rerun_of: Option<String>,
    /// In graph order. Not part of the stored head: the store keeps jobs apart.
    #[serde(skip)]
    pub jobs: Vec<Job>,
    /// How many jobs there are and how many are final; kept for listings.
    pub counts: (u32, u32),
}
