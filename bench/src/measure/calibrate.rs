//! What this machine can do at all, so that the other figures can be compared with those of another machine or hour.

use std::time::Instant;

use anyhow::Result;
use futures::future::try_join_all;
use millrace_bench::client::Client;
use millrace_bench::wire::runner_v1::PingRequest;

use super::limits::{EACH, FILE_BYTES, Limits};
use crate::report::Report;
use crate::samples::Samples;
use crate::target::Target;

/// Calls at once where it is not one.
const CALLS_AT_ONCE: usize = 32;

/// Measures empty calls, and the limits of the machine.
pub async fn calibrate(target: &mut Target) -> Result<Report> {
    let mut report = Report::new("calibrate: what this machine can do at all");
    let (one, latency) = pings(&target.client).await?;
    report.figure("empty calls (Ping), one at a time", one, "calls/s");
    report.figure("one empty call, p50", latency.percentile(50.0), "ms");
    let began = Instant::now();
    let many = try_join_all((0..CALLS_AT_ONCE).map(|_| pings(&target.client))).await?;
    let calls: usize = many.iter().map(|(_, samples)| samples.len()).sum();
    report.figure(
        format!("empty calls (Ping), {CALLS_AT_ONCE} at a time"),
        calls as f64 / began.elapsed().as_secs_f64(),
        "calls/s",
    );
    Limits::measure(target.folder.path(), EACH, FILE_BYTES).await?.add_to(&mut report);
    Ok(report)
}

async fn pings(client: &Client) -> Result<(f64, Samples)> {
    let mut agents = client.agents();
    agents.ping(PingRequest::default()).await?;
    let (began, mut samples) = (Instant::now(), Samples::default());
    while began.elapsed() < EACH {
        let called = Instant::now();
        agents.ping(PingRequest::default()).await?;
        samples.push(called.elapsed());
    }
    Ok((samples.len() as f64 / began.elapsed().as_secs_f64(), samples))
}
