//! How the HTTP cache says no: as other routes do, with the statuses that clients of caches know, and a challenge that
//! tools with a user name and a password understand.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use millrace_engine::error::Error;

use super::refusal::Refusal;
use crate::auth::Denial;

/// The password is a token; the user's name does not matter.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"Millrace\", charset=\"UTF-8\"");

/// A refusal of the HTTP cache.
#[derive(Debug)]
pub struct CacheRefusal {
    refusal: Refusal,
    /// Where it is not the one that other routes would have.
    status: Option<StatusCode>,
}

impl CacheRefusal {
    /// With a status of its own.
    pub fn new(status: StatusCode, error: Error) -> Self {
        Self { refusal: error.into(), status: Some(status) }
    }

    /// A body over a limit.
    pub fn too_large(limit: u64) -> Self {
        let error = Error::Exhausted(format!("body: is larger than {limit} bytes, the limit"));
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    }
}

impl IntoResponse for CacheRefusal {
    fn into_response(self) -> Response {
        let mut response = self.refusal.into_response();
        if let Some(status) = self.status {
            *response.status_mut() = status;
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().append(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        response
    }
}

impl From<Error> for CacheRefusal {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::Exhausted(_) => Some(StatusCode::INSUFFICIENT_STORAGE),
            Error::Range(_) => Some(StatusCode::RANGE_NOT_SATISFIABLE),
            _ => None,
        };
        Self { refusal: error.into(), status }
    }
}

impl From<Denial> for CacheRefusal {
    fn from(denial: Denial) -> Self {
        Self { refusal: denial.into(), status: None }
    }
}
