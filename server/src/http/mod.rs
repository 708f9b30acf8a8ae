//! The one port: the Connect router, the REST routes, the web assets, and the layers around them.

mod accept;
mod blobs;
mod blobs_actions;
mod blobs_path;
mod blobs_receive;
mod blobs_refusal;
mod blobs_send;
mod conditions;
mod encoding;
mod health;
mod keys;
mod logs;
mod logs_wanted;
mod range;
mod refusal;
mod rest;
mod tls;
mod trailers_only;
mod web;
mod webdav;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use connectrpc::{CompressionPolicy, ConnectRpcService, Limits};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::app::App;
use crate::auth::identify;
use crate::auth::session::{self, Sessions};
use crate::rpc;
use trailers_only::trailers_only;

pub use accept::{Port, serve};
pub use tls::Tls;

/// What pages of this server may load: themselves and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; worker-src 'self'; \
     img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Everything behind the port.
pub fn router(app: &Arc<App>, secure: bool) -> Result<Router> {
    let connect_router = rpc::router(app)?;
    let methods: BTreeSet<String> =
        connect_router.methods().map(|path| path.trim_start_matches('/').to_owned()).collect();
    let services: BTreeSet<String> =
        methods.iter().filter_map(|path| Some(path.split_once('/')?.0.to_owned())).collect();
    let counting = Counting { app: Arc::clone(app), methods: Arc::new(methods) };
    let limits = Limits::default()
        .with_max_message_size(rpc::MESSAGE_MAX_BYTES)
        .with_max_request_body_size(rpc::MESSAGE_MAX_BYTES);
    // Compressed requests are taken; answers are compressed where a service asks for it.
    let connect = ConnectRpcService::new(connect_router)
        .with_limits(limits)
        .with_compression_policy(CompressionPolicy::disabled());
    let mut calls = Router::new();
    for service in &services {
        calls = calls.route_service(&format!("/{service}/{{method}}"), connect.clone());
    }
    // Scripts and styles shrink to a third; streams and logs, on their own routes, are left alone.
    let pages = any(move |request: Request| fallback(connect.clone(), request)).layer(CompressionLayer::new());
    let sessions = Sessions { gate: Arc::clone(&app.gate), clock: Arc::clone(&app.clock), secure };
    Ok(Router::new()
        .nest("/api/v1/pipeline", calls.clone().merge(rest::routes(Arc::clone(app))))
        .merge(calls)
        .merge(logs::routes(Arc::clone(app)))
        .merge(session::routes(sessions))
        .merge(health::routes(Arc::clone(app)))
        .fallback_service(blobs::before(app, pages))
        .layer(middleware::from_fn_with_state(Arc::clone(&app.gate), identify))
        .layer(middleware::from_fn_with_state(counting, count))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(secure_headers)))
}

/// A call of a service that is not here gets its protocol's own "unimplemented"; everything else is the web app's.
async fn fallback(connect: ConnectRpcService, request: Request) -> Response {
    if request.method() == Method::POST {
        return match tower::ServiceExt::oneshot(connect, request).await {
            Ok(response) => response.into_response(),
            Err(never) => match never {},
        };
    }
    web::asset(&request)
}

/// What counting a request takes.
#[derive(Clone)]
struct Counting {
    app: Arc<App>,
    methods: Arc<BTreeSet<String>>,
}

async fn count(State(counting): State<Counting>, request: Request, next: Next) -> Response {
    let route = route_name(request.uri().path(), &counting.methods);
    let response = next.run(request).await;
    tracing::debug!(%route, status = response.status().as_u16(), "request");
    counting.app.metrics.request(route, response.status().as_u16());
    response
}

/// A path without what differs from call to call, so that the number of counters is bounded.
fn route_name(path: &str, methods: &BTreeSet<String>) -> String {
    let path = path.strip_prefix("/api/v1/pipeline").unwrap_or(path).trim_start_matches('/');
    if methods.contains(path) {
        return path.to_owned();
    }
    if let Some(word) = blobs::counted_as(path) {
        return word.to_owned();
    }
    match path.split('/').next() {
        Some(word @ ("logs" | "healthz" | "readyz" | "metrics" | "version" | "login" | "api")) => word.to_owned(),
        _ => "web".to_owned(),
    }
}

/// Tells browsers to be careful. gRPC proper is no browser's.
async fn secure_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if kind.starts_with(b"application/grpc") && !kind.starts_with(b"application/grpc-web") {
        return trailers_only(response).await;
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
