//! What administrators call.

use uuid::Uuid;

use super::Execution;
use crate::error::{Error, Result};
use crate::execution::state::ExecutionState;

/// Why an execution ends that an administrator stops.
const STOPPED: &str = "cancelled by an administrator";

impl Execution {
    /// One execution.
    pub async fn execution(&self, id: &str) -> Result<ExecutionState> {
        let not_found = || Error::NotFound(format!("execution {id}"));
        let parsed = Uuid::try_parse(id).map_err(|_| not_found())?;
        let seen = self.shared.seen(parsed).await?.ok_or_else(not_found)?;
        Ok(seen.state.clone())
    }

    /// Puts a waiting execution into a platform queue, whatever that offers.
    pub async fn move_to(&self, id: &str, platform: &str) -> Result<ExecutionState> {
        let active = self.active_id(id).await?;
        self.shared.change(|desk, now| desk.queue.move_to(active, platform, now)).await??;
        self.execution(id).await
    }

    /// Gives a waiting execution another priority.
    pub async fn reprioritize(&self, id: &str, priority: i32) -> Result<ExecutionState> {
        let active = self.active_id(id).await?;
        self.shared.change(|desk, now| desk.queue.reprioritize(active, priority, now)).await??;
        self.execution(id).await
    }

    /// Stops an execution for all who wait for it. One that runs takes a moment.
    pub async fn cancel_execution(&self, id: &str) -> Result<ExecutionState> {
        let active = self.active_id(id).await?;
        self.shared.change(|desk, now| desk.queue.cancel(active, STOPPED, now)).await?;
        self.execution(id).await
    }

    /// The id of an execution that is not done.
    async fn active_id(&self, id: &str) -> Result<Uuid> {
        let state = self.execution(id).await?;
        if state.response.is_some() {
            return Err(Error::Precondition(format!("execution {id} is done")));
        }
        Uuid::try_parse(id).map_err(Error::internal)
    }
}
