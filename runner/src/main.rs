//! `millrace-runner`: the command line of the runner. Knows nothing beyond arguments, signals and exit codes.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Parser;
use millrace_runner::{ActionConfig, Config, SandboxMode, Shutdown};
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
    #[command(flatten)]
    actions: ActionArguments,
}

/// What is said of actions of remote execution.
#[derive(clap::Args)]
#[command(next_help_heading = "Actions of remote execution")]
struct ActionArguments {
    /// Run jobs only
    #[arg(long, env = "MILLRACE_RUNNER_NO_ACTIONS", value_parser = clap::builder::FalseyValueParser::new())]
    no_actions: bool,
    /// A property that is offered to actions; a name may be repeated, and takes the place of the machine's own
    #[arg(long = "property", env = "MILLRACE_RUNNER_PROPERTIES", value_delimiter = ';', value_parser = property, value_name = "NAME=VALUE")]
    properties: Vec<(String, String)>,
    /// Run commands in a sandbox (bubblewrap, on Linux): auto takes it where it works, on insists
    #[arg(long, env = "MILLRACE_RUNNER_SANDBOX", default_value = "auto", value_enum, value_name = "WHEN")]
    sandbox: SandboxWhen,
    /// Let an action leave the sandbox by its property sandbox=off
    #[arg(long, env = "MILLRACE_RUNNER_ALLOW_SANDBOX_OFF", value_parser = clap::builder::FalseyValueParser::new())]
    allow_sandbox_off: bool,
    /// How many actions have their inputs fetched while every slot is busy
    #[arg(long, env = "MILLRACE_RUNNER_PREFETCH", default_value_t = 1, value_name = "N")]
    prefetch: u32,
    /// What an action may write and print [default: 20 GiB]
    #[arg(long, env = "MILLRACE_RUNNER_ACTION_DISK_MAX", value_name = "SIZE")]
    action_disk_max: Option<ByteSize>,
    /// Memory for the processes of an action, where control groups (v2) are delegated [default: no limit]
    #[arg(long, env = "MILLRACE_RUNNER_ACTION_MEMORY_MAX", value_name = "SIZE")]
    action_memory_max: Option<ByteSize>,
    /// Processes and threads of an action, likewise [default: no limit]
    #[arg(long, env = "MILLRACE_RUNNER_ACTION_PIDS_MAX", value_name = "N")]
    action_pids_max: Option<u64>,
    /// Where inputs are kept between actions; best on the same file system as the data [default: in the data folder]
    #[arg(long, env = "MILLRACE_RUNNER_INPUT_CACHE", value_name = "DIR")]
    input_cache: Option<PathBuf>,
    /// How much of them is kept [default: 10 GiB]
    #[arg(long, env = "MILLRACE_RUNNER_INPUT_CACHE_MAX", value_name = "SIZE")]
    input_cache_max: Option<ByteSize>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum SandboxWhen {
    Auto,
    On,
    Off,
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

const EXIT_CODES: &str = "Exit codes: 0 drained, 1 error on this machine, 2 usage, 4 not authorised, \
6 server not reachable to register, 130 killed by a second signal.

MILLRACE_LOG sets what is logged, as in `MILLRACE_LOG=debug`.";

fn main() -> ExitCode {
    if let Some(code) = millrace_runner::nursery_if_asked() {
        return code;
    }
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
            actions: self.actions.config(),
            ..defaults
        }
    }
}

impl ActionArguments {
    fn config(self) -> ActionConfig {
        let defaults = ActionConfig::default();
        let bytes = |size: Option<ByteSize>, default: u64| size.map_or(default, |size| size.0);
        ActionConfig {
            enabled: !self.no_actions,
            prefetch: self.prefetch,
            properties: self.properties,
            sandbox: match self.sandbox {
                SandboxWhen::Auto => SandboxMode::Auto,
                SandboxWhen::On => SandboxMode::On,
                SandboxWhen::Off => SandboxMode::Off,
            },
            allow_sandbox_off: self.allow_sandbox_off,
            disk_max_bytes: bytes(self.action_disk_max, defaults.disk_max_bytes),
            memory_max_bytes: bytes(self.action_memory_max, defaults.memory_max_bytes),
            pids_max: self.action_pids_max.unwrap_or(defaults.pids_max),
            input_cache: self.input_cache,
            input_cache_max_bytes: bytes(self.input_cache_max, defaults.input_cache_max_bytes),
            program: None,
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
