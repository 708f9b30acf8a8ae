//! Whose a log is, asked of those who know: the rooms of runs, executions and builds.

use async_trait::async_trait;

use super::unit::LogOf;
use crate::error::Result;
use crate::logs::project::ProjectHash;

/// Knows whose logs are.
#[async_trait]
pub trait LogOwners: Send + Sync + 'static {
    /// Whose this unit of logs is, and how that stands. Not asked of named logs.
    async fn owner(&self, of: &LogOf) -> Result<Owned>;
}

/// Whose a unit of logs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// Of something of this project that goes on, or may go on.
    Running(ProjectHash),
    /// Of something of this project that ended then, in Unix milliseconds.
    Ended(ProjectHash, i64),
    /// Of something that is no longer known.
    Forgotten,
    /// Of itself: a stream that somebody made.
    Itself,
}
