//! The web app, embedded in the binary. A path that is no file is a page of the app: it gets `index.html`.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

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
    let etag: String = std::iter::once('"')
        .chain(
            file.metadata.sha256_hash()[..16]
                .iter()
                .flat_map(|byte| format!("{byte:02x}").into_bytes())
                .map(char::from),
        )
        .chain(std::iter::once('"'))
        .collect();
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes());
    let cache = if path.starts_with(IMMUTABLE_FOLDER) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { file.data.into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    if let Ok(kind) = HeaderValue::from_str(file.metadata.mimetype()) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    response
}
