//! As much WebDAV as caches ask for before they trust a server with their keys: properties of keys and folders, and making
//! folders. There are no folders: every one exists, and lists nothing but itself.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use millrace_engine::error::Error;
use millrace_engine::keys::Kept;

use super::blobs::{Answer, Asked};
use super::blobs_path::Tree;
use super::blobs_send::tag;
use super::keys::is_folder;

/// What can be done with a key.
pub const METHODS: &str = "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, MKCOL";

/// What is possible at a path.
pub fn options(path: &str) -> Response {
    let allowed = match Tree::of(path) {
        Some(Tree::Cas | Tree::Ac) => "OPTIONS, GET, HEAD, PUT",
        _ => METHODS,
    };
    let headers = [(header::ALLOW, allowed), (header::HeaderName::from_static("dav"), "1")];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// A folder is made by saying so.
pub fn make_folder() -> Response {
    StatusCode::CREATED.into_response()
}

/// The properties of a key or a folder. All that there are, whatever the request's body asks for.
pub async fn properties(asked: &Asked<'_>, name: &[u8]) -> Answer {
    let xml = if is_folder(name) {
        multistatus(
            asked.path,
            "<D:resourcetype><D:collection/></D:resourcetype>",
            Timestamp::UNIX_EPOCH.as_millisecond(),
        )
    } else {
        let kept = asked.app.cache.keys.get(&asked.instance, name).await?;
        let Some(Kept { digest, stored_ms }) = kept else {
            return Err(Error::NotFound(format!("key {:?}", String::from_utf8_lossy(name))).into());
        };
        let properties = format!(
            "<D:resourcetype/><D:getcontentlength>{}</D:getcontentlength><D:getetag>{}</D:getetag>\
             <D:getcontenttype>application/octet-stream</D:getcontenttype>",
            digest.size(),
            escaped(&tag(&digest))
        );
        multistatus(asked.path, &properties, stored_ms)
    };
    let kind = HeaderValue::from_static("application/xml; charset=utf-8");
    Ok((StatusCode::MULTI_STATUS, [(header::CONTENT_TYPE, kind)], xml).into_response())
}

/// A time as HTTP headers have it.
pub fn http_time(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default()
}

fn multistatus(path: &str, properties: &str, modified_ms: i64) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>{}</D:href>\
         <D:propstat><D:prop>{properties}<D:getlastmodified>{}</D:getlastmodified></D:prop>\
         <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>\n",
        escaped(path),
        http_time(modified_ms)
    )
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_http() {
        assert_eq!(http_time(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_time(i64::MAX), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn a_path_can_not_break_out_of_the_answer() {
        assert_eq!(escaped("/cache/a&b<c>\""), "/cache/a&amp;b&lt;c&gt;&quot;");
    }
}
