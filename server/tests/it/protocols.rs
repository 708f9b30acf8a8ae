//! One port, three protocols, and what every gRPC tool asks a server about itself.

use std::collections::{BTreeMap, BTreeSet};

use millrace_bench::wire::millrace_v1::pipeline_service_client::PipelineServiceClient;
use millrace_bench::wire::millrace_v1::{ListRunsRequest, State, WatchRunRequest};
use prost::Message;
use prost_types::FileDescriptorProto;
use serde_json::{Value, json};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::agent_grpc::{Agent, log_of, update_of};
use crate::app::{TestApp, within};

const ONE_JOB: &str = "name: one\njobs:\n  one:\n    runs-on: stock\n    steps:\n      - run: echo first\n";

/// Every service that is served, by its full name.
fn services() -> BTreeSet<String> {
    let set = prost_types::FileDescriptorSet::decode(millrace_proto::FILE_DESCRIPTOR_SET).expect("a descriptor set");
    let files = set.file.iter();
    files.flat_map(|file| file.service.iter().map(|service| format!("{}.{}", file.package(), service.name()))).collect()
}

#[tokio::test]
async fn health_is_known_for_each_service_and_ends_with_the_server() {
    let test = TestApp::with_tokens().await;
    let mut client = HealthClient::new(test.wire_with(None));
    for service in services().into_iter().chain([String::new()]) {
        let answer = client.check(HealthCheckRequest { service: service.clone() }).await.expect("health").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let status = client.check(HealthCheckRequest { service: "no.Such".into() }).await.expect_err("not known");
    assert_eq!(status.code(), Code::NotFound);

    let mut watch = client.watch(HealthCheckRequest::default()).await.expect("a watch").into_inner();
    let next = within("health", watch.message()).await.expect("a message").expect("one");
    assert_eq!(next.status(), ServingStatus::Serving);
    test.begin_stop();
    let next = within("the end's health", watch.message()).await.expect("a message").expect("one");
    assert_eq!(next.status(), ServingStatus::NotServing);
    drop((watch, client));
    test.close().await;
}

/// A reflection client of one version: lists the services, then asks for the files that define each.
macro_rules! reflected {
    ($test:expr, $version:ident) => {{
        use pb::server_reflection_request::MessageRequest;
        use pb::server_reflection_response::MessageResponse;
        use tonic_reflection::pb::$version as pb;
        let mut client = pb::server_reflection_client::ServerReflectionClient::new($test.wire());
        let mut found = BTreeMap::new();
        let ask = async |client: &mut pb::server_reflection_client::ServerReflectionClient<_>, request| {
            let request = pb::ServerReflectionRequest { message_request: Some(request), ..Default::default() };
            let answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream");
            let answer = within("reflection", answers.into_inner().message()).await.expect("an answer").expect("one");
            answer.message_response.expect("something")
        };
        let MessageResponse::ListServicesResponse(list) =
            ask(&mut client, MessageRequest::ListServices(String::new())).await
        else {
            panic!("not a list");
        };
        for service in list.service {
            let asked = MessageRequest::FileContainingSymbol(service.name.clone());
            let files = match ask(&mut client, asked).await {
                MessageResponse::FileDescriptorResponse(files) => files.file_descriptor_proto,
                other => panic!("{}: {other:?}", service.name),
            };
            found.insert(service.name, files);
        }
        found
    }};
}

#[tokio::test]
async fn reflection_lists_and_describes_every_service() {
    let test = TestApp::open().await;
    let mut wanted = services();
    wanted.insert("grpc.health.v1.Health".into());
    let (v1, v1alpha) = (reflected!(test, v1), reflected!(test, v1alpha));
    for found in [v1, v1alpha] {
        let names: BTreeSet<String> = found.keys().cloned().collect();
        assert!(names.is_superset(&wanted), "{names:?} lacks some of {wanted:?}");
        for (name, files) in found {
            let files = files.iter().map(|file| FileDescriptorProto::decode(file.as_slice()).expect("a descriptor"));
            let defined: Vec<String> = files
                .flat_map(|file| {
                    let package = file.package().to_owned();
                    file.service.into_iter().map(move |service| format!("{package}.{}", service.name()))
                })
                .collect();
            assert!(defined.contains(&name), "{name} is not among {defined:?}");
        }
    }
    test.close().await;
}

/// What `curl` gets: status, content type and JSON.
async fn get_json(test: &TestApp, method: &str, message: Value) -> (u16, Value) {
    let query = [("connect", "v1"), ("encoding", "json"), ("message", &message.to_string())];
    let url = reqwest::Url::parse_with_params(&format!("{}/{method}", test.url), query).expect("a URL");
    let client = reqwest::Client::builder().http1_only().build().expect("a client");
    let answer = within(method, client.get(url).send()).await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/json", "{method}");
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON"))
}

#[tokio::test]
async fn reading_calls_are_gets_for_curl() {
    let test = TestApp::open().await;
    let mut agent = Agent::register(&test, "a").await;
    let run = test.run(ONE_JOB).await;
    agent.fetch("", 0).await.expect("a task");
    agent.client.update_task(update_of(&run, "running")).await.expect("running");
    agent.client.update_log(log_of(&run, &["hello", "world"])).await.expect("stored");
    let log = test.get(&run.id).await.jobs[0].steps[0].log_id.clone();

    let (status, answer) = get_json(&test, "millrace.v1.PipelineService/ListRuns", json!({})).await;
    assert_eq!((status, &answer["runs"][0]["id"]), (200, &json!(run.id)));
    let (status, answer) = get_json(&test, "millrace.v1.PipelineService/GetRun", json!({ "runId": run.id })).await;
    assert_eq!((status, &answer["run"]["state"]), (200, &json!("STATE_RUNNING")));
    let below = "api/v1/pipeline/millrace.v1.PipelineService/GetRun";
    assert_eq!(get_json(&test, below, json!({ "runId": run.id })).await.0, 200);
    let (status, answer) = get_json(&test, "millrace.v1.LogService/GetLog", json!({ "logId": log })).await;
    assert_eq!((status, &answer["log"]["sizeBytes"], &answer["log"]["lines"]), (200, &json!("12"), &json!("2")));
    let lines = json!({ "logId": log, "text": true, "firstLine": "1" });
    let (status, answer) = get_json(&test, "millrace.v1.LogService/ReadLines", lines).await;
    assert_eq!((status, &answer["rows"]), (200, &json!(["world"])));
    let (status, answer) = get_json(&test, "millrace.v1.PipelineService/GetRun", json!({ "runId": "none" })).await;
    assert_eq!((status, &answer["code"]), (404, &json!("not_found")));

    // A call that changes something is not for GET.
    let run = format!("{}/millrace.v1.PipelineService/Run?connect=v1&encoding=json&message=%7B%7D", test.url);
    let answer = reqwest::get(run).await.expect("an answer");
    assert_eq!(answer.status(), 405);
    test.close().await;
}

#[tokio::test]
async fn grpc_web_unary_and_streaming() {
    let test = TestApp::open().await;
    let run = test.run(ONE_JOB).await;
    let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let web = tonic_web::GrpcWebClientService::new(http);
    let mut client = PipelineServiceClient::with_origin(web, test.url.parse().expect("an address"));
    let runs = client.list_runs(ListRunsRequest::default()).await.expect("runs").into_inner().runs;
    assert_eq!(runs[0].id, run.id);
    // gRPC-Web has trailers in the body: the refusal comes as the stream's end.
    let mut none = client.watch_run(WatchRunRequest { run_id: "none".into() }).await.expect("a stream").into_inner();
    let status = within("the refusal", none.message()).await.expect_err("no such run");
    assert_eq!(status.code(), Code::NotFound);

    let mut watch = client.watch_run(WatchRunRequest { run_id: run.id.clone() }).await.expect("a watch").into_inner();
    let first = within("the run", watch.message()).await.expect("a message").expect("one").run.expect("a run");
    assert_eq!(first.state(), State::Queued);
    let mut agent = Agent::register(&test, "a").await;
    agent.fetch("", 0).await.expect("a task");
    agent.client.update_task(update_of(&run, "success")).await.expect("success");
    let mut last = first;
    while let Some(message) = within("the run's end", watch.message()).await.expect("a message") {
        last = message.run.unwrap_or(last);
    }
    assert_eq!(last.state(), State::Success, "the stream ends with the run");
    test.close().await;
}

/// Connect's streaming as a browser sends it: each message in an envelope of flags and length.
#[tokio::test]
async fn connect_streams_are_envelopes_of_json_with_an_end() {
    let test = TestApp::open().await;
    let run = test.run(ONE_JOB).await;
    test.pipelines()
        .terminate_run(millrace_bench::wire::millrace_v1::TerminateRunRequest { run_id: run.id.clone() })
        .await
        .expect("terminated");
    let watch = async |id: &str| {
        let message = json!({ "runId": id }).to_string();
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        let body = [&[0][..], &length, message.as_bytes()].concat();
        let url = format!("{}/millrace.v1.PipelineService/WatchRun", test.url);
        let client = reqwest::Client::builder().http1_only().build().expect("a client");
        let request = client.post(url).header("content-type", "application/connect+json").body(body);
        let answer = within("the stream", request.send()).await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"application/connect+json".parse().unwrap())
        );
        let body = within("the end", answer.bytes()).await.expect("a body");
        let (mut rest, mut messages) = (&body[..], Vec::new());
        while let [flags, a, b, c, d, more @ ..] = rest {
            let (message, next) = more.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
            messages.push((*flags, serde_json::from_slice::<Value>(message).expect("JSON")));
            rest = next;
        }
        messages
    };
    let messages = watch(&run.id).await;
    assert_eq!((messages[0].0, &messages[0].1["run"]["state"]), (0, &json!("STATE_CANCELLED")), "{messages:?}");
    assert_eq!(messages.last(), Some(&(2, json!({}))), "a clean end");
    let refused = watch("none").await;
    assert_eq!(
        (refused.len(), refused[0].0, &refused[0].1["error"]["code"]),
        (1, 2, &json!("not_found")),
        "{refused:?}"
    );
    test.close().await;
}

