//! The commit log as its clients in the field use it, with code generated from their own .proto; and what this server adds:
//! names, projects, other logs by their ids, JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_bench::wire::log_v1;
use millrace_bench::wire::proglog::log_client::LogClient;
use millrace_bench::wire::proglog::{ConsumeRequest, ProduceRequest, Record};
use millrace_server::auth::Role;
use millrace_server::config::RawLogConfig;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::app::{Options, TestApp, Wire, within};
use crate::cas_client::{Remote, hex};

/// How many records a test sends where many are meant.
const MANY: u64 = 20_000;

/// A client of the old kind.
fn stranger(test: &TestApp) -> LogClient<Wire> {
    LogClient::new(test.wire())
}

fn record(value: impl Into<Vec<u8>>) -> ProduceRequest {
    ProduceRequest { record: Some(Record { value: value.into(), offset: 0 }) }
}

/// A client that knows of names.
struct Named {
    client: log_v1::log_client::LogClient<Wire>,
    log: String,
}

impl Named {
    fn new(test: &TestApp, token: Option<&str>, log: &str) -> Self {
        let client = log_v1::log_client::LogClient::new(test.wire_with(token.or(test.admin.as_deref())));
        Self { client, log: log.into() }
    }

    async fn produce(&mut self, value: &[u8]) -> Result<u64, Status> {
        let record = Some(log_v1::Record { value: value.to_vec(), offset: 0 });
        let request = log_v1::ProduceRequest { record, log: Some(self.log.clone()) };
        Ok(within("Produce", self.client.produce(request)).await?.into_inner().offset)
    }

    async fn consume(&mut self, offset: u64) -> Result<Vec<u8>, Status> {
        let request = log_v1::ConsumeRequest { offset, log: Some(self.log.clone()) };
        let answer = within("Consume", self.client.consume(request)).await?.into_inner();
        Ok(answer.record.expect("a record").value)
    }
}

