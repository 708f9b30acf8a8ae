//! The platform's own events, followed by a client that shares no code with the server.

use std::collections::BTreeSet;

use millrace_bench::wire::log_v1::log_client::LogClient;
use millrace_bench::wire::log_v1::{ConsumeRequest, ConsumeResponse, ProduceRequest, Record};
use millrace_bench::wire::millrace_v1 as api;
use millrace_server::auth::Role;
use serde_json::Value;
use tonic::{Code, Streaming};

use crate::agent_grpc::{Agent, update_of};
use crate::app::{TestApp, Wire, within};
use crate::execute_client::{Client, Work};
use crate::fake_runner::FakeRunner;

const EVENTS: &str = "events";
const ONE_JOB: &str = "jobs:\n  one:\n    runs-on: stock\n    steps:\n      - run: echo first\n";

/// Events as they come.
pub struct Following {
    stream: Streaming<ConsumeResponse>,
    /// The number of the next record.
    next: u64,
    /// All ids so far.
    ids: BTreeSet<String>,
}

impl Following {
    /// From a number on.
    pub async fn from<S>(mut client: LogClient<S>, offset: u64) -> Self
    where
        S: tonic::client::GrpcService<tonic::body::Body>,
        S::Error: Into<tonic::codegen::StdError>,
        S::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
        <S::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
    {
        let request = ConsumeRequest { offset, log: Some(EVENTS.into()) };
        let stream = client.consume_stream(request).await.expect("a stream").into_inner();
        Self { stream, next: offset, ids: BTreeSet::new() }
    }

    /// The next event; None when the server has gone.
    pub async fn next(&mut self) -> Option<Value> {
        let answer = within("an event", self.stream.message()).await.ok().flatten()?;
        let record = answer.record.expect("a record");
        assert_eq!(record.offset, self.next, "no record is left out");
        self.next += 1;
        let event: Value = serde_json::from_slice(&record.value).expect("JSON");
        let text = |name: &str| event[name].as_str().unwrap_or_else(|| panic!("{name}: {event}")).to_owned();
        assert_eq!((text("specversion"), text("source")), ("1.0".into(), "/millrace".into()));
        assert_eq!(text("datacontenttype"), "application/json");
        assert!(text("type").starts_with("dev.millrace.") && !text("subject").is_empty(), "{event}");
        text("time").parse::<jiff::Timestamp>().expect("RFC 3339");
        assert!(self.ids.insert(text("id")), "told twice: {event}");
        Some(event)
    }

    /// All events up to the first of this type, with it.
    pub async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            events.push(self.next().await.expect("the server goes on"));
            if events.last().is_some_and(|event| kind_of(event) == kind) {
                return events;
            }
        }
    }

    /// How many records it has seen.
    pub fn seen(&self) -> u64 {
        self.next
    }
}

/// `run.created`.
pub fn kind_of(event: &Value) -> &str {
    event["type"].as_str().and_then(|kind| kind.strip_prefix("dev.millrace.")).expect("a type")
}

/// The types of events with a subject that begins like this.
pub fn kinds<'a>(events: &'a [Value], subject: &str) -> Vec<&'a str> {
    let wanted = |event: &&Value| event["subject"].as_str().expect("a subject").starts_with(subject);
    events.iter().filter(wanted).map(kind_of).collect()
}

async fn follow(test: &TestApp, token: Option<&str>) -> Following {
    Following::from(client(test, token), 0).await
}

fn client(test: &TestApp, token: Option<&str>) -> LogClient<Wire> {
    LogClient::new(test.wire_with(token.or(test.admin.as_deref())))
}

async fn run_in(test: &TestApp, project: &str) -> api::Run {
    let request = api::RunRequest { project: project.into(), workflow: ONE_JOB.into(), ..Default::default() };
    test.try_run(request).await.expect("a run")
}

