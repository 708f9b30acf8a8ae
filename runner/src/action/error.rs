//! Why an action came to no result, by meaning, and the status that its client gets. Knows nothing of what was tried.

use buffa::Message as _;
use buffa_types::google::protobuf::Any;
use millrace_proto::digest::Digest;
use millrace_proto::rpc::precondition_failure::Violation;
use millrace_proto::rpc::{Code, PreconditionFailure, Status};

/// How many missing blobs a status names; a client that uploads these is told of the others the next time.
pub const MISSING_NAMED_MAX: usize = 1_000;

const PRECONDITION_FAILURE_URL: &str = "type.googleapis.com/google.rpc.PreconditionFailure";

/// Why an action came to no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// Inputs that are not in the CAS.
    #[error("{} blobs of the inputs are not in the CAS, the first is blobs/{}", .0.len(), .0.first().map_or_else(String::new, Digest::to_string))]
    Missing(Vec<Digest>),
    /// The action asks for something that no runner can do.
    #[error("{field}: {message}")]
    Invalid {
        /// The field or path.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// The command wrote to an input, which is shared with other actions.
    #[error("{path}: the command changed this input; inputs are shared with other actions and must not be written to")]
    InputModified {
        /// Where the input was, relative to the input root.
        path: String,
    },
    /// Something still wrote to an output while it was being stored.
    #[error("{path}: this output changed while it was stored; something that the command started still writes to it")]
    OutputChanged {
        /// The output, relative to the input root.
        path: String,
    },
    /// An output that cannot be stored: a socket, say, or one that is reached by a link out of the input root.
    #[error("{path}: {message}")]
    OutputRefused {
        /// The output, relative to the input root.
        path: String,
        /// Why not.
        message: String,
    },
    /// The action asks for what this runner does not offer.
    #[error("{0}")]
    Precondition(String),
    /// The server has no room, or the blob is larger than it takes.
    #[error("{0}")]
    Exhausted(String),
    /// The server could not be reached for a long time, or answered what makes no sense.
    #[error("{0}")]
    Unavailable(String),
    /// Something on this machine went wrong; another may do better.
    #[error("{0}")]
    Local(String),
    /// Nobody wants the result any more.
    #[error("the action was cancelled")]
    Cancelled,
}

/// What came of it.
pub type Result<T> = std::result::Result<T, ActionError>;

impl ActionError {
    /// A field of the action that no runner can do.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), message: message.into() }
    }

    /// What the system said to something that was tried.
    pub fn local(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Local(format!("{what}: {error}"))
    }

    /// Whether another runner may do better: the action is given back.
    pub fn gives_back(&self) -> bool {
        matches!(self, Self::Local(_) | Self::Unavailable(_))
    }

    /// The status for the client.
    pub fn status(&self) -> Status {
        let code = match self {
            Self::Missing(_) | Self::InputModified { .. } | Self::OutputRefused { .. } | Self::Precondition(_) => {
                Code::FAILED_PRECONDITION
            }
            Self::OutputChanged { .. } => Code::ABORTED,
            Self::Invalid { .. } => Code::INVALID_ARGUMENT,
            Self::Exhausted(_) => Code::RESOURCE_EXHAUSTED,
            Self::Unavailable(_) => Code::UNAVAILABLE,
            Self::Local(_) => Code::INTERNAL,
            Self::Cancelled => Code::CANCELLED,
        };
        let details = match self {
            Self::Missing(digests) => vec![missing(digests)],
            _ => Vec::new(),
        };
        Status { code: code as i32, message: self.to_string(), details, ..Default::default() }
    }
}

/// What tells a client which blobs to upload before it tries again.
fn missing(digests: &[Digest]) -> Any {
    let named = digests.iter().take(MISSING_NAMED_MAX);
    let violations = named.map(|digest| Violation {
        r#type: "MISSING".into(),
        subject: format!("blobs/{digest}"),
        ..Default::default()
    });
    let failure = PreconditionFailure { violations: violations.collect(), ..Default::default() };
    Any { type_url: PRECONDITION_FAILURE_URL.into(), value: failure.encode_to_vec().into(), ..Default::default() }
}
