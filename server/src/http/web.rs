//! The web app, embedded in the binary. A path that is no file is a page of the app: it gets `index.html`.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

use super::conditions::{Current, Verdict};

/// What vite built; the build script says where that is.
#[derive(Embed)]
#[folder = "$MILLRACE_WEB_DIST"]
struct Assets;

/// The folder of files whose names carry a hash of their content.
const IMMUTABLE_FOLDER: &str = "assets/";
/// The pages of logs.
const LOG_PAGES: &str = "logs/";

/// The file at a path, or the page.
pub fn asset(request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let path = request.uri().path().trim_start_matches('/');
    if let Some(file) = Assets::get(path) {
        return answer(request, path, file);
    }
    // A missing script must not get a page in its place. The ids of logs have dots.
    let looks_like_file = path.starts_with(IMMUTABLE_FOLDER)
        || !path.starts_with(LOG_PAGES) && path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    match Assets::get("index.html") {
        Some(page) if !looks_like_file => answer(request, "index.html", page),
        _ => (StatusCode::NOT_FOUND, format!("there is nothing at /{path}\n")).into_response(),
    }
}

fn answer(request: &Request, path: &str, file: EmbeddedFile) -> Response {
    let hash = file.metadata.sha256_hash();
    let digits: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{digits}\"");
    let mut response = match Verdict::of(request.headers(), true, Some(Current::tagged(Some(&tag)))) {
        Verdict::Go => file.data.into_response(),
        Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Verdict::Failed => return StatusCode::PRECONDITION_FAILED.into_response(),
    };
    let cache = if path.starts_with(IMMUTABLE_FOLDER) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    // The layer outside packs it without another tag: the same thing, and not always the same bytes.
    if let Ok(tag) = HeaderValue::from_str(&format!("W/{tag}")) {
        headers.insert(header::ETAG, tag);
    }
    if let Ok(kind) = HeaderValue::from_str(file.metadata.mimetype()) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    response
}
