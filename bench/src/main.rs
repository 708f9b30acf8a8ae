//! `millrace-bench`: measures a Millrace server over its wire and prints tables. What is measured is in `measure`.

mod measure;
mod report;
mod samples;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::report::Report;
use crate::target::Target;

/// Measures a Millrace server over its wire: latency of dispatch and logs, throughput of log ingest, idle runners.
///
/// Without --server it starts a server of its own, in a temporary folder, for each measurement.
#[derive(Parser)]
#[command(name = "millrace-bench", version)]
pub struct Arguments {
    /// What to measure; nothing: all of it
    #[arg(value_enum)]
    what: Vec<What>,
    /// A server that runs already (MILLRACE_TOKEN: an admin token, MILLRACE_REGISTRATION_TOKEN: a reusable one)
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// An API token for --server
    #[arg(long, env = "MILLRACE_TOKEN", hide_env_values = true, default_value = "", value_name = "TOKEN")]
    token: String,
    /// A reusable registration token for --server
    #[arg(long, env = "MILLRACE_REGISTRATION_TOKEN", hide_env_values = true, default_value = "", value_name = "TOKEN")]
    registration_token: String,
    /// The server's process, for its memory and CPU, when it is not started by the bench
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// The server to start without --server [default: millrace beside this program]
    #[arg(long, value_name = "FILE")]
    millrace: Option<PathBuf>,
    /// The runner for the part of `dispatch` that measures a real one [default: millrace-runner beside this program]
    #[arg(long, value_name = "FILE")]
    millrace_runner: Option<PathBuf>,
    /// Where temporary data folders are made: the disk that is measured [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// A JSON object a report in place of tables
    #[arg(long)]
    json: bool,
    /// How many runs `dispatch` starts
    #[arg(long, default_value_t = 200, value_name = "N")]
    runs: usize,
    /// How many runners wait in `idle-runners`
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    runners: usize,
    /// How long `log-ingest` lasts
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u64,
    /// How long each part of `idle-runners` lasts
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    idle_seconds: u64,
}

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// What this machine can do at all: empty calls, syncs, SHA-256
    Calibrate,
    /// From a run's acceptance to its first step's start
    Dispatch,
    /// How many log rows are made durable
    LogIngest,
    /// From a row's sending to its sight in a tail
    LogLatency,
    /// What waiting runners cost
    IdleRunners,
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure_all(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure_all(arguments: &Arguments) -> Result<()> {
    let all = What::value_variants();
    raise_open_files();
    let asked = if arguments.what.is_empty() { all } else { &arguments.what };
    report::machine(arguments.json);
    // Every report is to be read beside what the machine could do at that time.
    measured(arguments, What::Calibrate).await?;
    for what in asked.iter().filter(|what| **what != What::Calibrate) {
        measured(arguments, *what).await?;
    }
    Ok(())
}

/// Each waiting runner is a connection, and 1 024 open files is what most shells give.
#[cfg(unix)]
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where that can't be, the connections that fail say so.
    let _refused = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

#[cfg(not(unix))]
fn raise_open_files() {}

async fn measured(arguments: &Arguments, what: What) -> Result<()> {
    let mut target = Target::open(arguments).await?;
    let result = run_one(&mut target, arguments, what).await;
    target.close().await?;
    result?.print(arguments.json);
    Ok(())
}

async fn run_one(target: &mut Target, arguments: &Arguments, what: What) -> Result<Report> {
    match what {
        What::Calibrate => measure::calibrate::calibrate(target).await,
        What::Dispatch => measure::dispatch::dispatch(target, arguments.runs).await,
        What::LogIngest => measure::log_ingest::log_ingest(target, arguments.seconds).await,
        What::LogLatency => measure::log_latency::log_latency(target).await,
        What::IdleRunners => {
            measure::idle_runners::idle_runners(target, arguments.runners, arguments.idle_seconds).await
        }
    }
}
