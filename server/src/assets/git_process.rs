//! The `git` program in a bare repository of its own: an environment with nothing of ours in it, an address that is
//! pinned, a limit on what it writes, and nothing of it left when it ends or is given up. Settings go by the environment
//! and not by arguments, because arguments can be seen by everybody on the machine.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use http::HeaderMap;
use millrace_engine::assets::{Fault, Upstream};
use millrace_engine::error::Error;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use url::Url;

use super::sinks::disk;

/// How often the size of a repository is looked at while git writes.
const LOOK: Duration = Duration::from_millis(200);
/// The longest message of git's that is passed on, in characters.
const MESSAGE_MAX: usize = 500;
/// Headers that git sends itself.
const OWN_HEADERS: [&str; 3] = ["accept", "accept-encoding", "user-agent"];

/// A bare repository.
pub struct Git {
    folder: TempDir,
    settings: Vec<(String, String)>,
    max_bytes: u64,
}

/// A running program that is killed with all its children when this is dropped.
pub struct Running {
    /// The program.
    pub child: Child,
}

impl Git {
    /// An empty repository that can fetch from one place.
    pub async fn new(base: &Url, addresses: &[SocketAddr], headers: &HeaderMap, max_bytes: u64) -> Result<Self, Fault> {
        let folder = tokio::task::spawn_blocking(|| tempfile::Builder::new().prefix("millrace-git-").tempdir());
        let folder = folder.await.map_err(Error::internal)?.map_err(disk)?;
        let git = Self { folder, settings: settings(base, addresses, headers), max_bytes };
        git.run(&["init", "--quiet", "--bare", "--template=", "."]).await?;
        Ok(git)
    }

    /// Runs git to its end; what it printed.
    pub async fn run(&self, arguments: &[&str]) -> Result<Vec<u8>, Fault> {
        let mut running = self.start(arguments, Stdio::null())?;
        let (out, err) = (running.child.stdout.take(), running.child.stderr.take());
        let work = async {
            let (out, err) = tokio::join!(all(out), all(err));
            running.child.wait().await.map(|status| (status, out, err)).map_err(disk)
        };
        tokio::select! {
            ended = work => {
                let (status, out, err) = ended?;
                if status.success() { Ok(out) } else { Err(failed(arguments, &err)) }
            }
            fault = self.too_large() => Err(fault),
        }
    }

    /// Starts git, with pipes.
    pub fn start(&self, arguments: &[&str], stdin: Stdio) -> Result<Running, Fault> {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        for name in ["PATH", "SystemRoot", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", self.folder.path())
            .env("LC_ALL", "C")
            .env("GIT_DIR", ".")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", if cfg!(windows) { "NUL" } else { "/dev/null" })
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "http:https")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_CONFIG_COUNT", self.settings.len().to_string());
        for (index, (key, value)) in self.settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), key).env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(|error| {
            Fault::Ours(Error::Unavailable(format!(
                "the program git, which fetches repositories, can't be run: {error}"
            )))
        })?;
        Ok(Running { child })
    }

    /// Ends when the repository has become too large.
    async fn too_large(&self) -> Fault {
        let mut every = tokio::time::interval(LOOK);
        loop {
            every.tick().await;
            let folder = self.folder.path().to_owned();
            let size = tokio::task::spawn_blocking(move || size_of(&folder)).await.unwrap_or(0);
            if size > self.max_bytes {
                let message = format!("the repository has more than {} bytes, which is the limit", self.max_bytes);
                return Fault::upstream(Upstream::Exhausted, message);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Those that git started would outlive it. A group that is gone already is fine.
        #[cfg(unix)]
        if let Some(group) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

fn settings(base: &Url, addresses: &[SocketAddr], headers: &HeaderMap) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = [
        ("protocol.allow", "never"),
        ("protocol.http.allow", "always"),
        ("protocol.https.allow", "always"),
        ("http.followRedirects", "false"),
        ("http.proxy", ""),
        ("credential.helper", ""),
        ("core.askPass", ""),
        ("core.hooksPath", "/dev/null"),
        ("core.fsmonitor", "false"),
        ("fetch.fsckObjects", "true"),
        ("transfer.bundleURI", "false"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        ("http.lowSpeedLimit", "1"),
        ("http.lowSpeedTime", "60"),
        ("safe.directory", "*"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    // libcurl asks no resolver for this host and port: the addresses are those that were checked.
    if let Some(host) = base.domain() {
        let list = addresses.iter().map(|address| match address.ip() {
            std::net::IpAddr::V4(v4) => v4.to_string(),
            std::net::IpAddr::V6(v6) => format!("[{v6}]"),
        });
        let list: Vec<_> = list.collect();
        let port = base.port_or_known_default().unwrap_or(80);
        settings.push(("http.curloptResolve".into(), format!("{host}:{port}:{}", list.join(","))));
    }
    for (name, value) in headers.iter().filter(|(name, _)| !OWN_HEADERS.contains(&name.as_str())) {
        if let Ok(value) = value.to_str() {
            settings.push(("http.extraHeader".into(), format!("{name}: {value}")));
        }
    }
    settings
}

fn failed(arguments: &[&str], err: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(err);
    let message: String = text.trim().chars().take(MESSAGE_MAX).collect();
    let missing = ["couldn't find remote ref", "not our ref", "remote ref does not exist"];
    let kind = if missing.iter().any(|part| text.contains(part)) {
        Upstream::NotFound
    } else if text.contains("Authentication failed") || text.contains("could not read Username") {
        Upstream::Denied
    } else {
        Upstream::Aborted
    };
    Fault::upstream(kind, format!("git {}: {message}", arguments.first().unwrap_or(&"")))
}

async fn all(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> Vec<u8> {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What was read before a fault is what there is.
        let _ = pipe.read_to_end(&mut bytes).await;
    }
    bytes
}

fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