#[tokio::test]
async fn one_named_log_too_many_is_refused_and_those_that_are_there_go_on() {
    let logs = RawLogConfig { named_max: Some(2), ..Default::default() };
    let test = TestApp::start(Options { logs, ..Options::default() }).await;
    for name in ["one", "two"] {
        assert_eq!(Named::new(&test, None, name).produce(b"first").await.expect("a new log"), 0);
    }
    let refused = Named::new(&test, None, "three").produce(b"first").await.expect_err("one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("the limit is 2 (--log-named-max)"), "{refused}");
    assert_eq!(Named::new(&test, None, "two").produce(b"second").await.expect("it is there"), 1);
    let metrics = reqwest::get(format!("{}/metrics", test.url)).await.expect("an answer").text().await.expect("text");
    for line in ["millrace_events_refusing_logs 0", "millrace_events_held 0", "millrace_events_given_up_total 0"] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
    test.close().await;
}

#[tokio::test]
async fn a_record_that_was_produced_is_consumed() {
    let test = TestApp::open().await;
    let mut client = stranger(&test);
    let produced = client.produce(record("hello world")).await.expect("stored").into_inner();
    assert_eq!(produced.offset, 0);
    let consumed = client.consume(ConsumeRequest { offset: 0 }).await.expect("a record").into_inner();
    assert_eq!(consumed.record, Some(Record { value: b"hello world".to_vec(), offset: 0 }));
    test.close().await;
}

#[tokio::test]
async fn past_the_end_is_out_of_range_and_says_so_to_people() {
    let test = TestApp::open().await;
    let mut client = stranger(&test);
    let empty = client.consume(ConsumeRequest { offset: 0 }).await.expect_err("nothing is there");
    assert_eq!(empty.code(), Code::OutOfRange, "{empty:?}");
    let produced = client.produce(record("hello world")).await.expect("stored").into_inner();
    for offset in [produced.offset + 1, u64::MAX] {
        let past = client.consume(ConsumeRequest { offset }).await.expect_err("past the end");
        assert_eq!(past.code(), Code::OutOfRange, "{past:?}");
        let shown = past.get_details_localized_message();
        let shown = shown.unwrap_or_else(|| panic!("words for people: {:?} {:?}", past.details(), past.metadata()));
        assert_eq!(shown.locale, "en-US");
        assert_eq!(shown.message, format!("The requested offset is outside the log's range: {offset}"));
    }
    test.close().await;
}

#[tokio::test]
async fn streams_of_records() {
    let test = TestApp::open().await;
    let mut client = stranger(&test);
    let records = [&b"first message"[..], b"second message", b"", b"third\nmessage\n"];
    let (send, requests) = mpsc::channel(1);
    let call = client.produce_stream(ReceiverStream::new(requests));
    send.send(record(records[0])).await.expect("the call goes on");
    let mut answers = within("ProduceStream", call).await.expect("a stream").into_inner();
    for (number, value) in (0..).zip(records) {
        // One by one: the answer comes before the next is sent.
        if number > 0 {
            send.send(record(value)).await.expect("the call goes on");
        }
        let answer = within("an answer", answers.message()).await.expect("no error").expect("an answer");
        assert_eq!(answer.offset, number);
    }
    drop(send);
    assert!(within("the end", answers.message()).await.expect("a clean end").is_none());

    let stream = client.consume_stream(ConsumeRequest { offset: 0 }).await.expect("a stream");
    let mut stream = stream.into_inner();
    for (offset, value) in (0..).zip(records) {
        let answer = within("a record", stream.message()).await.expect("no error").expect("a record");
        assert_eq!(answer.record, Some(Record { value: value.to_vec(), offset }));
    }
    // It waits for what comes.
    client.produce(record("late")).await.expect("stored");
    let answer = within("a record", stream.message()).await.expect("no error").expect("a record");
    assert_eq!(answer.record, Some(Record { value: b"late".to_vec(), offset: 4 }));
    // Past the end, too.
    let mut far = client.consume_stream(ConsumeRequest { offset: 6 }).await.expect("a stream").into_inner();
    for value in ["five", "six"] {
        client.produce(record(value)).await.expect("stored");
    }
    let answer = within("a record", far.message()).await.expect("no error").expect("a record");
    assert_eq!(answer.record, Some(Record { value: b"six".to_vec(), offset: 6 }));
    // When the server stops, it is not the log's end.
    test.begin_stop();
    let status = loop {
        match within("the stream's end", far.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a clean end would say that the log is complete"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    drop((stream, far, client));
    test.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_by_two_writers_and_a_consumer_that_is_slow() {
    let test = TestApp::open().await;
    let mut slow = stranger(&test).consume_stream(ConsumeRequest { offset: 0 }).await.expect("a stream").into_inner();
    let writers: Vec<_> = ["a", "b"]
        .map(|writer| {
            let mut client = stranger(&test);
            tokio::spawn(async move {
                let filling = "x".repeat(200);
                let requests = (0..MANY).map(|number| record(format!("{writer} {number} {filling}")));
                let requests: Vec<_> = requests.collect();
                let call = client.produce_stream(tokio_stream::iter(requests));
                let mut answers = call.await.expect("a stream").into_inner();
                let mut offsets = Vec::new();
                while let Some(answer) = answers.message().await.expect("no error") {
                    offsets.push(answer.offset);
                }
                (writer, offsets)
            })
        })
        .into();
    // All is written before the consumer reads on.
    let mut written = Vec::new();
    for writer in writers {
        written.push(within("a writer", writer).await.expect("no panic"));
    }
    let mut consumed = Vec::new();
    for offset in 0..2 * MANY {
        let answer = within("a record", slow.message()).await.expect("no error").expect("a record");
        let record = answer.record.expect("a record");
        assert_eq!(record.offset, offset);
        consumed.push(String::from_utf8(record.value).expect("text"));
    }
    for (writer, offsets) in written {
        assert_eq!(offsets.len() as u64, MANY, "an answer for each");
        assert!(offsets.is_sorted(), "in order");
        for (number, offset) in offsets.into_iter().enumerate() {
            assert!(consumed[offset as usize].starts_with(&format!("{writer} {number} ")), "record {offset}");
        }
    }
    drop(slow);
    test.close().await;
}

#[tokio::test]
async fn names_and_limits() {
    let test = TestApp::open().await;
    let mut orders = Named::new(&test, None, "orders");
    assert_eq!(orders.produce(b"one").await.expect("stored"), 0);
    assert_eq!(orders.produce(b"two").await.expect("stored"), 1);
    assert_eq!(Named::new(&test, None, "").produce(b"x").await.expect("stored"), 0, "another log");
    assert_eq!(Named::new(&test, None, "default").consume(0).await.expect("a record"), b"x");
    assert_eq!(Named::new(&test, None, "r.e3b0c44298fc1c14.orders").consume(1).await.expect("by its id"), b"two");
    for (log, code, words) in [
        ("Orders", Code::InvalidArgument, ["log: ", "a-z"]),
        ("events", Code::PermissionDenied, ["events", "server"]),
        ("r.e3b0c44298fc1c14.orders", Code::PermissionDenied, ["log: ", "name"]),
        ("run.0.0.0", Code::PermissionDenied, ["log: ", "name"]),
    ] {
        let refused = Named::new(&test, None, log).produce(b"x").await.expect_err(log);
        assert_eq!(refused.code(), code, "{refused:?}");
        assert!(words.iter().all(|word| refused.message().contains(word)), "{refused:?}");
    }
    for (log, code) in [("no.such.log", Code::NotFound), ("a/b", Code::InvalidArgument), ("never", Code::OutOfRange)] {
        let refused = Named::new(&test, None, log).consume(0).await.expect_err(log);
        assert_eq!(refused.code(), code, "{log}: {refused:?}");
    }
    let most = vec![b'm'; 1024 * 1024];
    assert_eq!(orders.produce(&most).await.expect("just fits"), 2);
    assert!(orders.consume(2).await.expect("a record") == most);
    let refused = orders.produce(&[most, vec![b'+']].concat()).await.expect_err("too long");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("record.value: ") && refused.message().contains("1048576"), "{refused:?}");
    let none = stranger(&test).produce(ProduceRequest { record: None }).await.expect_err("no record");
    assert!(none.code() == Code::InvalidArgument && none.message().contains("record: "), "{none:?}");

    // The answers before a refusal come first.
    let requests = vec![record("good"), record("good, too"), ProduceRequest { record: None }, record("after")];
    let mut answers =
        stranger(&test).produce_stream(tokio_stream::iter(requests)).await.expect("a stream").into_inner();
    for offset in [1, 2] {
        assert_eq!(within("an answer", answers.message()).await.expect("no error").expect("an answer").offset, offset);
    }
    let refused = within("the refusal", answers.message()).await.expect_err("no record");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let past = stranger(&test).consume(ConsumeRequest { offset: 3 }).await.expect_err("nothing after it was stored");
    assert_eq!(past.code(), Code::OutOfRange);
    test.close().await;
}

#[tokio::test]
async fn each_project_has_its_own_logs() {
    let test = TestApp::with_tokens().await;
    let own = test.token_for(Role::Run, "team/app").await;
    let other = test.token_for(Role::Run, "team/other").await;
    let (mut mine, mut theirs) = (Named::new(&test, Some(&own), "audit"), Named::new(&test, Some(&other), "audit"));
    assert_eq!(mine.produce(b"of the app").await.expect("stored"), 0);
    assert_eq!(theirs.produce(b"of the other").await.expect("stored"), 0);
    assert_eq!(mine.consume(0).await.expect("a record"), b"of the app");
    let writer = test.token_for(Role::CacheWrite, "team/app").await;
    let mut written = Named::new(&test, Some(&writer), "audit");
    assert_eq!(written.produce(b"by who writes logs").await.expect("stored"), 1);
    let refused = written.consume(0).await.expect_err("may not read runs");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let reader = test.token_for(Role::Read, "team/app").await;
    let refused = Named::new(&test, Some(&reader), "audit").produce(b"x").await.expect_err("may not write");
    assert_eq!(refused.code(), Code::PermissionDenied);

    // By its id, by any door: the project's alone.
    let id = format!("r.{}.audit", hex(&Sha256::digest("team/app")[..8]));
    assert_eq!(Named::new(&test, Some(&reader), &id).consume(1).await.expect("a record"), b"by who writes logs");
    let hidden = Named::new(&test, Some(&other), &id).consume(0).await.expect_err("hidden");
    assert_eq!(hidden.code(), Code::NotFound, "{hidden:?}");
    let name = format!("team/app/logstreams/{id}");
    let read = async |token: &str, name: &str| {
        let remote = Remote::with(&test, token, "");
        let request = bazel_remote_apis::google::bytestream::ReadRequest {
            resource_name: name.into(),
            read_offset: 0,
            read_limit: 10,
        };
        let mut stream = remote.bytes.clone().read(request).await?.into_inner();
        Ok::<_, Status>(within("bytes", stream.message()).await?.map(|answer| answer.data))
    };
    assert_eq!(read(&reader, &name).await.expect("bytes").as_deref(), Some(&b"of the app"[..]));
    let cache_reader = test.token_for(Role::CacheRead, "team/app").await;
    for token in [&other, &cache_reader] {
        let hidden = read(token, &name).await.expect_err("hidden");
        assert_eq!(hidden.code(), Code::NotFound, "{hidden:?}");
    }
    let theirs_by_own_instance = read(&other, &format!("team/other/logstreams/{id}")).await.expect_err("hidden");
    assert_eq!(theirs_by_own_instance.code(), Code::NotFound);
    for (token, status) in [(&reader, 200), (&other, 404)] {
        let url = format!("{}/logs/{id}/raw", test.url);
        let answer = reqwest::Client::new().get(url).bearer_auth(token).send().await.expect("an answer");
        assert_eq!(answer.status(), status);
    }
    test.close().await;
}

#[tokio::test]
async fn logs_that_are_no_streams_are_read_by_byte_stream_and_not_written() {
    let test = TestApp::open().await;
    Named::new(&test, None, "orders").produce(b"one").await.expect("stored");
    let remote = Remote::of(&test);
    let name = "logstreams/r.e3b0c44298fc1c14.orders";
    assert_eq!(remote.read_part(name, 1, 2).await.expect("bytes"), b"ne");
    let secret = "0123456789abcdef0123456789abcdef";
    for (name, code) in [(name.to_owned(), Code::InvalidArgument), (format!("{name}/{secret}"), Code::NotFound)] {
        let refused = remote.write(&name, b"x").await.expect_err("not to be written");
        assert_eq!(refused.code(), code, "{name}: {refused:?}");
        let refused = remote.status(&name).await.expect_err("not to be written");
        assert_eq!(refused.code(), code, "{name}: {refused:?}");
    }
    let missing = remote.read("logstreams/r.e3b0c44298fc1c14.none").await.expect_err("no such log");
    assert_eq!(missing.code(), Code::NotFound, "{missing:?}");
    test.close().await;
}

/// What `curl` gets by HTTP/1.1.
async fn call(test: &TestApp, path: &str, content_type: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
    let client = reqwest::Client::builder().http1_only().build().expect("a client");
    let request = client.post(format!("{}/{path}", test.url)).header("content-type", content_type).body(body);
    let answer = within(path, request.send()).await.expect("an answer");
    (answer.status().as_u16(), within("the body", answer.bytes()).await.expect("a body").to_vec())
}

#[tokio::test]
async fn json_by_http_1() {
    let test = TestApp::open().await;
    let json_call = async |method: &str, message: Value| {
        let (status, body) = call(&test, method, "application/json", message.to_string().into_bytes()).await;
        (status, serde_json::from_slice::<Value>(&body).expect("JSON"))
    };
    let value = STANDARD.encode("hello\nworld");
    let (status, answer) =
        json_call("log.v1.Log/Produce", json!({ "log": "by-curl", "record": { "value": value } })).await;
    assert_eq!((status, answer), (200, json!({})), "number 0 is not written in JSON");
    let below = "api/v1/pipeline/log.v1.Log/Consume";
    let (status, answer) = json_call(below, json!({ "log": "by-curl" })).await;
    assert_eq!((status, &answer["record"]["value"]), (200, &json!(value)));
    let (status, answer) = json_call("log.v1.Log/Consume", json!({ "log": "by-curl", "offset": "7" })).await;
    assert_eq!((status, &answer["code"]), (400, &json!("out_of_range")));
    assert_eq!(answer["details"][0]["type"], "google.rpc.LocalizedMessage");

    // Records in one body, answers in one: HTTP/1.1 has no more than that, and it is enough.
    let envelope = |message: &Value| {
        let message = message.to_string().into_bytes();
        [&[0][..], &u32::try_from(message.len()).expect("short").to_be_bytes(), &message].concat()
    };
    let record = |text: &str| json!({ "log": "by-curl", "record": { "value": STANDARD.encode(text) } });
    let body = ["one", "two", "three"].map(|text| envelope(&record(text))).concat();
    let (status, body) = call(&test, "log.v1.Log/ProduceStream", "application/connect+json", body).await;
    assert_eq!(status, 200);
    let (mut rest, mut answers) = (&body[..], Vec::new());
    while let [flags, a, b, c, d, more @ ..] = rest {
        let (message, next) = more.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        answers.push((*flags, serde_json::from_slice::<Value>(message).expect("JSON")));
        rest = next;
    }
    let offset = |number: &str| (0, json!({ "offset": number }));
    assert_eq!(answers, [offset("1"), offset("2"), offset("3"), (2, json!({}))]);
    test.close().await;
}

#[tokio::test]
async fn grpc_web() {
    let test = TestApp::open().await;
    let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let web = tonic_web::GrpcWebClientService::new(http);
    let mut client = LogClient::with_origin(web, test.url.parse().expect("an address"));
    assert_eq!(client.produce(record("by the web")).await.expect("stored").into_inner().offset, 0);
    let past = client.consume(ConsumeRequest { offset: 1 }).await.expect_err("past the end");
    assert_eq!(past.code(), Code::OutOfRange, "{past:?}");
    let mut stream = client.consume_stream(ConsumeRequest { offset: 0 }).await.expect("a stream").into_inner();
    let answer = within("a record", stream.message()).await.expect("no error").expect("a record");
    assert_eq!(answer.record.expect("a record").value, b"by the web");
    drop((stream, client));
    test.close().await;
}
