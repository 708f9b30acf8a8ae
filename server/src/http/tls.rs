//! TLS by rustls. The files are looked at now and then and read again when they change, so that a renewed certificate
//! needs no restart.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::TlsFiles;

/// How often the files are looked at, in milliseconds.
const LOOK_MS: u64 = 2_000;

/// The TLS of a port.
#[derive(Clone)]
pub struct Tls {
    current: watch::Receiver<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files and keeps looking at them as long as the port lives.
    pub fn open(files: TlsFiles) -> Result<Self> {
        let (tell, current) = watch::channel(load(&files)?);
        tokio::spawn(async move {
            let mut seen = changed_at(&files);
            let mut every = tokio::time::interval(Duration::from_millis(LOOK_MS));
            while !tell.is_closed() {
                every.tick().await;
                let now = changed_at(&files);
                if now == seen {
                    continue;
                }
                match load(&files) {
                    Ok(config) => {
                        tell.send_replace(config);
                        seen = now;
                        tracing::info!("the TLS certificate was read again");
                    }
                    // Certificate and key are replaced one after the other: the next look may find them fitting.
                    Err(error) => {
                        tracing::warn!(error = format!("{error:#}"), "the changed TLS files can't be used yet");
                    }
                }
            }
        });
        Ok(Self { current })
    }

    /// The handshake, with the certificate of this moment.
    pub async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.borrow());
        TlsAcceptor::from(config).accept(stream).await
    }
}

fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("--tls-cert {} is not a PEM certificate chain", files.cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("--tls-key {} is not a PEM key", files.key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the TLS certificate and key do not fit")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn changed_at(files: &TlsFiles) -> (Option<SystemTime>, Option<SystemTime>) {
    let at = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    (at(&files.cert), at(&files.key))
}