/// The codes of a call that is not there, in each protocol: HTTP status and the protocol's own.
#[tokio::test]
async fn what_is_not_served_is_unimplemented_in_each_protocol() {
    let test = TestApp::open().await;
    let client = reqwest::Client::new();
    for path in ["no.such.Service/Method", "millrace.v1.PipelineService/NoSuch", "api/v1/pipeline/no.Such/Method"] {
        for kind in ["application/json", "application/grpc", "application/grpc-web+proto"] {
            let body: &[u8] = if kind == "application/json" { b"{}" } else { &[0; 5] };
            let url = format!("{}/{path}", test.url);
            let answer = client.post(url).header("content-type", kind).body(body).send().await.expect("an answer");
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let text = answer.text().await.expect("a body");
            if kind == "application/json" {
                let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
                assert_eq!((status, &answer["code"]), (404, &json!("unimplemented")), "{path}: {answer}");
            } else {
                let grpc = headers.get("grpc-status").map(|value| value.to_str().expect("text").to_owned());
                let found = grpc.as_deref() == Some("12")
                    || text.contains("grpc-status:12")
                    || text.contains("grpc-status: 12");
                assert!(status == 200 && found, "{path} as {kind}: {status} {headers:?} {text:?}");
            }
        }
    }
    test.close().await;
}

