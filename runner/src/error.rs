//! Why a runner ended other than by plan, by meaning, and the exit code of each. Knows nothing of tasks: what goes
//! wrong in a task is told to the server.

use std::path::PathBuf;

/// Why a runner ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work.
    #[error("{0}")]
    Usage(String),
    /// The data folder is in use.
    #[error("{0}: another runner uses this data folder; give each its own (--data)")]
    DataInUse(PathBuf),
    /// The server does not take the token.
    #[error("{0}")]
    NotAuthorised(String),
    /// The server could not be reached to register.
    #[error("the server could not be reached to register: {0}")]
    Unreachable(String),
    /// Something on this machine went wrong.
    #[error("{what}: {source}")]
    Local {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// The exit code of the program.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Local { .. } => 1,
            Self::Usage(_) | Self::DataInUse(_) => 2,
            Self::NotAuthorised(_) => 4,
            Self::Unreachable(_) => 6,
        }
    }

    pub(crate) fn local(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Local { what, source }
    }
}

/// How a runner ended by plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to end and finished what it had.
    Drained,
    /// An ephemeral runner has run its task.
    Ephemeral,
    /// It was told to kill what it had.
    Killed,
}

impl Exit {
    /// The exit code of the program.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Drained | Self::Ephemeral => 0,
            Self::Killed => 130,
        }
    }
}
