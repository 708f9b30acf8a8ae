//! The HTTP cache: `/cas/{hash}`, `/ac/{hash}` and `/cache/{key}`, which every tool with a simple cache of its own speaks.
//! Finds out who asks for what and hands over; whoever asks for something else gets it from what is behind.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use millrace_engine::error::Error;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::blobs_path::{CachePath, Tree, What};
use super::blobs_receive::Incoming;
use super::blobs_refusal::CacheRefusal;
use super::{blobs_actions, blobs_send, encoding, keys, webdav};
use crate::app::App;
use crate::auth::{Caller, Role};

/// The answer to a request to the cache.
pub type Answer = Result<Response, CacheRefusal>;

/// A request to the cache, with its caller and its instance checked.
pub struct Asked<'a> {
    /// The app.
    pub app: &'a Arc<App>,
    /// In which instance.
    pub instance: InstanceName,
    /// How.
    pub method: &'a Method,
    /// With what.
    pub headers: &'a HeaderMap,
    /// The path as it was sent.
    pub path: &'a str,
}

/// The cache, and behind it all that is not the cache's.
pub fn before(app: &Arc<App>, behind: MethodRouter) -> Router {
    let (app, behind) = (Arc::clone(app), Router::new().fallback_service(behind));
    Router::new().fallback_service(any(move |request: Request| async move {
        match CachePath::of(request.method(), request.uri().path()) {
            None => pass(behind, request).await,
            Some(Ok(CachePath { what: What::Key(_), .. })) if is_page(&request) => pass(behind, request).await,
            Some(path) => answer(&app, path, request).await.unwrap_or_else(IntoResponse::into_response),
        }
    }))
}

/// The word by which a path is counted; None: it is not the cache's.
pub fn counted_as(path: &str) -> Option<&'static str> {
    Tree::of(path).map(Tree::segment)
}

async fn pass(behind: Router, request: Request) -> Response {
    let head = request.method() == Method::HEAD;
    match tower::ServiceExt::oneshot(behind, request).await {
        Ok(response) if head && response.headers().contains_key(header::CONTENT_ENCODING) => {
            response.map(|_| encoding::no_body())
        }
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// A person who goes to an address below `/cache/` in a browser wants the app's page there; tools send no such header.
fn is_page(request: &Request) -> bool {
    let destination = request.headers().get("sec-fetch-dest");
    *request.method() == Method::GET && destination.is_some_and(|value| value == "document")
}

async fn answer(app: &Arc<App>, path: Result<CachePath, Error>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = parts.extensions.get::<Caller>().cloned().unwrap_or(Caller::Anonymous);
    if parts.method == Method::OPTIONS {
        return Ok(webdav::options(parts.uri.path()));
    }
    caller.may(role(&parts.method))?;
    let CachePath { instance, what } = path?;
    app.cache.instances.check(&caller, &instance)?;
    let asked = Asked { app, instance, method: &parts.method, headers: &parts.headers, path: parts.uri.path() };
    match what {
        What::Blob(name) => blob(&asked, &accepted(app, name)?, body).await,
        What::Action(name) => blobs_actions::answer(&asked, &accepted(app, name)?, body).await,
        What::Key(name) => keys::answer(&asked, &name, body).await,
    }
}

/// Whoever may read may look around; everything else is a write.
fn role(method: &Method) -> Role {
    match method.as_str() {
        "GET" | "HEAD" | "PROPFIND" => Role::CacheRead,
        _ => Role::CacheWrite,
    }
}

fn accepted(app: &App, name: Digest) -> Result<Digest, Error> {
    if name.function() == DigestFunction::Md5 && !app.cache_config.md5 {
        return Err(Error::invalid("hash", "MD5 is not accepted here; --cache-md5 allows it"));
    }
    Ok(name)
}

async fn blob(asked: &Asked<'_>, name: &Digest, body: Body) -> Answer {
    let Asked { app, instance, method, headers, .. } = asked;
    let found = app.cache.blobs.find(instance, name.function(), name.hash()).await?;
    if let (&Method::HEAD, Some(digest)) = (*method, &found) {
        // Who asks whether a blob is here relies on it, as with FindMissingBlobs.
        app.cache.blobs.find_missing(instance, &[*digest]).await?;
    }
    match **method {
        Method::GET | Method::HEAD => match found {
            Some(digest) => blobs_send::send(asked, &digest, blobs_send::Lasting::Forever).await,
            None => Err(Error::NotFound(format!("blob {}", name.hex())).into()),
        },
        Method::PUT => {
            let incoming = Incoming::of(app, headers, body)?;
            let status = if found.is_some() { StatusCode::OK } else { StatusCode::CREATED };
            incoming.receive(instance, name.function(), Some(name.hash())).await?;
            Ok(status.into_response())
        }
        _ => Ok(not_allowed("GET, HEAD, PUT, OPTIONS")),
    }
}

/// 405 with what is allowed.
pub fn not_allowed(allowed: &'static str) -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, HeaderValue::from_static(allowed))]).into_response()
}
