//! A blob on its way out: conditions, ranges, and zstd for who asks for it.

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use millrace_engine::blobs::Encoding;
use millrace_engine::error::Error;
use millrace_proto::digest::Digest;

use super::blobs::{Answer, Asked};
use super::conditions::{Current, Verdict, range_holds};
use super::encoding::{self, ContentEncoding};
use super::range::Range;
use super::webdav;

/// Nothing of the cache is a page: browsers keep it as a file, whatever it holds.
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Whether the same address may have another content later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// Never: the address says what the content is.
    Forever,
    /// It has had this one since then, in Unix milliseconds: ask again.
    Since(i64),
}

impl Lasting {
    fn cache_control(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Forever => "private, max-age=31536000, immutable",
            Self::Since(_) => "private, no-cache",
        })
    }

    fn modified_ms(self) -> Option<i64> {
        match self {
            Self::Forever => None,
            Self::Since(ms) => Some(ms),
        }
    }
}

/// The entity tag of a content.
pub fn tag(digest: &Digest) -> String {
    format!("\"{}\"", digest.hex())
}

/// Sends a blob, or what of it is asked for.
pub async fn send(asked: &Asked<'_>, digest: &Digest, lasting: Lasting) -> Answer {
    let tag = tag(digest);
    let current = Current { tag: Some(&tag), modified_ms: lasting.modified_ms() };
    let mut response = match Verdict::of(asked.headers, true, Some(current)) {
        Verdict::Go => content(asked, digest, &tag).await?,
        Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Verdict::Failed => StatusCode::PRECONDITION_FAILED.into_response(),
    };
    let refused = response.status().is_client_error();
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if refused {
        return Ok(response);
    }
    headers.insert(header::CACHE_CONTROL, lasting.cache_control());
    headers.entry(header::ETAG).or_insert(value(&tag)?);
    if let Some(ms) = lasting.modified_ms() {
        headers.insert(header::LAST_MODIFIED, value(&webdav::http_time(ms))?);
    }
    Ok(response)
}

async fn content(asked: &Asked<'_>, digest: &Digest, tag: &str) -> Result<Response, Error> {
    let size = digest.size();
    let head = *asked.method == Method::HEAD;
    let plain = !encoding::refuses_identity(asked.headers);
    // A range is one of the bytes as they are; who does not take those gets all, packed. Only GET has ranges.
    let ranges = !head && plain && range_holds(asked.headers, Some(tag));
    let range = if ranges { Range::of(asked.headers, 0, size) } else { Range::Whole };
    let (status, from, to) = match range {
        Range::Whole => (StatusCode::OK, 0, size),
        Range::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Range::Outside => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
        }
    };
    // A blob without bytes has no shorter form.
    let zstd = range == Range::Whole && size > 0 && encoding::names_zstd(asked.headers);
    if size > 0 && !zstd && !plain {
        return Ok(encoding::none_wanted(&[ContentEncoding::Zstd, ContentEncoding::Identity]));
    }
    let body = match (head, zstd) {
        (true, true) => encoding::no_body(),
        (true, false) => Body::empty(),
        _ if from == to => Body::empty(),
        _ => body(asked, digest, zstd, from, to - from).await?,
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, BINARY);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if zstd {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        headers.insert(header::ETAG, value(&format!("W/{tag}"))?);
    } else {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
    }
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(header::CONTENT_RANGE, value(&format!("bytes {from}-{}/{size}", to - 1))?);
    }
    Ok(response)
}

async fn body(asked: &Asked<'_>, digest: &Digest, zstd: bool, from: u64, length: u64) -> Result<Body, Error> {
    let (want, limit) = if zstd { (Encoding::Zstd, None) } else { (Encoding::Identity, Some(length)) };
    let stream = asked.app.cache.blobs.read(&asked.instance, digest, want, from, limit).await?;
    Ok(Body::from_stream(stream))
}

fn value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(Error::internal)
}
