//! `/ac/{hash}`: the same action results that `ActionCache` serves, as bytes or, for people, as JSON. A server that is
//! told to take any bytes here keeps them as keys, apart from action results.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use buffa::Message;
use millrace_engine::actions::{ACTION_RESULT_MAX_BYTES, Origin};
use millrace_engine::error::Error;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::reapi::ActionResult;

use super::blobs::{Answer, Asked, not_allowed};
use super::blobs_receive::Incoming;
use super::blobs_send::tag;
use super::conditions::{Current, Verdict};
use super::keys;

/// Answers a request for an action's result.
pub async fn answer(asked: &Asked<'_>, action: &Digest, body: Body) -> Answer {
    if asked.app.cache_config.opaque_actions {
        // Never a key that `/cache/` could name: those have no leading slash.
        let name = format!("/ac/{}/{}", action.function(), action.hex());
        return keys::at(asked, name.as_bytes(), body).await;
    }
    match *asked.method {
        Method::GET | Method::HEAD => get(asked, action).await,
        Method::PUT => put(asked, action, body).await,
        _ => Ok(not_allowed("GET, HEAD, PUT, OPTIONS")),
    }
}

async fn get(asked: &Asked<'_>, action: &Digest) -> Answer {
    let Asked { app, instance, .. } = asked;
    let Some(stored) = app.cache.actions.get_bytes(instance, action, Origin::default()).await? else {
        return Err(Error::NotFound(format!("action result {}", action.hex())).into());
    };
    let json = wants_json(asked.headers);
    let (kind, content) =
        if json { ("application/json", json_of(&stored)?) } else { ("application/octet-stream", stored) };
    let tag = tag(&Digest::of(DigestFunction::Sha256, &content));
    let mut response = match Verdict::of(asked.headers, true, Some(Current::tagged(Some(&tag)))) {
        Verdict::Go => whole(kind, content, *asked.method == Method::HEAD),
        Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Verdict::Failed => return Ok(StatusCode::PRECONDITION_FAILED.into_response()),
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_str(&tag).map_err(Error::internal)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

fn whole(kind: &'static str, content: Bytes, head: bool) -> Response {
    let length = content.len();
    let mut response = Response::new(if head { Body::empty() } else { content.into() });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// Only who says so gets JSON: tools say nothing, or that they take anything.
fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    accepted.split(',').any(|kind| kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json"))
}

fn json_of(stored: &[u8]) -> Result<Bytes, Error> {
    let result = ActionResult::decode_from_slice(stored).map_err(Error::internal)?;
    Ok(serde_json::to_vec(&result).map_err(Error::internal)?.into())
}

async fn put(asked: &Asked<'_>, action: &Digest, body: Body) -> Answer {
    let Asked { app, instance, .. } = asked;
    let content = Incoming::of(app, asked.headers, body)?.small(ACTION_RESULT_MAX_BYTES).await?;
    // Some tools keep bytes of their own here: they are told what to do about it.
    if let Err(error) = ActionResult::decode_from_slice(&content) {
        let message = format!(
            "is no ActionResult ({error}); bytes of any kind go under /cache/, or here when the server runs with --cache-opaque-actions"
        );
        return Err(Error::invalid("body", message).into());
    }
    app.cache.actions.update_bytes(instance, action, content, Origin::default()).await?;
    Ok(StatusCode::OK.into_response())
}
