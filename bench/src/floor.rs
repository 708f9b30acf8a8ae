//! A server that does next to nothing: what no server can be faster than. It answers an empty call, and streams a file
//! the plain way. Runs as a process of its own, as a server does. Knows nothing of what is measured with it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use futures::{TryStreamExt, stream};
use http_body_util::{BodyExt, Full};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// A call that takes and answers nothing.
pub const EMPTY_METHOD: &str = "/millrace.bench.Floor/Empty";
/// The file.
pub const FILE_PATH: &str = "/file";
/// How much of the file is read at a time, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// Serves until it is killed.
#[expect(clippy::disallowed_methods, reason = "plain axum, as anyone has it, is what is measured")]
pub async fn serve(file: &Path) -> Result<()> {
    let router = Router::new().route(EMPTY_METHOD, post(empty)).route(FILE_PATH, get(send)).with_state(file.to_owned());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let without_delay = listener.tap_io(|stream| {
        // A connection without it only answers later.
        let _refused = stream.set_nodelay(true);
    });
    Ok(axum::serve(without_delay, router).await?)
}

async fn empty(request: Body) -> impl IntoResponse {
    /// A message without compression, of no bytes.
    const EMPTY_MESSAGE: &[u8] = &[0; 5];
    let _read = request.collect().await;
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from_static(EMPTY_MESSAGE)).with_trailers(async { Some(Ok(trailers)) });
    ([(header::CONTENT_TYPE, "application/grpc")], Body::new(body))
}

async fn send(State(file): State<PathBuf>) -> Result<Body, StatusCode> {
    let file = File::open(file).await.map_err(|_| StatusCode::NOT_FOUND)?;
    let pieces = stream::try_unfold(file, |mut file| async {
        let mut piece = Vec::with_capacity(READ_BYTES);
        let read = (&mut file).take(READ_BYTES as u64).read_to_end(&mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
    });
    Ok(Body::from_stream(pieces.into_stream()))
}
