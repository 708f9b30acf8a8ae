//! The connection to a server: address, token, TLS. Knows how calls are sent, not which are made.

use std::{fs, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use clap::Args;
use connectrpc::client::{ClientBody, ClientConfig, ServiceTransport, full_body};
use http::{HeaderValue, Request, Response, Uri, header::AUTHORIZATION};
use http_body_util::BodyExt;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use millrace_proto::millrace::v1::{LogServiceClient, PipelineServiceClient, RunnerServiceClient};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::exit::{CliError, Exit};

/// Where a server is looked for when nothing is said.
pub const SERVER_DEFAULT: &str = "http://localhost:8080";
/// How long a connection may take to stand.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The largest message taken: a run of many jobs is told whole.
const MESSAGE_MAX_BYTES: usize = 64 << 20;
/// The largest answer to a plain GET (`/version`).
const PLAIN_ANSWER_MAX_BYTES: usize = 64 << 10;

/// Which server, and who is calling.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// The server's address
    #[arg(long, value_name = "URL", env = "MILLRACE_SERVER", default_value = SERVER_DEFAULT)]
    pub server: String,
    /// The token to call with (better in MILLRACE_TOKEN: a command line can be seen by others)
    #[arg(long, env = "MILLRACE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Certificates (PEM) to trust besides the system's, for a server with one of its own
    #[arg(long, value_name = "FILE", env = "MILLRACE_CA_CERT")]
    pub ca_cert: Option<PathBuf>,
}

/// What the calls go through.
pub type Transport = ServiceTransport<Client<HttpsConnector<HttpConnector>, ClientBody>>;

/// A server to call. Connections are made when the first call needs one.
#[derive(Clone)]
pub struct Server {
    url: String,
    host: String,
    transport: Transport,
    config: ClientConfig,
}

/// Which version of HTTP a connection begins with; TLS negotiates among those allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1 without TLS; whatever the server likes best with it.
    Any,
    /// HTTP/1.1 alone.
    One,
    /// HTTP/2 alone, without an upgrade ("prior knowledge").
    Two,
}

impl Server {
    /// Prepares for calls; nothing is sent yet.
    pub fn new(args: &ServerArgs) -> Result<Self, CliError> {
        Self::speaking(args, Http::Any)
    }

    /// The same, with a version of HTTP.
    pub fn speaking(args: &ServerArgs, version: Http) -> Result<Self, CliError> {
        let (url, uri) = parse_url(&args.server)?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let connector = connector(args, version)?;
        let transport = ServiceTransport::new(
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .http2_only(version == Http::Two)
                .build(connector),
        );
        let mut config = ClientConfig::new(uri).with_default_max_message_size(MESSAGE_MAX_BYTES);
        if let Some(token) = &args.token {
            config = config.with_default_header(AUTHORIZATION, bearer(token)?);
        }
        Ok(Self { url, host, transport, config })
    }