/// What is told of a run of one job with one step that goes well.
pub const WHOLE_RUN: [&str; 8] = [
    "run.created",
    "job.queued",
    "run.started",
    "job.started",
    "step.started",
    "step.finished",
    "job.finished",
    "run.finished",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_from_its_beginning_to_its_end() {
    let test = TestApp::with_tokens().await;
    let mut following = follow(&test, None).await;
    let mut agent = Agent::register(&test, "a").await;
    let run = run_in(&test, "ours").await;
    agent.fetch("", 0).await.expect("the task");
    agent.client.update_task(update_of(&run, "running")).await.expect("running");
    agent.client.update_task(update_of(&run, "success")).await.expect("done");
    let events = following.until("run.finished").await;
    assert_eq!(kinds(&events, &format!("runs/{}", run.id)), WHOLE_RUN);
    assert!(events.iter().filter(|event| event["type"].as_str().expect("a type").contains(".run.")).all(|event| {
        let data = &event["data"];
        event["project"] == "ours" && data["runId"] == run.id.as_str() && data["number"] == run.number
    }));
    let last = &events.last().expect("some")["data"];
    assert_eq!((&last["state"], &last["page"]), (&"success".into(), &format!("/runs/{}", run.id).into()));
    assert!(last["durationMs"].is_u64() && last["finishedAt"].is_string(), "{last}");
    // Runners come into being in between.
    let of_runners = kinds(&events, "runners/");
    assert!(of_runners.starts_with(&["runner.registered"]), "{of_runners:?}");

    // The same by its id, as lines.
    let url = format!("{}/logs/r.e3b0c44298fc1c14.events/raw", test.url);
    let admin = test.admin.clone().expect("a token");
    let raw = reqwest::Client::new().get(url).bearer_auth(admin).send().await.expect("an answer");
    let raw = raw.error_for_status().expect("is found").text().await.expect("text");
    let lines: Vec<Value> = raw.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[..events.len()], events);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_comes_is_drained_and_goes() {
    let test = TestApp::with_tokens().await;
    let mut following = follow(&test, None).await;
    let agent = Agent::register(&test, "a").await;
    let mut events = following.until("runner.online").await;
    let runner = events[0]["data"]["runnerId"].as_str().expect("an id").to_owned();
    let mut admin = test.runner_admin();
    for resume in [false, true] {
        admin.drain_runner(api::DrainRunnerRequest { uuid: runner.clone(), resume }).await.expect("is drained");
    }
    admin.remove_runner(api::RemoveRunnerRequest { uuid: runner.clone() }).await.expect("is removed");
    events.extend(following.until("runner.removed").await);
    let wanted = ["runner.registered", "runner.online", "runner.draining", "runner.draining", "runner.removed"];
    assert_eq!(kinds(&events, &format!("runners/{runner}")), wanted);
    assert_eq!((&events[2]["data"]["draining"], &events[3]["data"]["draining"]), (&true.into(), &false.into()));
    assert!(events.iter().all(|event| event.get("project").is_none()), "runners are of no project");
    drop(agent);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_told_of() {
    let test = TestApp::open().await;
    let mut following = follow(&test, None).await;
    let client = Client::within(&test, "team/one");
    let runner = FakeRunner::start(&test, "alpha").await;
    let running = client.start(&Work::of(&["/bin/echo", "hello"])).await;
    let task = runner.fetch().await;
    runner.succeeds(&task, "hello\n").await;
    running.done().await;
    let events = following.until("execution.finished").await;
    let subject = format!("executions/{}", task.execution_id);
    assert_eq!(kinds(&events, &subject), ["execution.queued", "execution.started", "execution.finished"]);
    let last = events.last().expect("some");
    assert_eq!((&last["project"], &last["data"]["state"]), (&"team/one".into(), &"success".into()));
    assert_eq!((&last["data"]["exitCode"], &last["data"]["code"]), (&0.into(), &0.into()));
    assert_eq!(last["data"]["runner"]["name"], "alpha");
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_token_sees_its_projects_events_only() {
    let test = TestApp::with_tokens().await;
    let token = test.token_for(Role::Run, "ours").await;
    let mut following = follow(&test, Some(&token)).await;
    run_in(&test, "theirs").await;
    let first = run_in(&test, "ours").await;
    run_in(&test, "theirs").await;
    let second = run_in(&test, "ours").await;
    let mut events = Vec::new();
    while events.len() < 4 {
        events.push(following.next().await.expect("goes on"));
    }
    assert!(events.iter().all(|event| event["project"] == "ours"), "{events:#?}");
    for run in [&first, &second] {
        assert_eq!(kinds(&events, &format!("runs/{}", run.id)), ["run.created", "job.queued"]);
    }
    // Nor by ids: the server's log and another project's do not exist for it.
    let mut all = client(&test, Some(&token));
    for log in ["r.e3b0c44298fc1c14.events", "r.0000000000000000.events"] {
        let refused = all.consume(ConsumeRequest { offset: 0, log: Some(log.into()) }).await;
        assert_eq!(refused.expect_err("is hidden").code(), Code::NotFound, "{log}");
    }
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_events_but_the_server() {
    let test = TestApp::with_tokens().await;
    let run = test.token_for(Role::Run, "ours").await;
    for token in [test.admin.clone().expect("a token"), run] {
        let mut client = client(&test, Some(&token));
        for log in [EVENTS, "r.e3b0c44298fc1c14.events"] {
            let record = Some(Record { value: b"{}".to_vec(), offset: 0 });
            let refused = client.produce(ProduceRequest { record, log: Some(log.into()) }).await;
            assert_eq!(refused.expect_err("is the server's").code(), Code::PermissionDenied, "{log}");
        }
    }
    test.close().await;
}
