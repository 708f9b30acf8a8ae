//! One file a measurement.

pub mod big_log;
pub mod calibrate;
pub mod dispatch;
pub mod idle_runners;
pub mod limits;
pub mod log_ingest;
pub mod log_latency;
pub mod log_read;
pub mod log_search;
pub mod logstream;
pub mod own_runner;
pub mod reapi;
pub mod scheduler;

use anyhow::{Context, Result};
use millrace_bench::client::Client;
use millrace_bench::wire::millrace_v1::{Run, RunRequest};

/// Starts a run of a workflow.
async fn start_run(client: &Client, workflow: String) -> Result<Run> {
    let request = RunRequest { workflow, file_name: "bench.yml".to_owned(), ..Default::default() };
    client.pipelines().run(request).await.context("starting a run")?.into_inner().run.context("no run in the answer")
}

/// A workflow of one job with one step.
fn single_job(label: &str) -> String {
    format!("on: workflow_dispatch\njobs:\n  job:\n    runs-on: {label}\n    steps:\n      - run: 'true'\n")
}
