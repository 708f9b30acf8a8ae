//! One connection to one checked address: resolves a name, looks at every address before it is dialled, and dials that
//! address and no other. No pool, no proxy, no second look-up: what was checked is what is connected to.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use millrace_engine::assets::{Fault, Upstream};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::addresses::AllowList;

/// How long a name may take to be resolved, an address to be connected to, TLS to be agreed on.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a server may take to begin its answer.
const ANSWER_MAX: Duration = Duration::from_mins(1);
/// The largest head of an answer, and the most that is read at once, in bytes.
const READ_BUFFER_MAX_BYTES: usize = 512 * 1024;

/// Dials.
#[derive(Clone)]
pub struct Dialer {
    allow: Arc<AllowList>,
    /// Made when it is needed: reading the system's certificates takes time and memory.
    tls: Arc<OnceLock<TlsConnector>>,
}

/// An answer whose body is still to be read. The connection is closed when it is dropped.
pub struct Answer {
    /// Status, headers, body.
    pub response: http::Response<Incoming>,
    /// Ends with it.
    pub connection: tokio_util::task::AbortOnDropHandle<()>,
}

impl Dialer {
    /// With the system's certificates.
    pub fn new(allow: AllowList) -> Self {
        Self { allow: Arc::new(allow), tls: Arc::default() }
    }

    fn tls() -> TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        // A certificate of the system's that doesn't parse is nobody's problem; none at all shows at the handshake.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let mut config =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring has what TLS 1.2 and 1.3 need")
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsConnector::from(Arc::new(config))
    }

    /// The addresses of a URL's host that may be dialled, in the order of the resolver.
    pub async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, Fault> {
        let host = url.host().ok_or_else(|| Fault::upstream(Upstream::NotFound, format!("{url} has no host")))?;
        let port = url.port_or_known_default().unwrap_or(80);
        let name = host.to_string();
        let found: Vec<SocketAddr> = match host {
            Host::Ipv4(address) => vec![(address, port).into()],
            Host::Ipv6(address) => vec![(address, port).into()],
            Host::Domain(domain) => {
                let looked = tokio::time::timeout(CONNECT_MAX, tokio::net::lookup_host((domain, port))).await;
                let looked = looked.map_err(|_| unavailable(url, "its name was not resolved in time"))?;
                looked.map_err(|error| unavailable(url, &format!("its name is not resolved: {error}")))?.collect()
            }
        };
        let checked: Vec<_> =
            found.iter().copied().filter(|address| self.allow.allows(&name, port, address.ip())).collect();
        if checked.is_empty() {
            let message = format!(
                "{name} is at an address that is not public, and this server's configuration does not allow it (--asset-allow)"
            );
            return Err(Fault::upstream(Upstream::Denied, message));
        }
        Ok(checked)
    }

    /// Sends a GET to a URL whose addresses were checked, and waits for the head of the answer.
    pub async fn get(&self, url: &Url, headers: http::HeaderMap) -> Result<Answer, Fault> {
        let addresses = self.addresses(url).await?;
        let stream = connect(url, &addresses).await?;
        if url.scheme() == "https" {
            let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(name).map_err(|error| unavailable(url, &error.to_string()))?;
            let agreed = tokio::time::timeout(CONNECT_MAX, self.tls.get_or_init(Self::tls).connect(name, stream)).await;
            let agreed = agreed.map_err(|_| unavailable(url, "TLS was not agreed on in time"))?;
            let stream = agreed.map_err(|error| unavailable(url, &format!("TLS: {error}")))?;
            send(url, headers, stream).await
        } else {
            send(url, headers, stream).await
        }
    }
}

async fn connect(url: &Url, addresses: &[SocketAddr]) -> Result<TcpStream, Fault> {
    let mut last = "no address".to_owned();
    for address in addresses {
        match tokio::time::timeout(CONNECT_MAX, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // An old kernel that can't is slower, not wrong.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("no connection within {} s", CONNECT_MAX.as_secs()),
        }
    }
    Err(unavailable(url, &last))
}

async fn send<S>(url: &Url, headers: http::HeaderMap, stream: S) -> Result<Answer, Fault>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(READ_BUFFER_MAX_BYTES);
    let (mut sender, connection) = builder
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|error| unavailable(url, &error.to_string()))?;
    let connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
        // What goes wrong shows in the answer and in its body.
        let _ = connection.await;
    }));
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = http::Request::get(target).body(Empty::new()).map_err(|_| unavailable(url, "no such address"))?;
    *request.headers_mut() = headers;
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let host = http::HeaderValue::from_str(host).map_err(|_| unavailable(url, "no such host"))?;
    request.headers_mut().insert(http::header::HOST, host);
    let answered = tokio::time::timeout(ANSWER_MAX, sender.send_request(request)).await;
    let answered = answered.map_err(|_| unavailable(url, &format!("no answer within {} s", ANSWER_MAX.as_secs())))?;
    let response = answered.map_err(|error| unavailable(url, &error.to_string()))?;
    Ok(Answer { response, connection })
}

/// A fault that may be another one's at another time.
fn unavailable(url: &Url, why: &str) -> Fault {
    Fault::upstream(Upstream::Unavailable, format!("{}: {why}", shown(url)))
}

/// A URL without what is secret in it.
pub fn shown(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), &url[url::Position::BeforeHost..url::Position::AfterPort], url.path())
}
