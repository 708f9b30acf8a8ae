//! What the doors call.

use std::sync::Arc;

use tokio::sync::watch;

use super::ask::ExecuteAsk;
use super::options::ExecutionOptions;
use super::runner::{ActionClaim, ActionLease, ActionReported, KnownRunner, ReportAnswer};
use super::snapshot::QueueSnapshot;
use super::state::{ExecutionQuery, ExecutionState, OperationQuery, OperationState, Page};
use super::store::ExecutionStore;
use crate::actions::ActionCache;
use crate::blobs::BlobRoom;
use crate::clock::Clock;
use crate::error::{Error, Result};
use millrace_proto::instance_name::InstanceName;

/// Remote execution of one server process.
pub struct Execution {
    changes: watch::Sender<u64>,
}

/// A client's eye on its operation. When the last one of an operation is dropped and none comes within the grace, the
/// operation is cancelled.
pub struct Watch {
    state: OperationState,
}

fn unfinished<T>() -> Result<T> {
    Err(Error::Unavailable("remote execution is being built".into()))
}

#[allow(missing_docs, clippy::unused_async)]
impl Execution {
    pub async fn open(
        store: Arc<dyn ExecutionStore>,
        blobs: Arc<BlobRoom>,
        actions: Arc<ActionCache>,
        clock: Arc<dyn Clock>,
        options: ExecutionOptions,
    ) -> Result<Arc<Self>> {
        let _ = (store, blobs, actions, clock, options);
        Ok(Arc::new(Self { changes: watch::Sender::new(0) }))
    }
    /// Writes what is still to be written; later calls that change something are `Unavailable`.
    pub async fn close(&self) {}
    pub fn options(&self) -> &ExecutionOptions {
        unreachable!()
    }
    pub async fn execute(&self, ask: ExecuteAsk) -> Result<Watch> {
        let _ = ask;
        unfinished()
    }
    /// `operation` is the last segment of the name. Async: after a restart the history is read.
    pub async fn wait(&self, instance: &InstanceName, operation: &str) -> Result<Watch> {
        let _ = (instance, operation);
        unfinished()
    }
    pub async fn get(&self, instance: &InstanceName, operation: &str) -> Result<OperationState> {
        let _ = (instance, operation);
        unfinished()
    }
    pub async fn list(&self, query: OperationQuery) -> Result<Page<OperationState>> {
        let _ = query;
        unfinished()
    }
    pub async fn cancel(&self, instance: &InstanceName, operation: &str) -> Result<()> {
        let _ = (instance, operation);
        unfinished()
    }
    pub async fn delete(&self, instance: &InstanceName, operation: &str) -> Result<()> {
        let _ = (instance, operation);
        unfinished()
    }
    pub async fn claim(&self, claim: ActionClaim) -> Result<Option<ActionLease>> {
        let _ = claim;
        unfinished()
    }
    pub async fn report(&self, report: ActionReported) -> Result<ReportAnswer> {
        let _ = report;
        unfinished()
    }
    /// Whether a log stream of an execution may be written by this runner: it holds that lease.
    pub fn holds(&self, execution_id: &str, runner_uuid: &str, epoch: u64) -> bool {
        let _ = (execution_id, runner_uuid, epoch);
        false
    }
    /// All runners that run actions, whether or not they are online.
    pub fn set_runners(&self, runners: Vec<KnownRunner>) {
        let _ = runners;
    }
    pub async fn runner_removed(&self, uuid: &str) -> Result<()> {
        let _ = uuid;
        unfinished()
    }
    /// Looks at leases and deadlines once. The caller does so every `scheduler::TICK_MS`.
    pub async fn tick(&self) -> Result<()> {
        unfinished()
    }
    pub fn snapshot(&self) -> QueueSnapshot {
        QueueSnapshot::default()
    }
    pub async fn executions(&self, query: ExecutionQuery) -> Result<Page<ExecutionState>> {
        let _ = query;
        unfinished()
    }
    pub async fn execution(&self, id: &str) -> Result<ExecutionState> {
        let _ = id;
        unfinished()
    }
    pub async fn move_to(&self, id: &str, platform: &str) -> Result<ExecutionState> {
        let _ = (id, platform);
        unfinished()
    }
    pub async fn reprioritize(&self, id: &str, priority: i32) -> Result<ExecutionState> {
        let _ = (id, priority);
        unfinished()
    }
    pub async fn cancel_execution(&self, id: &str) -> Result<ExecutionState> {
        let _ = id;
        unfinished()
    }
    /// A number that grows with each visible change of anything.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
    /// What runners have in their hands: (runner uuid, execution).
    pub fn held(&self) -> Vec<ExecutionState> {
        Vec::new()
    }
}

#[allow(missing_docs, clippy::unused_async)]
impl Watch {
    /// The state as it was last seen.
    pub fn state(&self) -> OperationState {
        self.state.clone()
    }
    /// The next state that differs; None: it is done already. May be dropped and asked again.
    pub async fn changed(&mut self) -> Option<OperationState> {
        None
    }
}
