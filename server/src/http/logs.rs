//! Logs as plain text: `GET /logs/{id}/raw`, with Range, or packed as the client likes it; `?follow=1` for a live tail,
//! `?download=1` for a file.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures::{Stream, stream};
use millrace_engine::error::Error;
use millrace_engine::logs::{HeldLog, LogTail, Start, TailEvent};

use super::conditions::{Current, Verdict, range_holds};
use super::encoding::{self, ContentEncoding};
use super::logs_wanted::LogWanted;
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

async fn raw(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    method: Method,
    id: Result<Path<String>, PathRejection>,
    Query(parameters): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    caller.may(Role::Read)?;
    let Path(id) = id.map_err(|_| Error::invalid("log_id", "is not UTF-8 once its percent signs are decoded"))?;
    let wanted = LogWanted::parse(&parameters)?;
    // RFC 9110 knows ranges of GET: what HEAD tells of is the whole.
    let ranges = method != Method::HEAD;
    Ok(answer(&app, &caller, &id, &Asked { wanted, ranges, headers: &headers }).await?)
}

/// The whole log as a file, for the REST route; or the range of it that was asked for.
pub async fn download(app: &Arc<App>, caller: &Caller, id: &str, headers: &HeaderMap) -> Result<Response, Error> {
    let wanted = LogWanted { download: true, ..LogWanted::default() };
    answer(app, caller, id, &Asked { wanted, ranges: true, headers }).await
}

/// How a log is asked for.
struct Asked<'a> {
    wanted: LogWanted,
    /// `Range` means something here.
    ranges: bool,
    headers: &'a HeaderMap,
}

async fn answer(app: &Arc<App>, caller: &Caller, id: &str, asked: &Asked<'_>) -> Result<Response, Error> {
    let follow = Follow::of(app, caller, id).await?;
    let mut response =
        if asked.wanted.follow { followed(app, follow, asked).await? } else { stored(app, follow, asked).await? };
    let given = response.status().is_success();
    let set = response.headers_mut();
    set.insert(header::VARY, VARY);
    set.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if asked.wanted.download
        && given
        && let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{id}.log\""))
    {
        set.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// A live tail. Each piece can be read as soon as it is there, however it is packed.
async fn followed(app: &Arc<App>, follow: Follow, asked: &Asked<'_>) -> Result<Response, Error> {
    let Some(encoding) = ContentEncoding::wanted(asked.headers) else {
        return Ok(encoding::none_wanted(&ContentEncoding::ALL));
    };
    let start = asked.wanted.tail.map_or(Start::Offset(0), Start::LastLines);
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
async fn stored(app: &Arc<App>, follow: Follow, asked: &Asked<'_>) -> Result<Response, Error> {
    let headers = asked.headers;
    let held = app.logs.hold(&follow.id);
    let head = follow.stat().await?.head;
    let length = head.stream_bytes();
    // What was before is gone.
    let mut first = head.first.stream_offset();
    if let Some(lines) = asked.wanted.tail.filter(|_| length > 0) {
        first = app.logs.last_lines(&follow.id, lines, 0).await?.place.stream_offset();
    }
    let Some(liked) = ContentEncoding::wanted(headers) else { return Ok(encoding::none_wanted(&ContentEncoding::ALL)) };
    let plain = !encoding::refuses_identity(headers);
    // What is empty has no shorter form.
    let whole = if length == first && plain { ContentEncoding::Identity } else { liked };
    // A range is one of the bytes as they are; who does not take those gets all, packed.
    let ranges = asked.ranges && asked.wanted.tail.is_none() && plain;
    let mut range = if ranges { Range::of(headers, first, length) } else { Range::Whole };
    let mut encoding = if range == Range::Whole { whole } else { ContentEncoding::Identity };
    // Of a log that still grows there is nothing to compare with.
    let tag = head.complete.then(|| format!("{length:x}-{:x}-{first:x}-{:x}", head.lines, head.last_ms));
    let tag_in = |encoding: ContentEncoding| tag.as_deref().map(|tag| encoding.tag(tag));
    // Conditions are looked at as if no range were asked for; who had a range before knows the other tag.
    let verdict_of = |encoding| Verdict::of(headers, true, Some(Current::tagged(tag_in(encoding).as_deref())));
    let verdict = match (verdict_of(encoding), verdict_of(whole)) {
        (Verdict::NotModified, _) => Verdict::NotModified,
        (_, Verdict::NotModified) => {
            encoding = whole;
            Verdict::NotModified
        }
        (Verdict::Failed, Verdict::Failed) => Verdict::Failed,
        _ => Verdict::Go,
    };
    let mut response = match verdict {
        Verdict::Failed => StatusCode::PRECONDITION_FAILED.into_response(),
        Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Verdict::Go => {
            if !range_holds(headers, tag_in(encoding).as_deref()) {
                (range, encoding) = (Range::Whole, whole);
            }
            content((app, follow, held), range, encoding, (first, length))?
        }
    };
    let refused = response.status().is_client_error();
    let set = response.headers_mut();
    set.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    set.insert(header::CACHE_CONTROL, if head.complete && !refused { A_DAY } else { NO_STORE });
    if let Some(tag) = tag_in(encoding) {
        set.insert(header::ETAG, value(&tag)?);
    }
    Ok(response)
}

/// What is there from `first` on, or a range of it.
fn content(
    (app, follow, held): (&Arc<App>, Follow, HeldLog),
    range: Range,
    encoding: ContentEncoding,
    (first, length): (u64, u64),
) -> Result<Response, Error> {
    let (status, from, to) = match range {
        Range::Whole => (StatusCode::OK, first, length),
        Range::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Range::Outside => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
        }
    };
    let bytes = bytes(Arc::clone(app), follow, held, from, to);
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
    Ok(response)
}

fn value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(Error::internal)
}

fn bytes(
    app: Arc<App>,
    follow: Follow,
    held: HeldLog,
    from: u64,
    to: u64,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    stream::try_unfold((app, follow, held, from), move |(app, follow, held, at)| async move {
        if at >= to {
            return Ok(None);
        }
        let most = usize::try_from(to - at).unwrap_or(READ_BYTES).min(READ_BYTES);
        let chunk = app.logs.read_bytes(&follow.id, at, most).await?;
        // Bytes of another log that has this id now are none of this answer's.
        held.check()?;
        if chunk.is_empty() {
            return Ok(None);
        }
        let next = at + chunk.len() as u64;
        Ok(Some((chunk, (app, follow, held, next))))
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
