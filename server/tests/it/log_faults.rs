//! Bad input to logs and slow readers of them, over the wire. (Index and acknowledgement, gaps, repetitions and ends are in
//! `agent_json`, absurd times in `agent_grpc`, full disks in `faults`.)

use futures::StreamExt;
use millrace_engine::logs::streams::LogStreams;
use millrace_proto::instance_name::InstanceName;

use crate::agent_grpc::{Agent, log_of, update_of};
use crate::app::{TestApp, within};
use crate::cas_client::Remote;
use crate::log_streams::Made;

const ONE_JOB: &str = "jobs:\n  one:\n    runs-on: stock\n    steps:\n      - run: echo first\n";
/// A line that nobody should print.
const LONG_LINE_BYTES: usize = 100 * 1024 * 1024;
/// How much of it goes in one message.
const MESSAGE_BYTES: usize = 2 * 1024 * 1024;
/// How many rows a slow reader is behind.
const BEHIND_ROWS: usize = 40_000;

fn raw_of(test: &TestApp, made: &Made) -> String {
    let id = made.name.rsplit('/').next().expect("an id");
    format!("{}/logs/{}/raw", test.url, LogStreams::log_id(&InstanceName::default(), id).expect("an id"))
}

#[tokio::test]
async fn rows_that_are_no_text_are_refused_and_nothing_is_stored() {
    let test = TestApp::open().await;
    let mut agent = Agent::register(&test, "binary").await;
    let run = test.run(ONE_JOB).await;
    agent.fetch("", 0).await.expect("a task");
    agent.client.update_task(update_of(&run, "running")).await.expect("running");
    let message = prost::Message::encode_to_vec(&log_of(&run, &["fine", "@@"]));
    let at = message.windows(2).position(|two| two == b"@@").expect("the row");
    let mut message = message;
    message[at..at + 2].copy_from_slice(b"\xff\xfe");
    let call = async |kind: &str, body: Vec<u8>| {
        let url = format!("{}/pkg.proto.runner.v1.RunnerService/UpdateLog", test.url);
        let request =
            reqwest::Client::new().post(url).header("content-type", kind).header("connect-protocol-version", "1");
        within("UpdateLog", request.bearer_auth(&agent.runner.token).body(body).send()).await.expect("an answer")
    };
    let answer = call("application/proto", message).await;
    assert_eq!(answer.status(), 400, "not UTF-8");
    let json = format!("{{\"txUuid\":\"{}\",\"rows\":[\"x\u{1}@@\"]}}", run.id).into_bytes();
    let at = json.windows(2).position(|two| two == b"@@").expect("the row");
    let mut json = json;
    json[at..at + 2].copy_from_slice(b"\xff\xfe");
    let answer = call("application/json", json).await;
    assert_eq!(answer.status(), 400, "not UTF-8 either");
    let log = test.get(&run.id).await.jobs[0].steps[0].log_id.clone();
    let text = reqwest::get(format!("{}/logs/{log}/raw", test.url)).await.expect("an answer").text().await;
    assert_eq!(text.expect("text"), "", "nothing of it is stored");
    let stored = agent.client.update_log(log_of(&run, &["control \u{1}\u{0}\u{1b}[31m"])).await.expect("text is text");
    assert_eq!(stored.into_inner().ack_index, 1);
    test.close().await;
}

#[tokio::test]
async fn a_line_of_a_hundred_megabytes_comes_out_as_it_went_in() {
    let test = TestApp::open().await;
    let made = Made::new(&test, Remote::of(&test)).await;
    let piece: Vec<u8> = (0..MESSAGE_BYTES).map(|at| b'a' + (at % 23) as u8).collect();
    for at in (0..LONG_LINE_BYTES).step_by(MESSAGE_BYTES) {
        let end = at + MESSAGE_BYTES >= LONG_LINE_BYTES;
        let committed = made.write(&[(at as i64, &piece)], end).await.expect("taken");
        assert_eq!(committed as usize, at + MESSAGE_BYTES);
    }
    let answer = within("the log", reqwest::get(raw_of(&test, &made))).await.expect("an answer");
    assert_eq!(answer.content_length(), Some(LONG_LINE_BYTES as u64));
    let (mut body, mut at) = (answer.bytes_stream(), 0);
    while let Some(chunk) = within("the log", body.next()).await {
        let chunk = chunk.expect("bytes");
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let here = at % MESSAGE_BYTES;
            let (part, more) = rest.split_at(rest.len().min(MESSAGE_BYTES - here));
            assert!(part == &piece[here..here + part.len()], "at byte {at}");
            at += part.len();
            rest = more;
        }
    }
    assert_eq!(at, LONG_LINE_BYTES);
    test.close().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_loses_nothing_and_holds_nobody_up() {
    let test = TestApp::open().await;
    let mut agent = Agent::register(&test, "fast").await;
    let run = test.run(ONE_JOB).await;
    agent.fetch("", 0).await.expect("a task");
    agent.client.update_task(update_of(&run, "running")).await.expect("running");
    let log = test.get(&run.id).await.jobs[0].steps[0].log_id.clone();
    let tails: Vec<_> = ["identity", "zstd", "gzip"]
        .into_iter()
        .map(|accept| {
            reqwest::Client::new()
                .get(format!("{}/logs/{log}/raw?follow=1", test.url))
                .header("accept-encoding", accept)
        })
        .collect();
    let answers = futures::future::join_all(tails.into_iter().map(reqwest::RequestBuilder::send)).await;
    // Tens of megabytes, more than sockets hold: nobody reads, the writer goes on.
    let row = |row: usize| {
        format!("{row} {}", (0..500).map(|at| char::from(b'!' + ((row * 31 + at * at) % 90) as u8)).collect::<String>())
    };
    let mut expected = String::new();
    for from in (0..BEHIND_ROWS).step_by(4_000) {
        let rows: Vec<String> = (from..from + 4_000).map(row).collect();
        expected.push_str(&rows.join("\n"));
        expected.push('\n');
        let no_more = from + 4_000 >= BEHIND_ROWS;
        let rows = millrace_bench::wire::runner_v1::UpdateLogRequest {
            index: from as i64,
            rows,
            no_more,
            ..log_of(&run, &[])
        };
        within("UpdateLog", agent.client.update_log(rows)).await.expect("stored");
    }
    for answer in answers {
        let answer = answer.expect("an answer");
        let encoding = answer.headers().get("content-encoding").map(|name| name.to_str().expect("text").to_owned());
        let bytes = within("the tail", answer.bytes()).await.expect("all of it");
        let text = match encoding.as_deref() {
            None => bytes.to_vec(),
            Some("zstd") => zstd::decode_all(&bytes[..]).expect("zstd"),
            Some(_) => {
                let mut text = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text).expect("gzip");
                text
            }
        };
        assert!(text == expected.as_bytes(), "{encoding:?}: {} of {} bytes", text.len(), expected.len());
    }
    test.close().await;
}
