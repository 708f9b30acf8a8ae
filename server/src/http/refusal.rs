//! How a plain HTTP route says no: the status and the JSON (`{"code": ..., "message": ...}`) that the services answer with.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use connectrpc::{ConnectError, ErrorCode};
use millrace_engine::error::Error;

use crate::auth::Denial;
use crate::rpc::status::status;

/// A refusal of a plain HTTP route.
#[derive(Debug)]
pub struct Refusal(Box<ConnectError>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (self.0.http_status(), json, self.0.to_json()).into_response();
        if self.0.code == ErrorCode::Unauthenticated {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(Box::new(status(error)))
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self(Box::new(denial.into()))
    }
}
