//! Logs while they are written and afterwards: `LogService` by tonic, and plain text as curl gets it.

use millrace_bench::wire::millrace_v1::follow_request::Start;
use millrace_bench::wire::millrace_v1::follow_response::Event;
use millrace_bench::wire::millrace_v1::{
    FollowRequest, FollowResponse, GetLogRequest, ReadLinesRequest, Run, State, log_mark,
};
use reqwest::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use tonic::{Code, Streaming};

use crate::agent_grpc::{Agent, log_of, update_of};
use crate::app::{TestApp, within};

const ONE_JOB: &str = "jobs:\n  one:\n    runs-on: stock\n    steps:\n      - run: echo first\n";

/// A run whose log has these rows, and the agent that has its job.
pub async fn printed(test: &TestApp, rows: &[&str]) -> (Agent, Run, String) {
    let mut agent = Agent::register(test, "printer").await;
    let run = test.run(ONE_JOB).await;
    agent.fetch("", 0).await.expect("a task");
    agent.client.update_task(update_of(&run, "running")).await.expect("running");
    agent.client.update_log(log_of(&run, rows)).await.expect("stored");
    let log = test.get(&run.id).await.jobs[0].steps[0].log_id.clone();
    (agent, run, log)
}

/// Ends the log and the job.
pub async fn ended(agent: &mut Agent, run: &Run, rows: i64) {
    let end = millrace_bench::wire::runner_v1::UpdateLogRequest { index: rows, no_more: true, ..log_of(run, &[]) };
    agent.client.update_log(end).await.expect("ended");
    agent.client.update_task(update_of(run, "success")).await.expect("success");
}

async fn follow(test: &TestApp, log: &str, start: Option<Start>) -> Streaming<FollowResponse> {
    let request = FollowRequest { log_id: log.into(), start };
    test.logs().follow(request).await.expect("a stream").into_inner()
}

/// The stream's next event that is not a heartbeat; None at its end.
async fn next(stream: &mut Streaming<FollowResponse>) -> Option<Event> {
    loop {
        match within("the tail", stream.message()).await.expect("a message")?.event.expect("an event") {
            Event::Heartbeat(_) => {}
            event => return Some(event),
        }
    }
}

