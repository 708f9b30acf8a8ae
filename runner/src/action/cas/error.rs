//! What a failed call to the CAS means. Knows nothing of which call it was.

use connectrpc::{ConnectError, ErrorCode};
use millrace_proto::digest::Digest;

use crate::action::error::ActionError;

/// What a failed call to the CAS means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CasError {
    /// No such blob, or no such upload.
    #[error("{0}")]
    NotFound(String),
    /// The same call will never be taken.
    #[error("{0}")]
    Refused(String),
    /// The server has no room for it.
    #[error("{0}")]
    Exhausted(String),
    /// The server was out of reach for longer than is waited.
    #[error("{0}")]
    Unavailable(String),
    /// The server does not let this runner.
    #[error("{0}")]
    NotAuthorised(String),
    /// The server sends other bytes than those that have the digest.
    #[error("blobs/{digest}: the server sent {found}")]
    Corrupt {
        /// What was asked for.
        digest: Digest,
        /// What came.
        found: String,
    },
    /// What was to be uploaded could not be read.
    #[error("{0}")]
    Source(String),
}

impl CasError {
    /// Whether the same call may go well in a moment.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Corrupt { .. })
    }
}

impl From<ConnectError> for CasError {
    fn from(error: ConnectError) -> Self {
        let text = match &error.message {
            Some(message) if !message.is_empty() => format!("{message} ({})", error.code.as_str()),
            _ => error.code.as_str().to_owned(),
        };
        match error.code {
            ErrorCode::NotFound => Self::NotFound(text),
            ErrorCode::InvalidArgument
            | ErrorCode::OutOfRange
            | ErrorCode::Unimplemented
            | ErrorCode::FailedPrecondition
            | ErrorCode::AlreadyExists => Self::Refused(text),
            ErrorCode::ResourceExhausted => Self::Exhausted(text),
            ErrorCode::PermissionDenied | ErrorCode::Unauthenticated => Self::NotAuthorised(text),
            // A connection that breaks in the middle of a stream is "internal" or "unknown".
            _ => Self::Unavailable(text),
        }
    }
}

impl From<CasError> for ActionError {
    fn from(error: CasError) -> Self {
        let text = format!("the CAS: {error}");
        match error {
            CasError::Exhausted(_) => Self::Exhausted(text),
            CasError::Source(_) => Self::Local(text),
            CasError::NotFound(_)
            | CasError::Refused(_)
            | CasError::Unavailable(_)
            | CasError::NotAuthorised(_)
            | CasError::Corrupt { .. } => Self::Unavailable(text),
        }
    }
}
