//! The HTTP client: HTTP/1.1 for http://, HTTP/2 or HTTP/1.1 with TLS for https://, certificates checked against the
//! system's store. Knows nothing of the calls made over it.

use std::sync::Arc;
use std::time::Duration;

use connectrpc::ConnectError;
use connectrpc::client::{BoxFuture, ClientBody, ClientTransport};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls_client::crypto::CryptoProvider;
use rustls_client::{ClientConfig, RootCertStore};

use crate::error::Error;

/// How long a TCP connection may take to be made.
pub const CONNECT_TIMEOUT_SECONDS: u64 = 10;
/// How long an idle connection is kept for the next call.
pub const IDLE_CONNECTION_SECONDS: u64 = 60;

/// A pool of connections to the server.
#[derive(Clone)]
pub struct Transport {
    client: Client<HttpsConnector<HttpConnector>, ClientBody>,
}

impl Transport {
    /// A pool for servers at http:// and https://.
    pub fn new() -> Result<Self, Error> {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_connect_timeout(Some(Duration::from_secs(CONNECT_TIMEOUT_SECONDS)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(IDLE_CONNECTION_SECONDS))
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Ok(Self { client })
    }
}

impl ClientTransport for Transport {
    type ResponseBody = hyper::body::Incoming;
    type Error = ConnectError;

    fn send(
        &self,
        request: http::Request<ClientBody>,
    ) -> BoxFuture<'static, Result<http::Response<Self::ResponseBody>, Self::Error>> {
        let response = self.client.request(request);
        Box::pin(async move {
            let response =
                response.await.map_err(|error| ConnectError::unavailable(describe(&error)).with_source(error))?;
            Ok(response)
        })
    }
}

fn tls() -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // A certificate that cannot be read is not trusted; the others still are.
        let _unreadable = roots.add(certificate);
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Usage(format!("tls: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(not(target_os = "macos"))]
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls_client::crypto::ring::default_provider())
}

#[cfg(target_os = "macos")]
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls_graviola::default_provider())
}

/// The chain of causes: hyper's own text only says "client error (Connect)".
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = next.source();
    }
    text
}
