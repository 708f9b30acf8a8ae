//! Logs as plain text: `GET /logs/{id}/raw`, with Range; `?follow=1` for a live tail, `?download=1` for a file.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures::{Stream, stream};
use millrace_engine::error::Error;
use millrace_engine::logs::{LogTail, Start, TailEvent};
use serde::Deserialize;

use super::range::Range;
use super::refusal::Refusal;
use crate::app::App;
use crate::auth::{Caller, Role};
use crate::rpc::follow::{Follow, Followed};

/// How much of a log is read at once, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// The routes.
pub fn routes(app: Arc<App>) -> Router {
    Router::new().route("/logs/{id}/raw", get(raw)).with_state(app)
}

#[derive(Deserialize)]
struct Wanted {
    /// A live tail: goes on until the log is complete.
    #[serde(default)]
    follow: Option<String>,
    /// As a file to keep.
    #[serde(default)]
    download: Option<String>,
    /// Begin at the last so many lines.
    tail: Option<u64>,
}

async fn raw(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    caller.may(Role::Read)?;
    Ok(answer(&app, &caller, &id, &wanted, &headers).await?)
}

/// The whole log as a file, for the REST route.
pub async fn download(app: &Arc<App>, caller: &Caller, id: &str) -> Result<Response, Error> {
    let wanted = Wanted { follow: None, download: Some("1".into()), tail: None };
    answer(app, caller, id, &wanted, &HeaderMap::new()).await
}

async fn answer(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    wanted: &Wanted,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let follow = Follow::of(app, caller, id).await?;
    let mut response = if is_set(wanted.follow.as_ref()) {
        let start = wanted.tail.map_or(Start::Offset(0), Start::LastLines);
        let tail = follow.tail(start).await?;
        Body::from_stream(live(Arc::clone(app), follow, tail)).into_response()
    } else {
        stored(app, follow, wanted.tail, headers).await?
    };
    let set = response.headers_mut();
    set.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if is_set(wanted.download.as_ref())
        && let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{id}.log\""))
    {
        set.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// `?x`, `?x=1`, `?x=true`.
fn is_set(value: Option<&String>) -> bool {
    value.is_some_and(|value| !matches!(value.as_str(), "0" | "false"))
}

/// What is there now, or the range of it that was asked for.
async fn stored(app: &Arc<App>, follow: Follow, tail: Option<u64>, headers: &HeaderMap) -> Result<Response, Error> {
    let head = follow.stat().await?.head;
    let length = head.stream_bytes();
    let (status, from, to) = match (tail, Range::of(headers, length)) {
        (Some(lines), _) if length > 0 => {
            let first = app.logs.last_lines(&follow.id, lines, 0).await?.place.stream_offset();
            (StatusCode::OK, first, length)
        }
        (_, Range::Whole) | (Some(_), _) => (StatusCode::OK, 0, length),
        (_, Range::Part(from, to)) => (StatusCode::PARTIAL_CONTENT, from, to),
        (_, Range::Outside) => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
        }
    };
    let mut response = Body::from_stream(bytes(Arc::clone(app), follow, from, to)).into_response();
    *response.status_mut() = status;
    let set = response.headers_mut();
    set.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    set.insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
    let cache = if head.complete { "private, max-age=86400" } else { "no-store" };
    set.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = HeaderValue::from_str(&format!("bytes {from}-{}/{length}", to - 1))
    {
        set.insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

fn bytes(
    app: Arc<App>,
    follow: Follow,
    from: u64,
    to: u64,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    stream::try_unfold((app, follow, from), move |(app, follow, at)| async move {
        if at >= to {
            return Ok(None);
        }
        let most = usize::try_from(to - at).unwrap_or(READ_BYTES).min(READ_BYTES);
        let chunk = app.logs.read_bytes(&follow.id, at, most).await?;
        if chunk.is_empty() {
            return Ok(None);
        }
        let next = at + chunk.len() as u64;
        Ok(Some((chunk, (app, follow, next))))
    })
}

/// Lines as they come. The end of the log, of the server, or a fault ends the text.
fn live(
    app: Arc<App>,
    follow: Follow,
    tail: LogTail,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    stream::unfold((app, follow, tail), |(app, follow, mut tail)| async move {
        loop {
            let next = tokio::select! {
                next = follow.next(&mut tail) => next,
                () = app.stopping() => return None,
            };
            match next {
                Ok(Followed::Event(TailEvent::Data(lines))) => {
                    return Some((Ok(lines.stream_bytes()), (app, follow, tail)));
                }
                Ok(Followed::Quiet | Followed::Event(TailEvent::Gap(_))) => {}
                Ok(Followed::Event(TailEvent::End(_))) => return None,
                Err(error) => {
                    tracing::warn!(log = follow.id.as_str(), %error, "a tail ended");
                    return None;
                }
            }
        }
    })
}
