//! The real runner beside the bench, at the server that is measured.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use millrace_bench::client::Client;
use millrace_bench::wire::millrace_v1::ListRunnersRequest;
use tokio::process::{Child, Command};

use crate::target::Target;

/// How long the real runner may take to come.
const RUNNER_START_MAX: Duration = Duration::from_secs(20);

/// Starts it with a name and a label of its own, and more arguments.
pub fn start_runner(target: &Target, runner: &Path, label: &str, more: &[String]) -> Result<Child> {
    let mut command = Command::new(runner);
    command.args(["--server", &target.url, "--name", label, "--labels", label, "--data"]);
    command.arg(target.folder.path().join("runner")).args(more);
    command.env("MILLRACE_REGISTRATION_TOKEN", &target.registration_token).env("MILLRACE_LOG", "warn");
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().with_context(|| format!("starting {}", runner.display()))
}

/// Waits until it has declared itself.
pub async fn wait_for_runner(client: &Client, name: &str) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < RUNNER_START_MAX {
        let runners = client.runners().list_runners(ListRunnersRequest::default()).await?.into_inner().runners;
        if runners.iter().any(|runner| runner.name == name && !runner.os.is_empty()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the runner did not declare itself within {} s", RUNNER_START_MAX.as_secs())
}
