//! HTTPS with files that are replaced while the server runs.

use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use millrace_server::config::TlsFiles;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::app::{Options, TestApp, within};

/// Writes a new self-signed certificate and its key; the certificate.
fn new_certificate(files: &TlsFiles) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&files.cert, made.cert.pem()).expect("written");
    std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
    CertificateDer::from_pem_file(&files.cert).expect("PEM")
}

fn files(folder: &Path) -> TlsFiles {
    TlsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") }
}

/// Connects, trusting this certificate alone.
async fn connect(
    test: &TestApp,
    trusted: &CertificateDer<'static>,
    alpn: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(test.address()).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    within("the handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

#[tokio::test]
async fn both_versions_of_http_over_tls_and_a_new_certificate_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(folder.path());
    let first = new_certificate(&files);
    let test = TestApp::start(Options { tls: Some(files.clone()), ..Options::default() }).await;
    assert!(test.url.starts_with("https://"), "{}", test.url);

    let stream = connect(&test, &first, b"h2").await.expect("a connection");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(connection);
    let request =
        http::Request::get("https://localhost/healthz").body(Full::<bytes::Bytes>::default()).expect("a request");
    let answer = within("an answer", client.send_request(request)).await.expect("an answer");
    assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "ok\n");

    let mut stream = connect(&test, &first, b"http/1.1").await.expect("a connection");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    // The session's cookie is for HTTPS only.
    let request = b"DELETE /api/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.expect("text");
    assert!(answer.starts_with("HTTP/1.1 204") && answer.contains("; Secure"), "{answer}");

    // Half a change is no change: the old certificate goes on.
    std::fs::write(&files.key, "not a key").expect("written");
    assert!(connect(&test, &first, b"h2").await.is_ok());
    let second = new_certificate(&files);
    within("the new certificate", async {
        let mut look = tokio::time::interval(std::time::Duration::from_millis(100));
        while connect(&test, &second, b"h2").await.is_err() {
            look.tick().await;
        }
    })
    .await;
    assert!(connect(&test, &first, b"h2").await.is_err(), "the old one is not shown any more");
    drop(client);
    test.close().await;
}

#[tokio::test]
async fn plain_http_on_a_tls_port_gets_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(folder.path());
    let certificate = new_certificate(&files);
    let test = TestApp::start(Options { tls: Some(files), ..Options::default() }).await;
    let mut stream = TcpStream::connect(test.address()).await.expect("a connection");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ = within("the end", stream.read_to_end(&mut answer)).await;
    assert!(!String::from_utf8_lossy(&answer).contains("ok"), "{answer:?}");
    assert!(connect(&test, &certificate, b"h2").await.is_ok());
    test.close().await;
}
