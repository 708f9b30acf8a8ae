//! Configuration: read whole and resolved before a port opens. A flag wins over its variable, that over the file, that
//! over the default.

mod assets;
mod cache;
mod execution;
mod human;
mod logs;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use millrace_engine::scheduler::LEASE_MS;
use serde::Deserialize;

pub use assets::{AssetConfig, RawAssetConfig};
pub use cache::{CacheConfig, RawCacheConfig};
pub use execution::{ExecutionConfig, RawExecutionConfig, Unknown};
pub use logs::{LogArchive, LogConfig, RawLogConfig};

/// Where a server listens when nothing is said.
const LISTEN_DEFAULT: &str = "127.0.0.1:8080";
/// Where the data is when nothing is said.
const DATA_DEFAULT: &str = "data";

/// What can be set, unresolved. In the file the names are the same, with underscores.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// The address to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "MILLRACE_LISTEN", value_name = "ADDR")]
    pub listen: Option<String>,
    /// The folder for the database, logs and keys [default: data]
    #[arg(long, env = "MILLRACE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The database: sqlite:PATH [default: millrace.db in the data folder]
    #[arg(long, env = "MILLRACE_DATABASE", value_name = "URL")]
    pub database: Option<String>,
    /// The certificate chain for TLS, PEM; read again when it changes
    #[arg(long, env = "MILLRACE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The key for TLS, PEM
    #[arg(long, env = "MILLRACE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Listen beyond loopback without TLS: the network is trusted, or an ingress in front does TLS
    #[arg(long, env = "MILLRACE_PLAIN_HTTP")]
    pub plain_http: bool,
    /// A reusable registration token for runners, for provisioning
    #[arg(long, env = "MILLRACE_REGISTRATION_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub registration_token: Option<String>,
    /// How long a runner may be silent before its job is given to another, 2 to 600 [default: 45]
    #[arg(long, env = "MILLRACE_LEASE_SECONDS", value_name = "SECONDS")]
    pub lease_seconds: Option<u32>,
    /// The remote cache.
    #[command(flatten)]
    pub cache: RawCacheConfig,
    /// Remote execution.
    #[command(flatten)]
    pub execution: RawExecutionConfig,
    /// The log room.
    #[command(flatten)]
    pub logs: RawLogConfig,
}

/// A server's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    /// The SQLite file.
    pub database: PathBuf,
    /// TLS, if any.
    pub tls: Option<TlsFiles>,
    /// A preset registration token.
    pub registration_token: Option<String>,
    /// Anybody may do anything: only ever on loopback.
    pub open: bool,
    /// How long a runner may be silent before its job is given to another, in milliseconds.
    pub lease_ms: i64,
    /// The remote cache.
    pub cache: CacheConfig,
    /// Remote execution.
    pub execution: ExecutionConfig,
    /// The log room.
    pub logs: LogConfig,
}

/// The files of TLS.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Key, PEM.
    pub key: PathBuf,
}

impl RawConfig {
    /// Fills what is not set from a TOML file.
    pub fn or_file(self, path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        let file: Self =
            toml::from_str(&text).with_context(|| format!("the configuration {} is not right", path.display()))?;
        Ok(Self {
            listen: self.listen.or(file.listen),
            data: self.data.or(file.data),
            database: self.database.or(file.database),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            plain_http: self.plain_http || file.plain_http,
            registration_token: self.registration_token.or(file.registration_token),
            lease_seconds: self.lease_seconds.or(file.lease_seconds),
            cache: self.cache.or(file.cache),
            execution: self.execution.or(file.execution),
            logs: self.logs.or(file.logs),
        })
    }

