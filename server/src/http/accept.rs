//! The accept loop: HTTP/1.1 and HTTP/2 on one port, with the timers, windows and caps that `axum::serve` does not set,
//! and an end with a deadline. Knows nothing of routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::Service;

use super::tls::Tls;
use crate::app::App;

/// The most connections at once.
const CONNECTIONS_MAX: usize = 16_384;
/// How long a connection may take to bring its first request, and HTTP/1.1 to bring each header, in milliseconds.
const HEADER_READ_MS: u64 = 15_000;
/// How long a TLS handshake may take, in milliseconds.
const TLS_HANDSHAKE_MS: u64 = 10_000;
/// How often a quiet HTTP/2 connection is asked whether it lives, and how long it may take to answer, in milliseconds.
const KEEP_ALIVE_MS: u64 = 20_000;
/// The most streams of one HTTP/2 connection at once.
const STREAMS_MAX: u32 = 1_024;
/// The largest HTTP/2 frame, in bytes: larger than the default for uploads' sake.
const FRAME_MAX_BYTES: u32 = 256 * 1024;
/// The flow-control window of a stream, in bytes.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// The flow-control window of a connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The largest request header, in bytes.
const HEADER_MAX_BYTES: u32 = 64 * 1024;
/// The most streams that a client may have reset before the server looked at them (rapid reset).
const RESETS_MAX: usize = 256;
/// How long requests may take to end once the server stops, in milliseconds.
const DRAIN_MS: u64 = 10_000;

/// A bound port.
pub struct Port {
    listener: TcpListener,
    tls: Option<Tls>,
}

impl Port {
    /// Binds an address; the error names it.
    pub async fn bind(address: SocketAddr, tls: Option<Tls>) -> Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                anyhow::anyhow!(
                    "port {} is busy: something else listens on {address}; give another with --listen",
                    address.port()
                )
            }
            _ => anyhow::Error::new(error).context(format!("cannot listen on {address}")),
        })?;
        Ok(Self { listener, tls })
    }

    /// The real address.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().context("the port has no address")
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// Serves until `stop` ends, then lets requests end for a while.
pub async fn serve(port: Port, app: Arc<App>, router: Router, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = port.listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: others will end.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            tracing::warn!(limit = CONNECTIONS_MAX, "a connection was refused: too many");
            continue;
        };
        let (app, router, watcher, tls) = (Arc::clone(&app), router.clone(), graceful.watcher(), port.tls.clone());
        tokio::spawn(async move {
            let _open = (app.metrics.connection(), permit);
            connection(stream, tls, router, watcher).await;
        });
    }
    drop(port);
    app.begin_stop();
    if timeout(Duration::from_millis(DRAIN_MS), graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in {DRAIN_MS} ms; their connections are closed");
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<Tls>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // Small streamed answers must not wait for the client's acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    match tls {
        None => requests(stream, router, watcher).await,
        Some(tls) => match timeout(Duration::from_millis(TLS_HANDSHAKE_MS), tls.accept(stream)).await {
            Ok(Ok(stream)) => requests(stream, router, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        },
    }
}

async fn requests<S>(stream: S, router: Router, watcher: hyper_util::server::graceful::Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let begun = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&begun);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        router.clone().call(request.map(Body::new))
    });
    let builder = builder();
    let serving = watcher.watch(builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned());
    let mut serving = std::pin::pin!(serving);
    // The library's own timers begin only when it knows the protocol; a client that sends half a preface is ended here.
    let first = timeout(Duration::from_millis(HEADER_READ_MS), &mut serving).await;
    let served = match first {
        Ok(served) => served,
        Err(_) if !begun.load(Ordering::Relaxed) => return,
        Err(_) => serving.await,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEADER_READ_MS))
        .max_buf_size(HEADER_MAX_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_millis(KEEP_ALIVE_MS))
        .keep_alive_timeout(Duration::from_millis(KEEP_ALIVE_MS))
        .max_concurrent_streams(STREAMS_MAX)
        .max_frame_size(FRAME_MAX_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_MAX_BYTES)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX);
    builder
}
