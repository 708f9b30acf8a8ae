//! `millrace-bench`: measures a Millrace server over its wire and prints tables. What is measured is in `measure`.

mod floor;
mod measure;
mod process;
mod reapi;
mod report;
mod samples;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, ValueEnum};

use crate::reapi::workload::Name;
use crate::report::Report;
use crate::target::Target;

/// Measures a Millrace server over its wire: latency of dispatch and logs, throughput of log ingest, idle runners, and
/// the remote cache and remote execution (those of any other server as well).
///
/// Without --server it starts a server of its own, in a temporary folder, for each measurement.
#[derive(Parser)]
#[command(name = "millrace-bench", version)]
pub struct Arguments {
    /// What to measure; nothing: all of it
    #[arg(value_enum)]
    what: Vec<What>,
    /// A server that runs already (MILLRACE_TOKEN: an admin token, MILLRACE_REGISTRATION_TOKEN: a reusable one)
    #[arg(long, visible_alias = "target", value_name = "URL")]
    server: Option<String>,
    /// An API token for --server
    #[arg(long, env = "MILLRACE_TOKEN", hide_env_values = true, default_value = "", value_name = "TOKEN")]
    token: String,
    /// A reusable registration token for --server
    #[arg(long, env = "MILLRACE_REGISTRATION_TOKEN", hide_env_values = true, default_value = "", value_name = "TOKEN")]
    registration_token: String,
    /// The server's process, for its memory and CPU, when it is not started by the bench
    #[arg(long, visible_alias = "pid", value_name = "PID")]
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
    /// How long `log-ingest` lasts, and each workload of `cache` and `execute` at least
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u64,
    /// How long each part of `idle-runners` lasts
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    idle_seconds: u64,
    /// How large the log of `log-search` and `log-read` is
    #[arg(long, default_value_t = 1_000_000_000, value_name = "BYTES")]
    bytes: u64,
    #[command(flatten)]
    reapi: ReapiArguments,
    /// Serve this file and an empty call: the limits are measured with it
    #[arg(long, hide = true, value_name = "FILE")]
    floor: Option<PathBuf>,
}

/// Options of `cache` and `execute`.
#[derive(Args)]
#[command(next_help_heading = "Options of cache and execute")]
pub struct ReapiArguments {
    /// What to measure; nothing: all of it
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<Name>,
    /// The instance name
    #[arg(long, default_value = "", value_name = "NAME")]
    instance: String,
    /// Another server, measured in turns with the first; each row then has the ratio of their rates
    #[arg(long, value_name = "URL")]
    compare: Option<String>,
    /// The instance name at the other server [default: that of --instance]
    #[arg(long, value_name = "NAME")]
    compare_instance: Option<String>,
    /// The other server's process, for its memory and CPU
    #[arg(long, value_name = "PID")]
    compare_pid: Option<u32>,
    /// Connections to each server
    #[arg(long, default_value_t = 4, value_name = "N")]
    connections: usize,
    /// Calls at once over all connections (large blobs: 8)
    #[arg(long, default_value_t = 32, value_name = "N")]
    calls: usize,
    /// The size of large blobs, in MiB, 2 at least
    #[arg(long, default_value_t = 64, value_name = "MIB")]
    large_mib: usize,
    /// What all content is made from [default: random]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The bench's own runner runs actions in a sandbox
    #[arg(long)]
    sandbox: bool,
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
    /// Search of one large log, to the first hit and to the end, beside grep
    LogSearch,
    /// Lines anywhere in one large log
    LogRead,
    /// From a line's writing to its sight by 50 and by 1 000 tails of a log stream
    Logstream,
    /// What waiting runners cost
    IdleRunners,
    /// A remote cache: blobs and action results, of any server of the Remote Execution API
    Cache,
    /// Remote execution of small actions, by any server of the Remote Execution API that has a worker
    Execute,
    /// The scheduler alone: actions that runners of the bench complete at once
    Scheduler,
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
    raise_open_files();
    if let Some(file) = &arguments.floor {
        return floor::serve(file).await;
    }
    let all = What::value_variants();
    let asked = if arguments.what.is_empty() { all } else { &arguments.what };
    report::machine(arguments.json);
    // Every report is to be read beside what the machine could do at that time.
    // (The cache is measured beside limits of its own, which ask no more of a server than the cache does.)
    if !asked.iter().all(|what| matches!(what, What::Cache | What::Execute)) {
        measured(arguments, What::Calibrate).await?;
    }
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
    if let Some(report) = result? {
        report.print(arguments.json);
    }
    Ok(())
}

/// Its report, where it has not printed it.
async fn run_one(target: &mut Target, arguments: &Arguments, what: What) -> Result<Option<Report>> {
    let report = match what {
        What::Calibrate => measure::calibrate::calibrate(target).await?,
        What::Dispatch => measure::dispatch::dispatch(target, arguments.runs).await?,
        What::LogIngest => measure::log_ingest::log_ingest(target, arguments.seconds).await?,
        What::LogLatency => measure::log_latency::log_latency(target).await?,
        What::LogSearch => measure::log_search::log_search(target, arguments.bytes).await?,
        What::LogRead => measure::log_read::log_read(target, arguments.bytes).await?,
        What::Logstream => measure::logstream::logstream(target).await?,
        What::IdleRunners => {
            measure::idle_runners::idle_runners(target, arguments.runners, arguments.idle_seconds).await?
        }
        What::Cache | What::Execute => {
            measure::reapi::measure_reapi(target, arguments, what == What::Execute).await?;
            return Ok(None);
        }
        What::Scheduler => measure::scheduler::scheduler(target, arguments.seconds).await?,
    };
    Ok(Some(report))
}