    /// Checks everything. `open`: for `dev`, which never leaves loopback.
    pub fn resolve(self, open: bool) -> Result<Config> {
        let listen = address(self.listen.as_deref().unwrap_or(LISTEN_DEFAULT))?;
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            (Some(_), None) => bail!("--tls-cert needs --tls-key"),
            (None, Some(_)) => bail!("--tls-key needs --tls-cert"),
        };
        if open && !listen.ip().is_loopback() {
            bail!(
                "`millrace dev` is open to everybody who reaches it, so it listens on loopback only, not on {listen}; use `millrace serve`"
            );
        }
        if !open && !listen.ip().is_loopback() && tls.is_none() && !self.plain_http {
            bail!(
                "{listen} is reached from other machines, and without TLS tokens would cross the network in the clear; \
                 give --tls-cert and --tls-key, or --plain-http when the network is trusted or an ingress does TLS"
            );
        }
        if self.registration_token.as_ref().is_some_and(|token| token.len() < 16) {
            bail!("MILLRACE_REGISTRATION_TOKEN is shorter than 16 characters");
        }
        let lease_ms = match self.lease_seconds {
            None => LEASE_MS,
            Some(seconds @ 2..=600) => i64::from(seconds) * 1_000,
            Some(seconds) => bail!("--lease-seconds {seconds} is not between 2 and 600"),
        };
        let data = self.data.unwrap_or_else(|| DATA_DEFAULT.into());
        let database = database(self.database.as_deref(), &data)?;
        Ok(Config {
            listen,
            data,
            database,
            tls,
            registration_token: self.registration_token,
            open,
            lease_ms,
            cache: self.cache.resolve()?,
            execution: self.execution.resolve()?,
            logs: self.logs.resolve()?,
        })
    }
}

fn address(text: &str) -> Result<SocketAddr> {
    let mut found = text.to_socket_addrs().with_context(|| format!("--listen {text:?} is not HOST:PORT"))?;
    // `localhost` may be ::1 first; what is printed is what is bound either way.
    found.next().with_context(|| format!("--listen {text:?} names no address"))
}

/// The SQLite file a database URL names.
pub fn database(url: Option<&str>, data: &Path) -> Result<PathBuf> {
    match url {
        None => Ok(data.join(crate::app::DATABASE_FILE)),
        Some(url) if url.starts_with("postgres:") || url.starts_with("postgresql:") => {
            bail!("--database: PostgreSQL is not supported yet; use sqlite:PATH")
        }
        Some(url) => match url.strip_prefix("sqlite:") {
            Some(path) => Ok(path.strip_prefix("//").unwrap_or(path).into()),
            None => bail!("--database {url:?} is not sqlite:PATH"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(listen: &str) -> RawConfig {
        RawConfig { listen: Some(listen.into()), ..Default::default() }
    }

    #[test]
    fn nothing_listens_beyond_loopback_in_the_clear_unless_told_so() {
        let error = raw("0.0.0.0:0").resolve(false).unwrap_err().to_string();
        assert!(error.contains("--plain-http") && error.contains("--tls-cert"), "{error}");
        assert!(RawConfig { plain_http: true, ..raw("0.0.0.0:0") }.resolve(false).is_ok());
        assert!(raw("127.0.0.1:0").resolve(false).is_ok());
        let error = RawConfig { plain_http: true, ..raw("0.0.0.0:0") }.resolve(true).unwrap_err().to_string();
        assert!(error.contains("loopback only"), "{error}");
    }

    #[test]
    fn a_database_that_is_not_there_yet_is_named() {
        let error = database(Some("postgres://db/x"), Path::new("d")).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL is not supported yet"), "{error}");
        assert_eq!(database(Some("sqlite:///var/x.db"), Path::new("d")).unwrap(), PathBuf::from("/var/x.db"));
        assert_eq!(database(None, Path::new("d")).unwrap(), Path::new("d").join("millrace.db"));
    }

    #[test]
    fn half_of_tls_is_an_error() {
        let raw = RawConfig { tls_cert: Some("a.pem".into()), ..raw("127.0.0.1:0") };
        assert_eq!(raw.resolve(false).unwrap_err().to_string(), "--tls-cert needs --tls-key");
    }

    #[test]
    fn the_file_fills_what_is_not_set_and_knows_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("millrace.toml");
        std::fs::write(&path, "listen = \"127.0.0.1:1\"\ndata = \"there\"\n").unwrap();
        let merged = raw("127.0.0.1:2").or_file(&path).unwrap();
        assert_eq!((merged.listen.as_deref(), merged.data), (Some("127.0.0.1:2"), Some("there".into())));
        std::fs::write(&path, "lisen = \"x\"\n").unwrap();
        let error = format!("{:#}", RawConfig::default().or_file(&path).unwrap_err());
        assert!(error.contains("lisen"), "{error}");
    }
}
