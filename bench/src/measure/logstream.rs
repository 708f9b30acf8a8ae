//! From a line's writing to its sight by `ByteStream.Read`: one writer of a log stream, and many who read it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bazel_remote_apis::build::bazel::remote::logstream::v1::CreateLogStreamRequest;
use bazel_remote_apis::build::bazel::remote::logstream::v1::log_stream_service_client::LogStreamServiceClient;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use bazel_remote_apis::google::bytestream::{ReadRequest, WriteRequest};
use futures::channel::mpsc;
use futures::future::try_join_all;
use futures::{SinkExt, StreamExt, stream};
use millrace_bench::client::Client;
use tokio::sync::Barrier;

use crate::report::Report;
use crate::samples::Samples;
use crate::target::Target;

/// How many lines are written.
const LINES: usize = 200;
/// Each is as long as this, its end included.
const LINE_BYTES: usize = 64;
/// How many read at once, the time from one line to the next, and the longest p99 from writing to sight, in milliseconds.
const ROUNDS: [(usize, u64, f64); 2] = [(50, 25, 20.0), (1_000, 100, 250.0)];
/// How many tails share a connection.
const TAILS_A_CONNECTION: usize = 50;

/// Measures tails of log streams.
pub async fn logstream(target: &mut Target) -> Result<Report> {
    let mut report = Report::new(format!("logstream: one ByteStream.Write of {LINES} lines, many ByteStream.Read"));
    for (tails, every_ms, goal_p99_ms) in ROUNDS {
        let seen = measure(target, tails, Duration::from_millis(every_ms)).await?;
        let name = format!("{tails} tails, a line each {every_ms} ms: written -> read");
        for percent in [50.0, 95.0] {
            report.figure(format!("{name}, p{percent}"), seen.percentile(percent), "ms");
        }
        report.figure_with_goal(format!("{name}, p99"), seen.percentile(99.0), "ms", goal_p99_ms);
        report.figure(format!("{name}, the longest"), seen.percentile(100.0), "ms");
        // Each tail has checked that every byte came, once and in order.
        report.figure(format!("{name}, lines that were read"), seen.len() as f64, "");
    }
    Ok(report)
}

async fn measure(target: &Target, tails: usize, every: Duration) -> Result<Samples> {
    let mut streams = LogStreamServiceClient::new(target.client.connection());
    let parent = "bench".to_owned();
    let names = streams.create_log_stream(CreateLogStreamRequest { parent }).await.context("CreateLogStream")?;
    let names = names.into_inner();
    // Every tail has its first byte before the first line that is measured.
    let ready = Arc::new(Barrier::new(tails + 1));
    let mut reading = Vec::new();
    let mut client = target.another_client()?;
    for number in 0..tails {
        if number % TAILS_A_CONNECTION == 0 {
            client = target.another_client()?;
        }
        reading.push(tokio::spawn(read(client.clone(), names.name.clone(), Arc::clone(&ready))));
    }
    let (mut send, messages) = mpsc::channel(1);
    let mut bytes = ByteStreamClient::new(target.another_client()?.connection());
    let first =
        WriteRequest { resource_name: names.write_resource_name.clone(), data: line(0), ..WriteRequest::default() };
    let writing = tokio::spawn(async move { bytes.write(stream::iter([first]).chain(messages)).await });
    ready.wait().await;
    let mut sent = Vec::new();
    let mut ticks = tokio::time::interval(every);
    for number in 1..=LINES {
        ticks.tick().await;
        let message = WriteRequest {
            write_offset: (number * LINE_BYTES) as i64,
            finish_write: number == LINES,
            data: line(number),
            ..WriteRequest::default()
        };
        sent.push(Instant::now());
        send.send(message).await.context("the call has ended")?;
    }
    drop(send);
    let committed = writing.await?.context("Write")?.into_inner().committed_size;
    ensure!(committed == ((LINES + 1) * LINE_BYTES) as i64, "{committed} bytes were committed");
    let mut seen = Samples::default();
    for times in try_join_all(reading).await? {
        for (at, sent) in times?.into_iter().zip(&sent) {
            seen.push(at - *sent);
        }
    }
    Ok(seen)
}

/// When each line was seen, but for the first. All of them must come, as they were written.
async fn read(client: Client, name: String, ready: Arc<Barrier>) -> Result<Vec<Instant>> {
    let request = ReadRequest { resource_name: name, ..ReadRequest::default() };
    let mut stream = ByteStreamClient::new(client.connection()).read(request).await.context("Read")?.into_inner();
    let (mut times, mut read) = (Vec::new(), Vec::new());
    let mut waits = true;
    while let Some(answer) = stream.message().await? {
        let now = Instant::now();
        read.extend(answer.data);
        if waits && read.len() >= LINE_BYTES {
            ready.wait().await;
            waits = false;
        }
        times.resize((read.len() / LINE_BYTES).saturating_sub(1), now);
    }
    let expected: Vec<u8> = (0..=LINES).flat_map(line).collect();
    ensure!(read == expected, "a tail read {} bytes, which are not what was written", read.len());
    Ok(times)
}

fn line(number: usize) -> Vec<u8> {
    format!("{number:0width$}\n", width = LINE_BYTES - 1).into_bytes()
}
