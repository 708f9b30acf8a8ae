//! What machines ask a server about itself: `/healthz`, `/readyz`, `/metrics`, `/version`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Serialize;

use super::refusal::Refusal;
use crate::app::App;
use crate::auth::{Caller, Role};

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

async fn metrics(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Response, Refusal> {
    caller.may(Role::Read)?;
    let text = app.metrics.text(&app).await?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}