    /// The address without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the server is on this machine, as far as its name tells.
    pub fn is_loopback(&self) -> bool {
        let name = self.host.to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The page of a run.
    pub fn run_url(&self, run_id: &str) -> String {
        format!("{}/runs/{run_id}", self.url)
    }

    /// Pipelines and runs.
    pub fn pipelines(&self) -> PipelineServiceClient<Transport> {
        PipelineServiceClient::new(self.transport.clone(), self.config.clone())
    }

    /// Logs.
    pub fn logs(&self) -> LogServiceClient<Transport> {
        LogServiceClient::new(self.transport.clone(), self.config.clone())
    }

    /// Administration of runners.
    pub fn runners(&self) -> RunnerServiceClient<Transport> {
        RunnerServiceClient::new(self.transport.clone(), self.config.clone())
    }

    /// A call's error, for people.
    pub fn explain(&self, error: &connectrpc::ConnectError) -> CliError {
        CliError::from_call(&self.url, error)
    }

    /// A plain GET of a small thing, without a token.
    pub async fn get(&self, path: &str) -> Result<Response<Bytes>, String> {
        use connectrpc::client::ClientTransport;
        let request = Request::get(format!("{}{path}", self.url))
            .body(full_body(Bytes::new()))
            .map_err(|error| error.to_string())?;
        let response = tokio::time::timeout(CONNECT_MAX, self.transport.send(request))
            .await
            .map_err(|_| format!("no answer within {} s", CONNECT_MAX.as_secs()))?
            .map_err(|error| innermost(&error))?;
        let (head, body) = response.into_parts();
        let body = http_body_util::Limited::new(body, PLAIN_ANSWER_MAX_BYTES)
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn bearer(token: &str) -> Result<HeaderValue, CliError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .map_err(|_| CliError::usage("the token has characters that no token has").next("copy it again"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `localhost:8080`, `http://host/` and the like, without a slash at the end.
fn parse_url(text: &str) -> Result<(String, Uri), CliError> {
    let wrong =
        |why: &str| CliError::usage(format!("--server {text}: {why}")).next(format!("write it like {SERVER_DEFAULT}"));
    if text.ends_with("://") {
        return Err(wrong("has no host"));
    }
    let trimmed = text.trim().trim_end_matches('/');
    let url = if trimmed.contains("://") { trimmed.to_owned() } else { format!("http://{trimmed}") };
    let uri: Uri = url.parse().map_err(|_| wrong("not an address"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(wrong("neither http:// nor https://")),
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("has no host"));
    }
    if uri.query().is_some() {
        return Err(wrong("has a query"));
    }
    Ok((url, uri))
}

fn connector(args: &ServerArgs, version: Http) -> Result<HttpsConnector<HttpConnector>, CliError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_MAX));
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls(args)?).https_or_http();
    Ok(match version {
        Http::Any => builder.enable_all_versions().wrap_connector(http),
        Http::One => builder.enable_http1().wrap_connector(http),
        Http::Two => builder.enable_http2().wrap_connector(http),
    })
}

fn tls(args: &ServerArgs) -> Result<rustls::ClientConfig, CliError> {
    let mut roots = rustls::RootCertStore::empty();
    if args.server.trim().starts_with("https://") {
        // A certificate of the system's that doesn't parse is not the caller's problem; none at all shows at the handshake.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(path) = &args.ca_cert {
        let wrong = |why: String| CliError::usage(format!("--ca-cert {}: {why}", path.display()));
        let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(wrong("has no certificate in PEM form".to_owned()));
        }
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| CliError::new(Exit::Internal, format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<Server, CliError> {
        Server::new(&ServerArgs { server: url.to_owned(), token: None, ca_cert: None })
    }

    #[test]
    fn addresses_are_completed() {
        assert_eq!(server("localhost:9000/").unwrap().url(), "http://localhost:9000");
        assert_eq!(server("https://ci.example.org/").unwrap().url(), "https://ci.example.org");
        assert_eq!(server("http://[::1]:8080").unwrap().run_url("7"), "http://[::1]:8080/runs/7");
    }

    #[test]
    fn wrong_addresses_are_usage_errors() {
        for url in ["ftp://x", "http://", "http://x?y=1", "a b"] {
            let error = server(url).err().unwrap_or_else(|| panic!("{url} was taken"));
            assert_eq!(error.exit, Exit::Usage, "{url}");
        }
    }

    #[test]
    fn loopback_is_told_by_name() {
        for url in ["localhost", "http://127.0.0.1:8080", "http://[::1]:8080", "http://dev.localhost"] {
            assert!(server(url).unwrap().is_loopback(), "{url}");
        }
        for url in ["ci.example.org", "http://10.0.0.1", "http://localhost.example.org"] {
            assert!(!server(url).unwrap().is_loopback(), "{url}");
        }
    }

    #[test]
    fn a_token_with_a_line_break_is_refused() {
        let args = ServerArgs { server: SERVER_DEFAULT.into(), token: Some("a\nb".into()), ca_cert: None };
        assert_eq!(Server::new(&args).err().map(|error| error.exit), Some(Exit::Usage));
    }
}
