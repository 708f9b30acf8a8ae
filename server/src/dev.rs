//! `millrace dev`: server and runner in one process, on loopback, open to everybody on this machine.

use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::{Context, Result};
use bytesize::ByteSize;
use millrace_runner::{Config as RunnerConfig, Shutdown};

use crate::config::{Config, RawCacheConfig, RawConfig, RawExecutionConfig, RawLogConfig};
use crate::serve::{open, stop_on_signal};

/// The built-in runner's folder below the data folder.
const RUNNER_FOLDER: &str = "runner";
/// How long the built-in runner's registration token is good, in milliseconds: it is used at once.
const TOKEN_TTL_MS: i64 = 60_000;

/// The arguments of `millrace dev`.
#[derive(Debug, clap::Args)]
pub struct DevArgs {
    /// The loopback address to listen on; port 0 takes a free one
    #[arg(long, env = "MILLRACE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    listen: String,
    /// The folder for the database, logs, keys and workspaces
    #[arg(long, env = "MILLRACE_DATA", default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// How many jobs the built-in runner takes at once; 0: no built-in runner [default: one for each processor]
    #[arg(long, env = "MILLRACE_SLOTS", value_name = "N")]
    slots: Option<u32>,
    /// Labels of the built-in runner beyond the machine's own
    #[arg(long, env = "MILLRACE_LABELS", value_delimiter = ',', value_name = "A,B")]
    labels: Vec<String>,
    /// A reusable registration token for more runners
    #[arg(long, env = "MILLRACE_REGISTRATION_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    registration_token: Option<String>,
    /// How long a runner may be silent before its job is given to another, 2 to 600 [default: 45]
    #[arg(long, env = "MILLRACE_LEASE_SECONDS", value_name = "SECONDS")]
    lease_seconds: Option<u32>,
    /// The remote cache
    #[command(flatten)]
    cache: RawCacheConfig,
    /// Remote execution
    #[command(flatten)]
    execution: RawExecutionConfig,
    /// The log room
    #[command(flatten)]
    logs: RawLogConfig,
}

/// Runs `millrace dev`.
pub async fn dev(args: DevArgs) -> Result<()> {
    let begun = Instant::now();
    let slots = args.slots.unwrap_or_else(|| available_parallelism().map_or(1, |n| n.get() as u32));
    let raw = RawConfig {
        listen: Some(args.listen),
        data: Some(args.data.clone()),
        registration_token: args.registration_token,
        lease_seconds: args.lease_seconds,
        cache: args.cache,
        execution: args.execution,
        logs: args.logs,
        ..Default::default()
    };
    let config = raw.resolve(true)?;
    let runs_actions = config.execution.enabled;
    let server = open(&config).await?;
    let url = server.url.clone();
    let runner = if slots == 0 {
        None
    } else {
        let (token, _) = server.app.runners.create_registration_token(false, TOKEN_TTL_MS).await?;
        let mut config = RunnerConfig::new(url.clone(), args.data.join(RUNNER_FOLDER));
        config.token = Some(token);
        config.slots = slots;
        config.labels = args.labels;
        config.name = "built-in".into();
        config.actions.enabled = runs_actions;
        Some(config)
    };
    let stop = stop_on_signal()?;
    let serving = tokio::spawn(server.run(stop.clone()));
    println!("listening on {url}");
    banner(&url, &config, slots, begun);
    let shutdown = Shutdown::new();
    let running = runner.map(|config| tokio::spawn(millrace_runner::run(config, shutdown.clone())));
    stop.cancelled().await;
    // What runs is killed; its lease ends, and the next start runs it again.
    shutdown.kill();
    if let Some(running) = running {
        running.await.context("the built-in runner")??;
    }
    serving.await.context("the server")?;
    Ok(())
}

fn banner(url: &str, config: &Config, slots: u32, begun: Instant) {
    let address = url.trim_start_matches("http://");
    let shown =
        address.strip_prefix("127.0.0.1:").map_or_else(|| address.to_owned(), |port| format!("localhost:{port}"));
    let runner = match slots {
        0 => "none built in: start millrace-runner".to_owned(),
        1 => format!("built in: {}/{}, 1 slot", os(), arch()),
        _ => format!("built in: {}/{}, {slots} slots", os(), arch()),
    };
    println!("millrace {}  ready in {:.1} s", env!("CARGO_PKG_VERSION"), begun.elapsed().as_secs_f64());
    println!("Web      http://{shown}/");
    let served = if config.execution.enabled { "cache, execution" } else { "cache" };
    println!("REAPI    grpc://{shown}      ({served})");
    println!("Data     {}  (cache limit {})", config.data.display(), limit(config.cache.limit_bytes));
    println!("Runner   {runner}");
    println!("Next     millrace run examples/hello.yml   |   millrace doctor");
}

fn limit(bytes: u64) -> String {
    if bytes == 0 { "none".to_owned() } else { ByteSize(bytes).display().iec().to_string() }
}

fn os() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    }
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        arch => arch,
    }
}
