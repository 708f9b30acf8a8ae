//! Engine errors as protocol codes: the one place that knows both.

use connectrpc::ConnectError;
use millrace_engine::error::Error;

/// The code and message for an engine error. Takes it whole: it stands behind `map_err`.
#[allow(clippy::needless_pass_by_value)]
pub fn status(error: Error) -> ConnectError {
    let message = error.to_string();
    match error {
        Error::NotFound(_) => ConnectError::not_found(message),
        Error::Invalid { .. } | Error::Workflow(_) => ConnectError::invalid_argument(message),
        Error::Range(_) => ConnectError::out_of_range(message),
        Error::Precondition(_) | Error::MissingBlobs(_) => ConnectError::failed_precondition(message),
        Error::Denied(_) => ConnectError::permission_denied(message),
        Error::Unauthenticated(_) => ConnectError::unauthenticated(message),
        Error::Conflict(_) => ConnectError::aborted(message),
        Error::Exhausted(_) => ConnectError::resource_exhausted(message),
        Error::Unavailable(_) => ConnectError::unavailable(message),
        Error::Internal(_) => {
            tracing::error!(error = %message, "internal error");
            ConnectError::internal(message)
        }
    }
}
