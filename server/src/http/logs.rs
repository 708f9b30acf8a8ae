//! Logs as plain text: `GET /logs/{id}/raw`, with Range, or packed as the client likes it; `?follow=1` for a live tail,
//! `?download=1` for a file.

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

use super::conditions::{Verdict, range_holds};
use super::encoding::{self, ContentEncoding};
use super::range::Range;
use super::refusal::Refusal;
use crate::app::App;
use crate::auth::{Caller, Role};
use crate::rpc::follow::{Follow, Followed};

/// How much of a log is read at once, in bytes.
const READ_BYTES: usize = 256 * 1024;

const VARY: HeaderValue = HeaderValue::from_static("Accept-Encoding");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// A log that is complete does not change.
const A_DAY: HeaderValue = HeaderValue::from_static("private, max-age=86400");

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

/// The whole log as a file, for the REST route; or the range of it that was asked for.
pub async fn download(app: &Arc<App>, caller: &Caller, id: &str, headers: &HeaderMap) -> Result<Response, Error> {
    let wanted = Wanted { follow: None, download: Some("1".into()), tail: None };
    answer(app, caller, id, &wanted, headers).await
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
        followed(app, follow, wanted.tail, headers).await?
    } else {
        stored(app, follow, wanted.tail, headers).await?
    };
    let set = response.headers_mut();
    set.insert(header::VARY, VARY);
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

/// A live tail. Each piece can be read as soon as it is there, however it is packed.
async fn followed(app: &Arc<App>, follow: Follow, tail: Option<u64>, headers: &HeaderMap) -> Result<Response, Error> {
    let Some(encoding) = ContentEncoding::wanted(headers) else { return Ok(encoding::none_wanted()) };
    let start = tail.map_or(Start::Offset(0), Start::LastLines);
    let tail = follow.tail(start).await?;
    let lines = live(Arc::clone(app), follow, tail);
    let mut response = Response::new(match encoding {
        ContentEncoding::Identity => Body::from_stream(lines),
        packed => Body::from_stream(encoding::packed(lines, packed, true)?),
    });
    encoding.tell(response.headers_mut());
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    Ok(response)
}

/// What is there now, or the range of it that was asked for.
async fn stored(app: &Arc<App>, follow: Follow, tail: Option<u64>, headers: &HeaderMap) -> Result<Response, Error> {
    let head = follow.stat().await?.head;
    let length = head.stream_bytes();
    // What was before is gone.
    let mut first = head.first.stream_offset();
    if let Some(lines) = tail.filter(|_| length > 0) {
        first = app.logs.last_lines(&follow.id, lines, 0).await?.place.stream_offset();
    }
    // Of a log that still grows there is nothing to compare with.
    let tag = head.complete.then(|| format!("{length:x}-{:x}-{first:x}-{:x}", head.lines, head.last_ms));
    let plain_tag = tag.as_deref().map(|tag| ContentEncoding::Identity.tag(tag));
    let held = match &plain_tag {
        Some(tag) => range_holds(headers, tag),
        None => !headers.contains_key(header::IF_RANGE),
    };
    let range = if tail.is_none() && held { Range::of(headers, length) } else { Range::Whole };
    let wanted = ContentEncoding::wanted(headers);
    let (status, from, to, encoding) = match (range, wanted) {
        // A range is one of the bytes as they are; who does not take those gets all, packed.
        (Range::Part(from, to), _) if from >= first && !encoding::refuses_identity(headers) => {
            (StatusCode::PARTIAL_CONTENT, from, to, ContentEncoding::Identity)
        }
        (Range::Outside | Range::Part(..), Some(_)) if !encoding::refuses_identity(headers) => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
        }
        (_, Some(encoding)) if length > first => (StatusCode::OK, first, length, encoding),
        // What is empty has no shorter form.
        (_, Some(_)) => (StatusCode::OK, first, length, ContentEncoding::Identity),
        (_, None) => return Ok(encoding::none_wanted()),
    };
    let tag = tag.map(|tag| encoding.tag(&tag));
    let mut response = match Verdict::of(headers, true, tag.as_deref()) {
        Verdict::Failed => return Ok(StatusCode::PRECONDITION_FAILED.into_response()),
        Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Verdict::Go => {
            let bytes = bytes(Arc::clone(app), follow, from, to);
            let mut response = Response::new(match encoding {
                ContentEncoding::Identity => Body::from_stream(bytes),
                packed => Body::from_stream(encoding::packed(bytes, packed, false)?),
            });
            *response.status_mut() = status;
            let set = response.headers_mut();
            encoding.tell(set);
            if encoding == ContentEncoding::Identity {
                set.insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
            }
            if status == StatusCode::PARTIAL_CONTENT {
                set.insert(header::CONTENT_RANGE, value(&format!("bytes {from}-{}/{length}", to - 1))?);
            }
            response
        }
    };
    let set = response.headers_mut();
    set.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    set.insert(header::CACHE_CONTROL, if head.complete { A_DAY } else { NO_STORE });
    if let Some(tag) = tag {
        set.insert(header::ETAG, value(&tag)?);
    }
    Ok(response)
}

fn value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(Error::internal)
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
fn live(app: Arc<App>, follow: Follow, tail: LogTail) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
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
