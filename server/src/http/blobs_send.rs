//! A blob on its way out: conditions, ranges, and zstd for who asks for it.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use millrace_engine::blobs::Encoding;
use millrace_engine::error::Error;
use millrace_proto::digest::Digest;

use super::blobs::{Answer, Asked};
use super::conditions::{self, Verdict};
use super::range::Range;

/// Nothing of the cache is a page: browsers keep it as a file, whatever it holds.
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Whether the same address may have another content later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// Never: the address says what the content is.
    Forever,
    /// Ask again.
    Now,
}

impl Lasting {
    fn cache_control(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Forever => "private, max-age=31536000, immutable",
            Self::Now => "private, no-cache",
        })
    }
}

/// The entity tag of a content.
pub fn tag(digest: &Digest) -> String {
    format!("\"{}\"", digest.hex())
}

/// Sends a blob, or what of it is asked for, with more headers.
pub async fn send(asked: &Asked<'_>, digest: &Digest, lasting: Lasting, more: &[(HeaderName, HeaderValue)]) -> Answer {
    let tag = tag(digest);
    let mut response = match Verdict::of(asked.headers, true, Some(&tag)) {
        Verdict::Go => content(asked, digest, &tag).await?,
        Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Verdict::Failed => return Ok(StatusCode::PRECONDITION_FAILED.into_response()),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, lasting.cache_control());
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.entry(header::ETAG).or_insert(value(&tag)?);
    for (name, value) in more {
        headers.insert(name, value.clone());
    }
    Ok(response)
}

async fn content(asked: &Asked<'_>, digest: &Digest, tag: &str) -> Result<Response, Error> {
    let size = digest.size();
    let range = if conditions::range_holds(asked.headers, tag) { Range::of(asked.headers, size) } else { Range::Whole };
    let (status, from, to) = match range {
        Range::Whole => (StatusCode::OK, 0, size),
        Range::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Range::Outside => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
        }
    };
    // A range is one of the bytes as they are, and a blob without bytes has no shorter form.
    let head = *asked.method == Method::HEAD;
    // How long the compressed form will be is not known before it is sent: HEAD tells of the bytes as they are.
    let zstd = range == Range::Whole && size > 0 && !head && accepts_zstd(asked.headers);
    let body = if head || from == to { Body::empty() } else { body(asked, digest, zstd, from, to - from).await? };
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

/// Whether the client names zstd, with any weight but none. `*` is not taken for it: few mean that.
fn accepts_zstd(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.trim_matches(['0', '.']).is_empty());
        name.trim().eq_ignore_ascii_case("zstd") && !refused
    })
}

fn value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_only_for_who_names_it() {
        for (text, wanted) in [
            ("zstd", true),
            ("gzip, zstd;q=0.5", true),
            ("gzip,ZSTD", true),
            ("zstd;q=0", false),
            ("zstd;q=0.000", false),
            ("gzip", false),
            ("*", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(text))]);
            assert_eq!(accepts_zstd(&headers), wanted, "{text}");
        }
    }
}
