//! The port itself: slow, greedy and rude clients, and the end of the server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::agent_grpc::Agent;
use crate::app::{TestApp, until, within};

const LIST: &str = "/millrace.v1.PipelineService/ListRuns";
/// What a client has at least to say what it wants; the server gives it 15 s.
const HEADER_READ_MIN: Duration = Duration::from_secs(14);

async fn connect(test: &TestApp) -> TcpStream {
    TcpStream::connect(test.address()).await.expect("a connection")
}

/// That the server serves somebody else, now.
async fn assert_serves(test: &TestApp) {
    let client = reqwest::Client::builder().http1_only().build().expect("a client");
    let answer = within("/healthz", client.get(format!("{}/healthz", test.url)).send()).await.expect("an answer");
    assert_eq!(answer.text().await.expect("text"), "ok\n");
}

async fn post(client: &reqwest::Client, url: String, body: impl Into<reqwest::Body>) -> (u16, reqwest::Version, Value) {
    let request = client.post(&url).header("content-type", "application/json").body(body);
    let answer = within("an answer", request.send()).await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    let (status, version) = (answer.status().as_u16(), answer.version());
    let text = answer.text().await.expect("a body");
    (status, version, serde_json::from_str(&text).unwrap_or_else(|_| json!({ "text": text })))
}

#[tokio::test]
async fn both_versions_of_http_on_one_port() {
    let test = TestApp::open().await;
    let one = reqwest::Client::builder().http1_only().build().expect("a client");
    let two = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    for (client, version) in [(&one, reqwest::Version::HTTP_11), (&two, reqwest::Version::HTTP_2)] {
        let (status, spoken, answer) = post(client, format!("{}{LIST}", test.url), "{}").await;
        assert_eq!((status, spoken, answer), (200, version, json!({})));
    }
    test.close().await;
}

#[tokio::test]
async fn clients_that_never_finish_are_ended_and_nobody_waits_for_them() {
    let test = TestApp::open().await;
    let begun = Instant::now();
    let mut slow = Vec::new();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for said in [
        &b""[..],
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        &preface[..10],
        // All of the preface, but none of the settings that must follow.
        preface,
    ] {
        let mut stream = connect(&test).await;
        stream.write_all(said).await.expect("sent");
        slow.push((String::from_utf8_lossy(said).into_owned(), stream));
    }
    for _ in 0..100 {
        let mut stream = connect(&test).await;
        stream.write_all(b"POST /x HTTP/1.1\r\n").await.expect("sent");
        slow.push(("one of many".into(), stream));
    }
    assert_serves(&test).await;
    for (said, mut stream) in slow {
        let mut rest = Vec::new();
        // An answer (408) or none, an end or a reset: but over.
        let _ = within(&format!("the end of {said:?}"), stream.read_to_end(&mut rest)).await;
    }
    assert!(begun.elapsed() >= HEADER_READ_MIN, "ended too soon: {:?}", begun.elapsed());
    assert_serves(&test).await;
    test.close().await;
}

#[tokio::test]
async fn giant_headers_are_refused_with_431() {
    let test = TestApp::open().await;
    let large = "x".repeat(70 * 1024);
    for client in [
        reqwest::Client::builder().http1_only().build().expect("a client"),
        reqwest::Client::builder().http2_prior_knowledge().build().expect("a client"),
    ] {
        let answer = client.get(format!("{}/healthz", test.url)).header("x-large", &large).send().await;
        // An HTTP/2 client that heeds the server's setting does not even send it.
        if let Ok(answer) = answer {
            assert_eq!(answer.status(), 431, "{:?}", answer.version());
        }
        let answer = client.get(format!("{}/healthz", test.url)).header("x-large", &large[..32 * 1024]).send().await;
        assert_eq!(answer.expect("an answer").status(), 200, "what fits is fine");
    }
    let mut stream = connect(&test).await;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Large: {large}\r\n\r\n");
    let mut answer = vec![0; 12];
    stream.write_all(request.as_bytes()).await.expect("sent");
    within("the refusal", stream.read_exact(&mut answer)).await.expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 431");
    assert_serves(&test).await;
    test.close().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_by_name() {
    let test = TestApp::open().await;
    let client = reqwest::Client::builder().http1_only().build().expect("a client");
    let large = |bytes: usize| format!("{{\"runId\":\"{}\"}}", "x".repeat(bytes));
    let (status, _, answer) =
        post(&client, format!("{}/millrace.v1.PipelineService/GetRun", test.url), large(5 * 1024 * 1024)).await;
    assert_eq!((status, &answer["code"]), (429, &json!("resource_exhausted")), "{answer}");
    assert!(answer["message"].as_str().expect("a message").contains("4194304"), "{answer}");
    let (status, _, answer) =
        post(&client, format!("{}/api/v1/pipeline/state", test.url), large(9 * 1024 * 1024)).await;
    assert_eq!(status, 413, "{answer}");
    assert!(answer.to_string().contains("8388608"), "it names the limit: {answer}");

    // A workflow at its own limit is refused for what it is, not for the size of its envelope.
    let workflow = "#".repeat(1024 * 1024 + 1);
    let body = json!({ "workflow": workflow, "fileName": "big.yml" }).to_string();
    let (status, _, answer) = post(&client, format!("{}/millrace.v1.PipelineService/Run", test.url), body).await;
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().expect("a message").contains("1048576"), "{answer}");
    test.close().await;
}

