//! The server that is measured: one that runs already, or one of the bench's own.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};
use millrace_bench::agent::Agent;
use millrace_bench::client::Client;
use millrace_bench::program::{ServerProgram, admin_token};
use tempfile::TempDir;
use tokio::process::Command;

use crate::Arguments;

/// Lets agents register at the bench's own server.
const REGISTRATION_TOKEN: &str = "bench-registration-token";

/// A server to measure.
pub struct Target {
    /// Where it is.
    pub url: String,
    /// Calls as an administrator.
    pub client: Client,
    /// What agents register with.
    pub registration_token: String,
    /// Its process, if it is known.
    pub pid: Option<u32>,
    /// The runner's program, if there is one.
    pub runner: Option<PathBuf>,
    /// The bench's folder, on the disk that is measured.
    pub folder: TempDir,
    own: Option<ServerProgram>,
    token: String,
}

impl Target {
    /// Starts a server, or takes the one that the arguments name.
    pub async fn open(arguments: &Arguments) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("millrace-bench-");
        let folder = match &arguments.folder {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        let beside = std::env::current_exe()?.parent().context("this program is in no folder")?.to_owned();
        let runner = arguments.millrace_runner.clone().unwrap_or_else(|| beside.join("millrace-runner"));
        let runner = runner.is_file().then_some(runner);
        let (url, token, registration_token, own) = match &arguments.server {
            Some(url) => (url.clone(), arguments.token.clone(), arguments.registration_token.clone(), None),
            None => {
                let millrace = arguments.millrace.clone().unwrap_or_else(|| beside.join("millrace"));
                let data = folder.path().join("data");
                let token = admin_token(&millrace, &data).await?;
                let mut command = Command::new(&millrace);
                command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
                command.env("MILLRACE_REGISTRATION_TOKEN", REGISTRATION_TOKEN).env("MILLRACE_LOG", "warn");
                command.stderr(Stdio::inherit());
                let server = ServerProgram::start(command).await?;
                (server.url.clone(), token, REGISTRATION_TOKEN.to_owned(), Some(server))
            }
        };
        let client = Client::new(&url, &token)?;
        let pid = own.as_ref().and_then(ServerProgram::pid).or(arguments.server_pid);
        Ok(Self { url, client, registration_token, pid, runner, folder, own, token })
    }

    /// Whether the bench has started it.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// What calls are made with; empty: nothing.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A connection of its own to the same server.
    pub fn another_client(&self) -> Result<Client> {
        Client::new(&self.url, &self.token)
    }

    /// A new agent with a connection of its own. Its labels are its own, too, so that other runners of a server that
    /// is in use take nothing from it.
    pub async fn agent(&self, name: &str) -> Result<Agent> {
        Agent::register(&self.url, &self.registration_token, name, &[name]).await.context("registering an agent")
    }

    /// A new agent that runs actions and offers nothing in particular.
    pub async fn agent_for_actions(&self, name: &str) -> Result<Agent> {
        Agent::register_for_actions(&self.url, &self.registration_token, name).await.context("registering an agent")
    }

    /// Ends the bench's own server.
    pub async fn close(self) -> Result<()> {
        if let Some(server) = self.own {
            server.kill().await?;
        }
        Ok(self.folder.close()?)
    }
}
