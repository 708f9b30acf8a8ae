//! `millrace-runner`: the command line of the runner. Knows nothing beyond arguments, signals and exit codes.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millrace_runner::{Config, Shutdown};
use tracing_subscriber::EnvFilter;

/// Runs CI jobs and build actions of a Millrace server on this machine.
///
/// The runner only ever connects out; it needs no open port. It registers once with a registration token and keeps
/// its identity in the data folder. SIGTERM or Ctrl-C: finish what runs, take nothing new. A second one: kill what
/// runs.
#[derive(Parser)]
#[command(name = "millrace-runner", version, after_long_help = EXIT_CODES)]
struct Arguments {
    /// The server's address, for example http://ci.example:8080
    #[arg(long, env = "MILLRACE_SERVER", value_name = "URL")]
    server: String,
    /// A registration token; needed the first time only
    #[arg(long, env = "MILLRACE_REGISTRATION_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The runner's name [default: the host's name]
    #[arg(long, env = "MILLRACE_RUNNER_NAME")]
    name: Option<String>,
    /// Labels to serve beyond the machine's own (self-hosted, os, architecture, host name), separated by commas
    #[arg(long, env = "MILLRACE_RUNNER_LABELS", value_delimiter = ',', value_name = "LABELS")]
    labels: Vec<String>,
    /// How many tasks run at once
    #[arg(long, env = "MILLRACE_RUNNER_SLOTS", default_value_t = 1, value_name = "N")]
    slots: u32,
    /// Where the identity and the workspaces are kept; one folder for each runner
    #[arg(long, env = "MILLRACE_RUNNER_DATA", default_value = "millrace-runner-data", value_name = "DIR")]
    data: PathBuf,
    /// Leave for good after one task
    #[arg(long, env = "MILLRACE_RUNNER_EPHEMERAL", value_parser = clap::builder::FalseyValueParser::new())]
    ephemeral: bool,
    /// Environment variables of this process that jobs get, too, separated by commas
    #[arg(long, env = "MILLRACE_RUNNER_PASS_ENV", value_delimiter = ',', value_name = "NAMES")]
    pass_env: Vec<String>,
}

const EXIT_CODES: &str = "Exit codes: 0 drained, 1 error on this machine, 2 usage, 4 not authorised, \
6 server not reachable to register, 130 killed by a second signal.

MILLRACE_LOG sets what is logged, as in `MILLRACE_LOG=debug`.";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("MILLRACE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_target(false).with_ansi(colours).init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("millrace-runner: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let shutdown = Shutdown::new();
        tokio::spawn(heed_signals(shutdown.clone()));
        match millrace_runner::run(arguments.config(), shutdown).await {
            Ok(exit) => ExitCode::from(exit.exit_code()),
            Err(error) => {
                eprintln!("millrace-runner: {error}");
                ExitCode::from(error.exit_code())
            }
        }
    })
}

impl Arguments {
    fn config(self) -> Config {
        let defaults = Config::new(self.server, self.data);
        Config {
            token: self.token.filter(|token| !token.is_empty()),
            name: self.name.unwrap_or(defaults.name),
            labels: self.labels,
            slots: self.slots,
            ephemeral: self.ephemeral,
            pass_env: self.pass_env,
            ..defaults
        }
    }
}

async fn heed_signals(shutdown: Shutdown) {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!("signals cannot be heard: {error}");
            return;
        }
    };
    signals.next().await;
    tracing::info!("finishing what runs; once more to kill it");
    shutdown.drain();
    signals.next().await;
    tracing::warn!("killing what runs");
    shutdown.kill();
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    stop: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self { interrupt: ctrl_c()?, stop: ctrl_break()?, close: ctrl_close()?, shutdown: ctrl_shutdown()? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.stop.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}