#[tokio::test]
async fn a_thousand_reset_streams_do_not_bring_it_down() {
    let test = TestApp::open().await;
    let (mut client, connection) = h2::client::handshake(connect(&test).await).await.expect("HTTP/2");
    let driving = tokio::spawn(connection);
    let mut sent = 0;
    for _ in 0..1_000 {
        let Ok(ready) = within("room for a stream", client.clone().ready()).await else { break };
        client = ready;
        let uri = format!("{}/pkg.proto.runner.v1.RunnerService/FetchTask", test.url);
        let request = http::Request::post(uri).header("content-type", "application/grpc").body(()).expect("a request");
        let Ok((_answer, mut stream)) = client.send_request(request, false) else { break };
        stream.send_reset(h2::Reason::CANCEL);
        sent += 1;
    }
    assert!(sent > 100, "{sent}");
    drop(client);
    // It may be sent away for that; others are not.
    let _ = within("the connection's end", driving).await;
    assert_serves(&test).await;
    until("nobody waits", || test.app.scheduler.waiting() == 0).await;
    test.close().await;
}

#[tokio::test]
async fn nonsense_on_the_port_harms_nobody() {
    let test = TestApp::open().await;
    for said in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
    ] {
        let mut stream = connect(&test).await;
        stream.write_all(said).await.expect("sent");
        stream.shutdown().await.expect("closed");
        let mut rest = Vec::new();
        let _ = within("its end", stream.read_to_end(&mut rest)).await;
    }
    // Two lengths: who believes the one and who believes the other must not both be served.
    let mut stream = connect(&test).await;
    let smuggled = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 40\r\n\r\nGET /";
    stream.write_all(smuggled).await.expect("sent");
    let mut answer = vec![0; 12];
    within("the refusal", stream.read_exact(&mut answer)).await.expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 400");
    assert_serves(&test).await;
    test.close().await;
}

#[tokio::test]
async fn at_its_end_waiting_agents_are_answered_and_new_ones_are_not_taken() {
    let test = TestApp::with_tokens().await;
    let agent = Agent::register(&test, "waiting").await;
    let mut client = agent.client.clone();
    let waiting =
        tokio::spawn(
            async move { client.fetch_task(millrace_bench::wire::runner_v1::FetchTaskRequest::default()).await },
        );
    until("the agent waits", || test.app.scheduler.waiting() == 1).await;
    let begun = Instant::now();
    test.begin_stop();
    let answer = within("the answer", waiting).await.expect("no panic").expect("an answer").into_inner();
    assert!(!answer.success && answer.message.contains("stopping"), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let refused = within("the port's end", async {
        loop {
            match TcpStream::connect(test.address()).await {
                Err(error) => break error,
                Ok(_) => tokio::task::yield_now().await,
            }
        }
    });
    assert_eq!(refused.await.kind(), std::io::ErrorKind::ConnectionRefused);
    test.close().await;
}

#[tokio::test]
async fn what_machines_ask_is_answered() {
    let mut test = TestApp::open().await;
    test.start_runner(1, &[]).await;
    let run = test.run("jobs: { a: { runs-on: self-hosted, steps: [{ run: echo x }] } }").await;
    test.finished(&run.id).await;
    let get = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", test.url)).await.expect("an answer");
        (answer.status().as_u16(), answer.headers()["content-type"].clone(), answer.text().await.expect("text"))
    };
    assert_eq!(get("/healthz").await.2, "ok\n");
    assert_eq!(get("/readyz").await.2, "ready\n");
    let version: Value = serde_json::from_str(&get("/version").await.2).expect("JSON");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let (status, kind, metrics) = get("/metrics").await;
    assert_eq!(status, 200);
    assert!(kind.to_str().expect("text").starts_with("application/openmetrics-text"), "{kind:?}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(metrics.contains("pkg.proto.runner.v1.RunnerService/FetchTask"), "{metrics}");
    test.close().await;
}
