//! What runners that wait for work cost the server: memory and CPU, and whether dispatch suffers. Over HTTP/1.1 each
//! runner has a connection of its own, as the real one; over HTTP/2 many share one.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use futures::stream;
use millrace_bench::agent::Agent;
use millrace_bench::client::Client;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::dispatch::dispatches;
use crate::process::{cpu_seconds, resident_megabytes};
use crate::report::Report;
use crate::target::Target;

/// How many register at once.
const REGISTRATIONS_AT_ONCE: usize = 32;
/// How many share a connection over HTTP/2.
const RUNNERS_A_CONNECTION: usize = 250;
/// How many runs are started while they wait.
const RUNS: usize = 50;
/// How long the server is given to settle before it is measured.
const SETTLE: Duration = Duration::from_secs(2);
/// How long the server holds a FetchTask at most, in milliseconds.
const HOLD_MAX_MS: u32 = 50_000;
/// The label of those who wait.
const LABEL: &str = "bench-idle";

/// Measures runners that wait.
pub async fn idle_runners(target: &mut Target, runners: usize, seconds: u64) -> Result<Report> {
    let mut report = Report::new(format!("idle-runners: {runners} runners wait in FetchTask, {seconds} s each way"));
    figures(&mut report, target, "no runners yet", seconds).await?;
    let agents: Vec<Agent> = stream::iter(0..runners)
        .map(|_| target.agent(LABEL))
        .buffer_unordered(REGISTRATIONS_AT_ONCE)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<Result<_>>()?;
    for name in ["HTTP/1.1", "HTTP/2"] {
        let mut waiting = if name == "HTTP/2" { by_http2(target, &agents)? } else { by_http1(target, &agents) };
        tokio::time::sleep(SETTLE).await;
        figures(&mut report, target, name, seconds).await?;
        let label = format!("bench-among-{}", name.replace('/', "-"));
        let latencies = dispatches(target, &label, RUNS).await?;
        let mut among = Report::new("");
        latencies.add_to(&mut among);
        report.append(name, among);
        if let Some(ended) = waiting.try_join_next() {
            ended??;
            bail!("a waiting runner ended by itself");
        }
        waiting.shutdown().await;
    }
    Ok(report)
}

async fn figures(report: &mut Report, target: &Target, name: &str, seconds: u64) -> Result<()> {
    let Some(pid) = target.pid else {
        report.figure(format!("{name}: memory and CPU need --server-pid"), 0.0, "");
        return Ok(());
    };
    let before = cpu_seconds(pid).context("the server's process is gone")?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = cpu_seconds(pid).context("the server's process is gone")?;
    report.figure(format!("{name}: server's memory (RSS)"), resident_megabytes(pid).unwrap_or(0.0), "MB");
    report.figure(format!("{name}: server's CPU in {seconds} s"), after - before, "s");
    Ok(())
}

/// Polls over few connections.
fn by_http2(target: &Target, agents: &[Agent]) -> Result<JoinSet<Result<()>>> {
    let mut waiting = JoinSet::new();
    for group in agents.chunks(RUNNERS_A_CONNECTION) {
        let client = Client::new(&target.url, "")?;
        for agent in group {
            let agent = Agent { client: client.clone(), ..agent.clone() };
            waiting.spawn(async move {
                let mut hold_ms = first_hold_ms();
                loop {
                    if agent.fetch("", hold_ms).await?.is_some() {
                        bail!("there was a task for an idle runner");
                    }
                    hold_ms = HOLD_MAX_MS;
                }
            });
        }
    }
    Ok(waiting)
}

/// Runners come at any time: their polls do not end together.
fn first_hold_ms() -> u32 {
    rand::random_range(1..=HOLD_MAX_MS)
}

/// Polls over a connection each.
fn by_http1(target: &Target, agents: &[Agent]) -> JoinSet<Result<()>> {
    let mut waiting = JoinSet::new();
    for agent in agents {
        let address = target.url.trim_start_matches("http://").to_owned();
        waiting.spawn(poll_http1(address, agent.token.clone()));
    }
    waiting
}

async fn poll_http1(address: String, token: String) -> Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(&address).await?);
    let mut hold_ms = first_hold_ms();
    loop {
        let body = format!("{{\"token\":\"{token}\",\"waitMs\":{hold_ms}}}");
        let request = format!(
            "POST /pkg.proto.runner.v1.RunnerService/FetchTask HTTP/1.1\r\nhost: {address}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        hold_ms = HOLD_MAX_MS;
        stream.write_all(request.as_bytes()).await?;
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                bail!("the server closed a waiting connection");
            }
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            } else if header.starts_with("http/") && !header.contains(" 200") {
                bail!("a waiting runner was answered {header}");
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await?;
    }
}
