//! What machines ask a server about itself: `/healthz`, `/readyz`, `/metrics`, `/version`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Serialize;

use crate::app::App;
use crate::auth::{Caller, Denial, Role};

/// The text format Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes.
pub fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/version", get(|| async { Json(version()) }))
        .with_state(app)
}

/// What this binary is.
#[derive(Serialize)]
pub struct Version {
    /// The crate's version.
    pub version: &'static str,
    /// The commit it was built from; empty when built outside a repository.
    pub commit: &'static str,
}

/// What this binary is.
pub fn version() -> Version {
    Version { version: env!("CARGO_PKG_VERSION"), commit: option_env!("MILLRACE_COMMIT").unwrap_or("") }
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn metrics(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Response {
    if let Err(denial) = caller.may(Role::Read) {
        return denied(denial);
    }
    match app.metrics.text(&app).await {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// A denial on a plain HTTP route.
pub fn denied(denial: Denial) -> Response {
    match denial {
        Denial::Unauthenticated(why) => {
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], format!("{why}\n")).into_response()
        }
        Denial::Forbidden(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
    }
}
