//! Engine errors as protocol codes: the one place that knows both.

use connectrpc::{ConnectError, ErrorDetail};
use millrace_engine::error::Error;
use millrace_proto::digest::Digest;
use millrace_proto::rpc::{
    BadRequest, LocalizedMessage, PreconditionFailure, bad_request::FieldViolation, precondition_failure::Violation,
};

/// How many missing blobs a status names. It travels in a header, some 120 bytes for each, and clients bound their headers: many
/// take 8 KiB and no more. Execute tells more of them in a message.
pub const MISSING_TOLD_MAX: usize = 30;

/// The code and message for an engine error. Takes it whole: it stands behind `map_err`.
#[allow(clippy::needless_pass_by_value)]
pub fn status(error: Error) -> ConnectError {
    let message = error.to_string();
    match error {
        Error::NotFound(_) => ConnectError::not_found(message),
        Error::Invalid { field, message: why } => {
            let detail = bad_field(field, why);
            ConnectError::invalid_argument(message)
                .with_detail(ErrorDetail::from_message("google.rpc.BadRequest", &detail))
        }
        Error::Workflow(_) => ConnectError::invalid_argument(message),
        Error::Range(_) => ConnectError::out_of_range(message),
        Error::Precondition(_) => ConnectError::failed_precondition(message),
        Error::MissingBlobs(digests) => {
            let detail = missing(&digests[..digests.len().min(MISSING_TOLD_MAX)]);
            ConnectError::failed_precondition(message)
                .with_detail(ErrorDetail::from_message("google.rpc.PreconditionFailure", &detail))
        }
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

/// What clients read to know which field is wrong.
fn bad_field(field: &str, why: String) -> BadRequest {
    let violation = FieldViolation { field: field.to_owned(), description: why, ..Default::default() };
    BadRequest { field_violations: vec![violation], ..Default::default() }
}

/// A record that a log does not have, with what clients of commit logs show to people.
pub fn out_of_log(message: String, offset: u64) -> ConnectError {
    let shown = LocalizedMessage {
        locale: "en-US".into(),
        message: format!("The requested offset is outside the log's range: {offset}"),
        ..Default::default()
    };
    ConnectError::out_of_range(message).with_detail(ErrorDetail::from_message("google.rpc.LocalizedMessage", &shown))
}

/// What clients read to know which blobs they have to bring.
pub fn missing(digests: &[Digest]) -> PreconditionFailure {
    let violation = |digest: &Digest| Violation {
        r#type: "MISSING".into(),
        subject: format!("blobs/{digest}"),
        ..Default::default()
    };
    PreconditionFailure { violations: digests.iter().map(violation).collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use millrace_proto::digest::DigestFunction;

    use super::*;

    #[test]
    fn a_wrong_field_is_named() {
        let error = status(Error::invalid("max_lines", "7 is more than 5"));
        assert_eq!(error.code, connectrpc::ErrorCode::InvalidArgument);
        assert_eq!(error.message.as_deref(), Some("max_lines: 7 is more than 5"));
        assert_eq!((error.details.len(), error.details[0].type_url.as_str()), (1, "google.rpc.BadRequest"));
        let violation = &bad_field("max_lines", "7 is more than 5".into()).field_violations[0];
        assert_eq!((violation.field.as_str(), violation.description.as_str()), ("max_lines", "7 is more than 5"));
    }

    #[test]
    fn missing_blobs_are_named_as_clients_read_them() {
        let digests = [DigestFunction::Sha256, DigestFunction::Blake3].map(|function| Digest::of(function, b"x"));
        let error = status(Error::MissingBlobs(digests.to_vec()));
        assert_eq!(error.code, connectrpc::ErrorCode::FailedPrecondition);
        let failure = missing(&digests);
        let subjects: Vec<&str> = failure.violations.iter().map(|one| one.subject.as_str()).collect();
        assert_eq!(subjects[0], format!("blobs/{}/1", digests[0].hex()));
        assert_eq!(subjects[1], format!("blobs/blake3/{}/1", digests[1].hex()));
        assert!(failure.violations.iter().all(|one| one.r#type == "MISSING"));
        assert_eq!(error.details.len(), 1);
        let many = status(Error::MissingBlobs(vec![digests[0]; 10_000]));
        let value = many.details[0].value.as_deref().unwrap_or_default();
        assert!(value.len() + 2 * many.message.unwrap_or_default().len() < 6_000, "what clients take as headers");
    }
}
