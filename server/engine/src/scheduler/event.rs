//! What can happen to a run: the only inputs of the state machine.

use std::collections::BTreeMap;

use super::run::{Lease, State, Stop};
use crate::events::NewEvent;

/// A thing that happened, or that somebody asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A runner takes the job at this place.
    Claimed {
        /// Index in `Run::jobs`.
        job: usize,
        /// The hold; its epoch is set by the transition.
        lease: Lease,
    },
    /// The owner of a lease says how its job stands.
    Reported(Report),
    /// Somebody asks the whole run to stop.
    Stop(Stop),
    /// Somebody wants a job left out.
    Skip {
        /// The job's key.
        key: String,
    },
    /// Somebody starts held jobs.
    Approve {
        /// The job's key; None: all that are held.
        key: Option<String>,
    },
    /// A runner is gone for good.
    RunnerRemoved {
        /// The runner.
        runner_uuid: String,
    },
    /// Time has passed: leases and deadlines are looked at.
    Tick,
}

/// What a runner says of its job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The job's stage.
    pub stage: u32,
    /// The job's row.
    pub row: u32,
    /// The runner, when the caller is one; None: an administrator on an open server.
    pub runner_uuid: Option<String>,
    /// The lease it believes to have; None: not said.
    pub epoch: Option<u64>,
    /// The job's state; None: a heartbeat.
    pub state: Option<State>,
    /// What went wrong.
    pub message: String,
    /// The actions that have something to say.
    pub steps: Vec<StepReport>,
    /// The job's outputs; taken with a final state.
    pub outputs: BTreeMap<String, String>,
    /// The lease's new end, in Unix milliseconds.
    pub lease_expires_ms: i64,
}

/// What a runner says of one command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    /// Its place.
    pub index: u32,
    /// Its state; None: not said.
    pub state: Option<State>,
    /// Unix milliseconds; 0: not said.
    pub started_ms: i64,
    /// Unix milliseconds; 0: not said.
    pub finished_ms: i64,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// What went wrong.
    pub message: String,
    /// A failure that continue-on-error forgave.
    pub forgiven: bool,
    /// Its summary.
    pub summary: String,
}

/// What the world has to do after a transition has been committed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// The jobs that differ from before, by index; new ones included.
    pub changed_jobs: Vec<usize>,
    /// Something changed that a reader of the run would see (a moved lease is not).
    pub visible: bool,
    /// The label sets of jobs that became ready: runners that match are woken.
    pub queued: Vec<Vec<String>>,
    /// Logs that nobody will end any more.
    pub abandoned_logs: Vec<String>,
    /// What is told of it; the store takes these, to write them with the run.
    pub events: Vec<NewEvent>,
}