/// The text of a stream up to its end, with the offset it began at, and the size the end tells.
async fn rest(stream: &mut Streaming<FollowResponse>) -> (Option<u64>, String, u64) {
    let (mut begun, mut text) = (None, String::new());
    loop {
        match next(stream).await.expect("an end") {
            Event::Data(data) => {
                assert_eq!(*begun.get_or_insert(data.offset) + text.len() as u64, data.offset, "no hole");
                assert_eq!(data.line_meta.len(), data.data.split_inclusive(|byte| *byte == b'\n').count() * 8);
                text.push_str(std::str::from_utf8(&data.data).expect("text"));
            }
            Event::End(end) => {
                assert!(next(stream).await.is_none(), "nothing after the end");
                return (begun, text, end.size_bytes);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn lines_of_a_real_process_are_seen_while_it_runs() {
    let mut test = TestApp::with_tokens().await;
    let gate = test.scratch().join("gate");
    test.start_runner(1, &[]).await;
    let workflow = format!(
        "jobs:\n  one:\n    runs-on: self-hosted\n    steps:\n      - run: |\n          echo one\n          until [ -e '{}' ]; do sleep 0.05; done\n          echo two\n",
        gate.display()
    );
    let run = test.run(&workflow).await;
    let run = test.wait(&run.id, "running", |run| !run.jobs[0].steps[0].log_id.is_empty()).await;
    let log = run.jobs[0].steps[0].log_id.clone();
    let mut stream = follow(&test, &log, None).await;
    assert!(
        matches!(next(&mut stream).await, Some(Event::Hello(hello)) if hello.log.as_ref().is_some_and(|log| !log.complete))
    );
    let mut seen = String::new();
    while !seen.contains("one\n") {
        let Some(Event::Data(data)) = next(&mut stream).await else { panic!("no data") };
        seen.push_str(std::str::from_utf8(&data.data).expect("text"));
    }
    assert_eq!(test.get(&run.id).await.state(), State::Running, "the process still waits");
    std::fs::write(&gate, "").expect("the gate opens");
    let (from, text, size) = rest(&mut stream).await;
    assert_eq!(from, Some(seen.len() as u64));
    assert!(text.ends_with("two\n"), "{text:?}");
    assert_eq!(size, (seen.len() + text.len()) as u64);

    // Whoever was cut off at that place gets exactly the rest.
    let mut again = follow(&test, &log, Some(Start::Offset(seen.len() as u64))).await;
    assert!(matches!(next(&mut again).await, Some(Event::Hello(_))));
    assert_eq!(rest(&mut again).await, (from, text, size));
    assert_eq!(test.finished(&run.id).await.state(), State::Success);
    test.close().await;
}

#[tokio::test]
async fn a_tail_begins_where_it_was_asked_to() {
    let test = TestApp::with_tokens().await;
    let (mut agent, run, log) = printed(&test, &["aaa", "bb", "c"]).await;
    ended(&mut agent, &run, 3).await;
    for (start, begun, text) in [
        (None, Some(0), "aaa\nbb\nc\n"),
        (Some(Start::Offset(4)), Some(4), "bb\nc\n"),
        (Some(Start::Offset(9)), None, ""),
        (Some(Start::LastLines(1)), Some(7), "c\n"),
        (Some(Start::LastLines(99)), Some(0), "aaa\nbb\nc\n"),
        (Some(Start::LastLines(0)), None, ""),
    ] {
        let mut stream = follow(&test, &log, start).await;
        assert!(matches!(next(&mut stream).await, Some(Event::Hello(_))));
        assert_eq!(rest(&mut stream).await, (begun, text.to_owned(), 9), "{start:?}");
    }
    let mut logs = test.logs();
    for (id, start, code, word) in [
        (log.as_str(), Start::Offset(1), Code::InvalidArgument, "offset"),
        (&log, Start::Offset(10), Code::InvalidArgument, "offset"),
        ("none", Start::Offset(0), Code::NotFound, "none"),
        ("../x", Start::Offset(0), Code::InvalidArgument, "log_id"),
    ] {
        let request = FollowRequest { log_id: id.into(), start: Some(start) };
        let status = match logs.follow(request).await {
            Err(status) => status,
            Ok(stream) => {
                let mut stream = stream.into_inner();
                loop {
                    match within("a refusal", stream.message()).await {
                        Err(status) => break status,
                        Ok(Some(_)) => {}
                        Ok(None) => panic!("{id} {start:?} was taken"),
                    }
                }
            }
        };
        assert_eq!(status.code(), code, "{id} {start:?}: {status:?}");
        assert!(status.message().contains(word), "{status:?}");
    }
    test.close().await;
}

#[tokio::test]
async fn the_log_of_another_job_is_not_the_end_of_this_one() {
    let test = TestApp::with_tokens().await;
    let (mut agent, run, log) = printed(&test, &[]).await;
    let mut stream = follow(&test, &log, None).await;
    assert!(matches!(next(&mut stream).await, Some(Event::Hello(_))), "a log without a line yet can be followed");
    agent.client.update_log(log_of(&run, &["first"])).await.expect("stored");
    assert!(matches!(next(&mut stream).await, Some(Event::Data(data)) if data.data == b"first\n"));
    ended(&mut agent, &run, 1).await;
    assert!(matches!(next(&mut stream).await, Some(Event::End(end)) if end.lines == 1));
    test.close().await;
}

#[tokio::test]
async fn lines_marks_and_sizes() {
    let test = TestApp::with_tokens().await;
    let rows = ["##[group]build", "x", "##[endgroup]", "##[error]no"];
    let (mut agent, run, log) = printed(&test, &rows).await;
    let stat = test.logs().get_log(GetLogRequest { log_id: log.clone() }).await.expect("a log").into_inner();
    let stat = stat.log.expect("a log");
    assert_eq!((stat.lines, stat.complete), (4, false));
    let marks: Vec<_> = stat.marks.iter().map(|mark| (mark.kind(), mark.line)).collect();
    assert_eq!(marks, [(log_mark::Kind::Group, 0), (log_mark::Kind::Endgroup, 2), (log_mark::Kind::Error, 3)]);
    ended(&mut agent, &run, 4).await;

    let read = async |request: ReadLinesRequest| {
        let request = ReadLinesRequest { log_id: log.clone(), text: true, ..request };
        test.logs().read_lines(request).await.map(tonic::Response::into_inner)
    };
    let some = read(ReadLinesRequest { first_line: 1, max_lines: 2, ..Default::default() }).await.expect("lines");
    assert_eq!((some.rows.as_slice(), some.first_line, some.total_lines), (&rows.map(String::from)[1..3], 1, 4));
    assert!(some.complete && some.offset == 15);
    let last = read(ReadLinesRequest { last_lines: 1, ..Default::default() }).await.expect("lines");
    assert_eq!((last.rows.as_slice(), last.first_line), (&["##[error]no".to_owned()][..], 3));
    let past = read(ReadLinesRequest { first_line: 99, ..Default::default() }).await.expect("nothing");
    assert_eq!((past.rows.len(), past.lines), (0, 0));
    let one = read(ReadLinesRequest { max_bytes: 1, ..Default::default() }).await.expect("one line at least");
    assert_eq!(one.rows, ["##[group]build"]);
    for (request, words) in [
        (ReadLinesRequest { max_lines: 100_001, ..Default::default() }, ["max_lines", "100000"]),
        (ReadLinesRequest { max_bytes: 4 * 1024 * 1024 + 1, ..Default::default() }, ["max_bytes", "4194304"]),
    ] {
        let status = read(request).await.expect_err("past the limit");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(words.iter().all(|word| status.message().contains(word)), "{status:?}");
    }
    test.close().await;
}

/// A GET (or HEAD) of the plain log with the administrator's token.
async fn raw(test: &TestApp, method: &str, path: &str, range: Option<&str>) -> reqwest::Response {
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let client = reqwest::Client::builder().http1_only().build().expect("a client");
    let mut request = client.request(method, format!("{}/logs/{path}", test.url));
    if let Some(token) = &test.admin {
        request = request.bearer_auth(token);
    }
    if let Some(range) = range {
        request = request.header("range", range);
    }
    within("the log", request.send()).await.expect("an answer")
}

#[tokio::test]
async fn plain_text_with_ranges() {
    let test = TestApp::with_tokens().await;
    let (mut agent, run, log) = printed(&test, &["0123456789", "abc"]).await;
    let path = format!("{log}/raw");
    let open = raw(&test, "GET", &path, None).await;
    assert_eq!(open.headers()[CACHE_CONTROL], "no-store", "it still grows");
    assert_eq!(open.text().await.expect("text"), "0123456789\nabc\n");
    ended(&mut agent, &run, 2).await;

    let whole = raw(&test, "GET", &path, None).await;
    let headers = whole.headers();
    assert_eq!(
        (whole.status().as_u16(), &headers[CONTENT_LENGTH], &headers[ACCEPT_RANGES]),
        (200, &"15".parse().unwrap(), &"bytes".parse().unwrap())
    );
    assert_eq!(headers[CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_ne!(headers[CACHE_CONTROL], "no-store", "it never changes again");
    assert!(headers.get(CONTENT_DISPOSITION).is_none());
    for (range, status, text, place) in [
        ("bytes=0-3", 206, "0123", "bytes 0-3/15"),
        ("bytes=11-", 206, "abc\n", "bytes 11-14/15"),
        ("bytes=-4", 206, "abc\n", "bytes 11-14/15"),
        ("bytes=15-", 416, "", "bytes */15"),
    ] {
        let part = raw(&test, "GET", &path, Some(range)).await;
        assert_eq!(
            (part.status().as_u16(), part.headers()[CONTENT_RANGE].to_str().unwrap()),
            (status, place),
            "{range}"
        );
        assert_eq!(part.text().await.expect("text"), text, "{range}");
    }
    let head = raw(&test, "HEAD", &path, None).await;
    assert_eq!((head.status().as_u16(), head.headers()[CONTENT_LENGTH].to_str().unwrap()), (200, "15"));
    assert_eq!(head.text().await.expect("nothing"), "");
    let file = raw(&test, "GET", &format!("{path}?download=1"), None).await;
    assert_eq!(file.headers()[CONTENT_DISPOSITION], format!("attachment; filename=\"{log}.log\""));
    assert_eq!(file.text().await.expect("text"), "0123456789\nabc\n");
    assert_eq!(raw(&test, "GET", &format!("{path}?tail=1"), None).await.text().await.expect("text"), "abc\n");
    assert_eq!(raw(&test, "GET", "none/raw", None).await.status(), 404);
    assert_eq!(raw(&test, "GET", "%2e%2e%2fx/raw", None).await.status(), 400);
    test.close().await;
}

#[tokio::test]
async fn plain_text_follows_until_the_log_ends() {
    let test = TestApp::with_tokens().await;
    let (mut agent, run, log) = printed(&test, &["one"]).await;
    let mut body = raw(&test, "GET", &format!("{log}/raw?follow=1"), None).await;
    let chunk = within("the first line", body.chunk()).await.expect("a chunk").expect("some");
    assert_eq!(&chunk[..], b"one\n");
    let two = millrace_bench::wire::runner_v1::UpdateLogRequest { index: 1, ..log_of(&run, &["two"]) };
    agent.client.update_log(two).await.expect("stored");
    let chunk = within("the second line", body.chunk()).await.expect("a chunk").expect("some");
    assert_eq!(&chunk[..], b"two\n");
    ended(&mut agent, &run, 2).await;
    assert!(within("the end", body.chunk()).await.expect("a clean end").is_none());
    let late = raw(&test, "GET", &format!("{log}/raw?follow=1&tail=1"), None).await;
    assert_eq!(late.text().await.expect("text"), "two\n");
    test.close().await;
}

#[tokio::test]
async fn a_tail_ends_when_the_server_does() {
    let test = TestApp::with_tokens().await;
    let (_agent, _run, log) = printed(&test, &["one"]).await;
    let mut stream = follow(&test, &log, None).await;
    let mut body = raw(&test, "GET", &format!("{log}/raw?follow=1"), None).await;
    for _ in 0..2 {
        next(&mut stream).await.expect("hello and data");
    }
    test.begin_stop();
    let status = loop {
        match within("the stream's end", stream.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a clean end would say that the log is complete"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    while within("the text's end", body.chunk()).await.expect("a chunk").is_some() {}
    test.close().await;
}
