//! `/cache/{key}`: a cache by keys that its clients make up (Gradle, ccache, sccache and others). The content is a blob of
//! the instance, the key says which.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use millrace_engine::error::Error;
use millrace_engine::keys::{KEY_FUNCTION, Kept};

use super::blobs::{Answer, Asked, not_allowed};
use super::blobs_receive::Incoming;
use super::blobs_send::{Lasting, send, tag};
use super::conditions::{Current, Verdict};
use super::webdav::{self, METHODS};

/// Answers a request for a key, or for a folder of keys.
pub async fn answer(asked: &Asked<'_>, name: &[u8], body: Body) -> Answer {
    match asked.method.as_str() {
        "PROPFIND" => webdav::properties(asked, name).await,
        "MKCOL" => Ok(webdav::make_folder()),
        "PUT" | "DELETE" if is_folder(name) => {
            Err(Error::invalid("key", "is empty or ends in a slash: that is a folder").into())
        }
        _ => at(asked, name, body).await,
    }
}

/// Whether a name is that of a folder.
pub fn is_folder(name: &[u8]) -> bool {
    name.is_empty() || name.ends_with(b"/")
}

/// Answers a request for a key.
pub async fn at(asked: &Asked<'_>, name: &[u8], body: Body) -> Answer {
    match *asked.method {
        Method::GET | Method::HEAD => get(asked, name).await,
        Method::PUT => put(asked, name, body).await,
        Method::DELETE => delete(asked, name).await,
        _ => Ok(not_allowed(METHODS)),
    }
}

async fn get(asked: &Asked<'_>, name: &[u8]) -> Answer {
    let Asked { app, instance, .. } = asked;
    let kept = if is_folder(name) { None } else { app.cache.keys.get(instance, name).await? };
    app.cache.activity.key_asked(instance, kept.is_some());
    let kept = kept.ok_or_else(|| Error::NotFound(format!("key {:?}", String::from_utf8_lossy(name))))?;
    send(asked, &kept.digest, Lasting::Since(kept.stored_ms)).await
}

async fn put(asked: &Asked<'_>, name: &[u8], body: Body) -> Answer {
    let Asked { app, instance, .. } = asked;
    let before = app.cache.keys.get(instance, name).await?;
    if let Some(failed) = failed(asked, before) {
        return failed;
    }
    let incoming = Incoming::of(app, asked.headers, body)?;
    let digest = incoming.receive(instance, KEY_FUNCTION, None).await?;
    app.cache.keys.put(instance, name, digest).await?;
    let status = if before.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
    Ok((status, [(header::ETAG, tag(&digest))]).into_response())
}

async fn delete(asked: &Asked<'_>, name: &[u8]) -> Answer {
    let Asked { app, instance, .. } = asked;
    if let Some(failed) = failed(asked, app.cache.keys.get(instance, name).await?) {
        return failed;
    }
    if app.cache.keys.remove(instance, name).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(Error::NotFound(format!("key {:?}", String::from_utf8_lossy(name))).into())
}

/// The refusal of a write whose conditions do not hold.
fn failed(asked: &Asked<'_>, before: Option<Kept>) -> Option<Answer> {
    let tag = before.map(|kept| tag(&kept.digest));
    let current = before.map(|kept| Current { tag: tag.as_deref(), modified_ms: Some(kept.stored_ms) });
    let holds = Verdict::of(asked.headers, false, current) == Verdict::Go;
    (!holds).then(|| Ok(StatusCode::PRECONDITION_FAILED.into_response()))
}