#[tokio::test]
async fn a_path_of_the_web_app_is_its_page_and_a_missing_file_is_not() {
    let test = TestApp::open().await;
    let get = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", test.url)).await.expect("an answer");
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("text").to_owned());
        (answer.status().as_u16(), kind.unwrap_or_default())
    };
    for page in ["/", "/runs/whatever", "/runners", "/no/such/page"] {
        assert_eq!(get(page).await, (200, "text/html".into()), "{page}");
    }
    for file in ["/assets/missing", "/missing.js", "/assets/../../etc/passwd.txt"] {
        assert_eq!(get(file).await.0, 404, "{file}");
    }
    let client = reqwest::Client::new();
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = client.request(method.clone(), format!("{}/runs/x", test.url)).send().await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()),
            (405, "GET, HEAD"),
            "{method}"
        );
    }
    test.close().await;
}

#[tokio::test]
async fn compressed_requests_are_taken_in_grpc() {
    let test = TestApp::open().await;
    let gzip = tonic::codec::CompressionEncoding::Gzip;
    let mut client = test.pipelines().send_compressed(gzip);
    let workflow = format!("{ONE_JOB}# {}\n", "long ".repeat(1_000));
    let request = millrace_bench::wire::millrace_v1::RunRequest { workflow, ..Default::default() };
    client.run(request).await.expect("taken");
    // A small thing that becomes large is still measured by its real size.
    let workflow = " ".repeat(9 * 1024 * 1024);
    let request = millrace_bench::wire::millrace_v1::RunRequest { workflow, ..Default::default() };
    let status = client.run(request).await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    test.close().await;
}
