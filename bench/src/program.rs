//! A server process: started, listened to until it says where it listens, killed. Knows nothing of what it serves.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What a server prints before its address.
const LISTENING: &str = "listening on ";
/// How long a server may take to begin.
const BEGIN_MAX_SECONDS: u64 = 60;

/// A running `millrace serve`. Killed when it is dropped.
pub struct ServerProgram {
    /// `http://127.0.0.1:1234`.
    pub url: String,
    child: Child,
}

impl ServerProgram {
    /// Starts a prepared command and waits for its address.
    pub async fn start(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", command.as_std().get_program().display()))?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let begun = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.strip_prefix(LISTENING) {
                    return Ok(url.to_owned());
                }
            }
            bail!("the server ended before it listened")
        };
        let url = tokio::time::timeout(Duration::from_secs(BEGIN_MAX_SECONDS), begun)
            .await
            .with_context(|| format!("the server does not listen after {BEGIN_MAX_SECONDS} s"))??;
        // What it prints later is read, so that it can print.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { url, child })
    }

    /// Its process; None once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// `kill -9`, and waits for the end.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }
}

/// Makes an admin token in a data folder; the server need not run.
pub async fn admin_token(millrace: &Path, data: &Path) -> Result<String> {
    let output = Command::new(millrace)
        .args(["token", "create", "--role", "admin", "--data"])
        .arg(data)
        .output()
        .await
        .with_context(|| format!("starting {}", millrace.display()))?;
    if !output.status.success() {
        bail!("millrace token create: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
