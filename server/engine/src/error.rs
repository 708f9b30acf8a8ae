//! What can go wrong, by meaning. One file of the server (`rpc/status.rs`) turns these into protocol codes; the engine
//! knows none.

use millrace_proto::digest::Digest;

use crate::logs::LogError;

/// How many missing blobs the message shows; the error has all.
const MISSING_SHOWN_MAX: usize = 5;

/// The result of an engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An engine call that did not do what was asked. Messages are for people and name the field and the limit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or the caller may not know that there is.
    #[error("{0} not found")]
    NotFound(String),
    /// A field of the request can't be what it is.
    #[error("{field}: {message}")]
    Invalid {
        /// The field, by its name on the wire.
        field: &'static str,
        /// What is wrong, and the limit if there is one.
        message: String,
    },
    /// A position outside of what there is.
    #[error("{0}")]
    Range(String),
    /// The request is fine, but not now: the state does not allow it.
    #[error("{0}")]
    Precondition(String),
    /// The caller is known and may not.
    #[error("{0}")]
    Denied(String),
    /// The caller is not known.
    #[error("{0}")]
    Unauthenticated(String),
    /// It lost against something that happened at the same time or before.
    #[error("{0}")]
    Conflict(String),
    /// A named limit or the disk is full.
    #[error("{0}")]
    Exhausted(String),
    /// Try again later.
    #[error("{0}")]
    Unavailable(String),
    /// A workflow file with errors; each says where.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Workflow(Vec<crate::pipelines::Diagnostic>),
    /// What is asked for needs blobs that are not here; the caller may bring them and ask again.
    #[error("{}", missing_blobs(.0))]
    MissingBlobs(Vec<Digest>),
    /// A fault of ours or of the machine.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// The same error for another one who has to be told: all who wait for one transaction fail together.
    #[must_use]
    pub fn retold(&self) -> Self {
        match self {
            Self::Exhausted(message) => Self::Exhausted(message.clone()),
            Self::Unavailable(message) => Self::Unavailable(message.clone()),
            error => Self::Internal(error.to_string()),
        }
    }

    /// An invalid field.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }

    /// A fault of ours or of the machine, with its cause.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }
}

fn missing_blobs(digests: &[Digest]) -> String {
    let shown: Vec<String> = digests.iter().take(MISSING_SHOWN_MAX).map(|digest| format!("blobs/{digest}")).collect();
    let more = match digests.len().saturating_sub(MISSING_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("not in the cache: {}{more}", shown.join(", "))
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        let message = error.to_string();
        match error {
            LogError::NotFound(id) => Self::NotFound(format!("log {id}")),
            LogError::Invalid { field, message } => Self::Invalid { field, message },
            LogError::Conflict { .. } | LogError::OtherBytes { .. } => Self::Conflict(message),
            LogError::Gone { .. } => Self::Range(message),
            LogError::Stale(_) => Self::Unavailable(message),
            LogError::Closed(_) => Self::Precondition(message),
            LogError::Exhausted(_) => Self::Exhausted(message),
            LogError::Corrupt { .. } | LogError::Io(_) => Self::Internal(message),
        }
    }
}
