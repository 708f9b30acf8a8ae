//! What remote execution needs of a store. The queue is in memory; every transition that is told to anybody is here
//! before. Active executions are read at the start only; finished ones are looked up.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::spec::Spec;
use crate::error::Result;
use crate::events::NewEvent;

/// An execution that is queued or held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveRecord {
    /// The execution.
    pub id: Uuid,
    /// What it is of.
    pub spec: Spec,
    /// How it stands.
    pub standing: Standing,
}

/// An execution that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedRecord {
    /// The execution.
    pub id: Uuid,
    /// What it was of.
    pub spec: Spec,
    /// How it stood at its end.
    pub standing: Standing,
    /// When it was done, Unix milliseconds.
    pub finished_ms: i64,
    /// The google.rpc.Code of its end.
    pub status_code: i32,
    /// The ExecuteResponse message.
    pub response: Bytes,
}

/// What changes while an execution is active.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Its operations.
    pub operations: Vec<OperationRecord>,
    /// The most important of its operations', or what an administrator said.
    pub priority: i32,
    /// An administrator has given the priority.
    pub priority_given: bool,
    /// The platform queue that an administrator has put it into.
    pub moved_to: Option<String>,
    /// The last lease's number; 0: none yet.
    pub epoch: u64,
    /// Who has it.
    pub lease: Option<LeaseRecord>,
    /// Who had it last, when nobody has it.
    pub last_runner: Option<(String, String)>,
    /// The names of the runners that lost it.
    pub lost: Vec<String>,
    /// How often a runner gave it back.
    pub given_back: u32,
    /// When a runner took it, Unix milliseconds.
    pub claimed_ms: Option<i64>,
    /// When its command started, Unix milliseconds.
    pub started_ms: Option<i64>,
    /// It is to stop, and this is why.
    pub cancelled: Option<String>,
    /// Bytes of inputs that the runner had to fetch.
    pub input_fetched_bytes: u64,
    /// Bytes of inputs that the runner had already.
    pub input_cached_bytes: u64,
}

/// One client's part in an execution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OperationRecord {
    /// Its number in the execution.
    pub number: u32,
    /// The client's priority.
    pub priority: i32,
    /// The client gave it up.
    pub cancelled: bool,
    /// The client has asked to forget it.
    pub deleted: bool,
}

/// A runner's hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The runner.
    pub runner_uuid: String,
    /// Its name.
    pub runner_name: String,
    /// The request it was given to.
    pub request_id: String,
}

/// A change of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new active execution.
    Insert(Box<ActiveRecord>),
    /// An active execution stands differently.
    Update(Uuid, Box<Standing>),
    /// An execution is done, whether or not it had been inserted.
    Finish(Box<FinishedRecord>),
    /// What is told of the others.
    Tell(Vec<NewEvent>),
}

/// Which finished executions to list: newest first by id.
#[derive(Clone, Debug, Default)]
pub struct FinishedQuery {
    /// Only with smaller ids.
    pub before: Option<Uuid>,
    /// Only of this instance.
    pub instance: Option<String>,
    /// Only of this action, by its hash in hex; empty: all.
    pub action_hash: String,
    /// Only of this tool_invocation_id; empty: all.
    pub invocation_id: String,
    /// At most so many.
    pub limit: u32,
}

/// Executions and the history of finished ones.
#[async_trait]
pub trait ExecutionStore: Send + Sync + 'static {
    /// All that are active, in the order of their ids.
    async fn load(&self) -> Result<Vec<ActiveRecord>>;

    /// Makes all changes in one transaction, durable when this returns. Each execution is in at most one of them.
    async fn commit(&self, changes: Vec<Change>) -> Result<()>;

    /// A finished execution.
    async fn finished(&self, id: Uuid) -> Result<Option<FinishedRecord>>;

    /// Finished executions.
    async fn list(&self, query: FinishedQuery) -> Result<Vec<FinishedRecord>>;

    /// Forgets one finished execution; whether there was one.
    async fn forget(&self, id: Uuid) -> Result<bool>;

    /// Forgets finished executions that ended before a time, and the oldest of those beyond `keep`; at most `limit` of
    /// them. How many.
    async fn prune(&self, before_ms: i64, keep: u64, limit: u32) -> Result<u64>;
}
