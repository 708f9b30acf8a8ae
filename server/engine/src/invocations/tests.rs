//! Publications, over stores in memory.

use std::sync::atomic::{AtomicI64, Ordering};

use buffa::Message;
use buffa_types::google::protobuf::Any;
use millrace_proto::build_event_stream as bes;
use millrace_proto::build_events as wire;
use millrace_proto::build_events::build_event::Event;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::millrace::v1::{self as api, InvocationStatus};
use serde_json::json;

use std::sync::Arc;

use super::memory::MemoryInvocations;
use super::*;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::logs::memory::MemoryLogs;
use crate::logs::{LogId, LogLimits, LogRoom};
use crate::testing::invocation_store;

#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Scene {
    store: Arc<MemoryInvocations>,
    logs: Arc<LogRoom>,
    clock: Arc<Hand>,
    limits: InvocationLimits,
    invocations: Invocations,
}

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(Hand(AtomicI64::new(1_000_000)));
        let logs = LogRoom::new(Arc::new(MemoryLogs::default()), clock.clone(), LogLimits::default());
        let (store, logs) = (Arc::new(MemoryInvocations::default()), Arc::new(logs));
        let limits = InvocationLimits { disconnected_after_ms: 1_000, kept_ms: 10_000_000, kept_max: 2 };
        let invocations = Invocations::new(store.clone(), logs.clone(), clock.clone(), limits);
        Self { store, logs, clock, limits, invocations }
    }

    /// As another process would find it.
    fn restart(&mut self) {
        self.invocations = Invocations::new(self.store.clone(), self.logs.clone(), self.clock.clone(), self.limits);
    }

    fn pass(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    async fn tool(&self, id: &str, from: i64, events: Vec<wire::BuildEvent>) -> Result<()> {
        self.publish(stream(id, component::TOOL), from, events).await
    }

    async fn publish(&self, stream: StreamKey, from: i64, events: Vec<wire::BuildEvent>) -> Result<()> {
        let events = (from..).zip(events).map(|(sequence, event)| Numbered { sequence, event }).collect();
        let publication =
            Publication { stream, events, keywords: Vec::new(), check_preceding: false, timeout_ms: None };
        self.invocations.publish(publication).await
    }

    async fn get(&self, id: &str) -> api::Invocation {
        self.invocations.get(None, id).await.expect("an invocation")
    }

    async fn printed(&self, id: &str) -> (String, bool) {
        let log = LogId::parse(&format!("b.{id}")).unwrap();
        let bytes = self.logs.read_bytes(&log, 0, 1 << 20).await.unwrap();
        (String::from_utf8(bytes.to_vec()).unwrap(), self.logs.head(&log).await.unwrap().complete)
    }
}

fn stream(id: &str, component: i32) -> StreamKey {
    let instance = InstanceName::parse("app").unwrap();
    StreamKey { instance, build_id: "build".into(), invocation_id: id.into(), component }
}

fn bazel(event: serde_json::Value) -> wire::BuildEvent {
    let event: bes::BuildEvent = serde_json::from_value(event).expect("an event of Bazel");
    let any = Any::pack(&event, "type.googleapis.com/build_event_stream.BuildEvent");
    wire::BuildEvent { event: Some(Event::BazelEvent(Box::new(any))), ..Default::default() }
}

fn prints(text: &str) -> wire::BuildEvent {
    bazel(json!({"id": {"progress": {}}, "progress": {"stderr": text}}))
}

fn built(label: &str) -> wire::BuildEvent {
    bazel(json!({"id": {"targetCompleted": {"label": label}}, "completed": {"success": true}}))
}

fn ends(code: i32) -> Vec<wire::BuildEvent> {
    let finished = json!({"id": {"buildFinished": {}}, "finished": {"exitCode": {"name": "X", "code": code}}});
    vec![bazel(finished), event(Event::ComponentStreamFinished(Box::default()))]
}

fn event(event: Event) -> wire::BuildEvent {
    wire::BuildEvent { event: Some(event), ..Default::default() }
}

/// Nothing of a masked value is in what is stored of an event, nor in what is shown; all else stays, and can be read.
#[tokio::test]
async fn events_are_stored_masked() {
    let scene = Scene::new();
    assert_eq!(scene.logs.masks().replace(["hunter2/päss"]), []);
    let started = json!({"id": {"started": {}}, "started": {"uuid": "u", "command": "build",
        "optionsDescription": "--remote_header=x=hunter2/päss --keep"}});
    let line = json!({"id": {"unstructuredCommandLine": {}}, "unstructuredCommandLine": {
        "args": ["--action_env=PW=hunter2/päss", "--action_env=PW=hunter2%2Fp%C3%A4ss", "//app:all"]}});
    let status = json!({"id": {"workspaceStatus": {}}, "workspaceStatus": {
        "item": [{"key": "URL", "value": "https://u:hunter2/päss@git"}]}});
    let events = vec![bazel(started), bazel(line), bazel(status), prints("pw: hunter2/päss\n"), built("//app:x")];
    let sizes: Vec<usize> = events.iter().map(Message::encode_to_vec).map(|bytes| bytes.len()).collect();
    let publication = Publication {
        stream: stream("i", component::TOOL),
        events: (1..).zip(events).map(|(sequence, event)| Numbered { sequence, event }).collect(),
        keywords: vec!["user=hunter2/päss".into(), "kept".into()],
        check_preceding: false,
        timeout_ms: None,
    };
    scene.invocations.publish(publication).await.unwrap();
    let row = scene.invocations.row(None, "i").await.unwrap();
    let stored = scene.invocations.events(&row, EventPosition::default(), 100, 1 << 20).await.unwrap();
    assert_eq!(stored.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), sizes, "lengths stay");
    let mut all = String::new();
    for (_, bytes) in &stored {
        let event = wire::BuildEvent::decode_from_slice(bytes).unwrap();
        let Some(Event::BazelEvent(any)) = &event.event else { panic!("another event") };
        let event: bes::BuildEvent = any.unpack_unchecked().expect("an event of Bazel");
        all += &serde_json::to_string(&event).unwrap();
    }
    for kept in
        ["--remote_header=x=*", "--keep", "--action_env=PW=*", "//app:all", "https://u:*", "@git", "pw: *", "//app:x"]
    {
        assert!(all.contains(kept), "{kept} is not in {all}");
    }
    let document = serde_json::to_string(&scene.get("i").await).unwrap();
    for (what, text) in [("events", all), ("document", document), ("log", scene.printed("i").await.0)] {
        assert!(!text.contains("hunter2") && !text.contains("p%C3%A4ss"), "{what}: {text}");
    }
}

fn precondition(result: Result<()>) -> String {
    match result {
        Err(Error::Precondition(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn memory_is_an_invocation_store() {
    invocation_store::run(|| async { Arc::new(MemoryInvocations::default()) as Arc<_> }).await;
}

#[tokio::test]
async fn what_was_stored_is_taken_again_and_a_gap_is_refused() {
    let scene = Scene::new();
    scene.tool("i", 1, vec![prints("one\n"), prints("tw")]).await.unwrap();
    scene.tool("i", 1, vec![prints("one\n"), prints("tw"), prints("o\n")]).await.unwrap();
    scene.tool("i", 2, vec![prints("other words of an event that is there")]).await.unwrap();
    let refused = precondition(scene.tool("i", 5, vec![prints("five")]).await);
    assert!(refused.contains("5 came, 4 is expected"), "{refused}");
    assert_eq!(scene.get("i").await.events, 3);
    assert_eq!(scene.printed("i").await, ("one\ntwo\n".into(), false));
    scene.tool("i", 4, ends(0)).await.unwrap();
    assert_eq!(scene.printed("i").await, ("one\ntwo\n".into(), true));
    let doc = scene.get("i").await;
    assert_eq!((doc.status.as_known(), doc.complete), (Some(InvocationStatus::INVOCATION_STATUS_SUCCEEDED), true));
    let refused = precondition(scene.tool("i", 6, vec![prints("more")]).await);
    assert!(refused.contains("after the stream's end, 5"), "{refused}");
    scene.tool("i", 4, ends(0)).await.expect("the end again");
}

#[tokio::test]
async fn streams_do_not_wait_for_each_other_and_a_restart_goes_on() {
    let mut scene = Scene::new();
    scene.tool("i", 1, vec![built("//:a"), prints("a")]).await.unwrap();
    let text = wire::build_event::console_output::Output::TextOutput("w".into());
    let console = wire::build_event::ConsoleOutput { output: Some(text), ..Default::default() };
    let says = event(Event::ConsoleOutput(Box::new(console)));
    scene.publish(stream("i", component::WORKER), 1, vec![says]).await.unwrap();
    scene.restart();
    scene.tool("i", 2, vec![prints("a"), built("//:b"), prints("b")]).await.unwrap();
    assert_eq!(scene.printed("i").await.0, "awb");
    let counts = scene.get("i").await.targets.into_option().unwrap();
    assert_eq!((counts.configured, counts.built), (2, 2), "what was told before the restart counts");
    let page = TargetFilter { limit: 9, ..TargetFilter::default() };
    assert_eq!(scene.invocations.targets("i", page).await.unwrap().total, 2);
}

#[tokio::test]
async fn an_invocation_is_of_one_project_and_one_build() {
    let scene = Scene::new();
    scene.tool("i", 1, vec![prints("x")]).await.unwrap();
    let theirs = StreamKey { instance: InstanceName::parse("b").unwrap(), ..stream("i", component::TOOL) };
    let refused = scene.publish(theirs.clone(), 1, vec![prints("y")]).await;
    assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
    let other = StreamKey { build_id: "other".into(), ..stream("i", component::TOOL) };
    assert!(precondition(scene.publish(other, 1, vec![prints("y")]).await).starts_with("stream_id.build_id"));
    assert!(scene.invocations.get(Some("b"), "i").await.is_err());
    assert!(scene.invocations.get(Some("app"), "i").await.is_ok());
    let log = LogId::parse("b.i").unwrap();
    assert!(scene.invocations.of_log(Some("app"), &log).await.unwrap().is_some());
    let hidden = scene.invocations.of_log(Some("b"), &log).await.unwrap_err();
    assert_eq!(hidden.to_string(), "log b.i not found");
    assert!(scene.invocations.of_log(None, &LogId::parse("run.0.0").unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_silent_one_is_disconnected_but_not_while_its_stream_is_open() {
    let mut scene = Scene::new();
    let open = scene.invocations.attach(&stream("i", component::TOOL));
    scene.tool("i", 1, vec![prints("x")]).await.unwrap();
    let mut changes = scene.invocations.changes("i");
    scene.pass(5_000);
    scene.invocations.tick().await.unwrap();
    assert!(!scene.get("i").await.complete, "a build may be silent for long");
    drop(open);
    scene.pass(999);
    scene.invocations.tick().await.unwrap();
    assert!(!scene.get("i").await.complete, "it has its time to come back");
    scene.pass(1_000);
    scene.invocations.tick().await.unwrap();
    changes.next().await;
    let doc = scene.get("i").await;
    assert_eq!((doc.status.as_known(), doc.complete), (Some(InvocationStatus::INVOCATION_STATUS_DISCONNECTED), true));
    assert_eq!(scene.printed("i").await, ("x".into(), true));
    scene.restart();
    scene.tool("i", 2, ends(0)).await.unwrap();
    assert_eq!(scene.get("i").await.status, InvocationStatus::INVOCATION_STATUS_SUCCEEDED, "it came back");
}

#[tokio::test]
async fn what_must_come_before_is_asked_for_and_a_builds_own_events_are_shown() {
    let scene = Scene::new();
    let publish = async |key: StreamKey, sequence: i64, what: Event| {
        let mut publication = Publication::of(key, sequence, event(what)).unwrap();
        publication.check_preceding = true;
        scene.invocations.publish(publication).await
    };
    let (build, attempt) = (stream("", component::CONTROLLER), stream("i", component::CONTROLLER));
    let started = || Event::InvocationAttemptStarted(Box::default());
    assert!(precondition(publish(attempt.clone(), 1, started()).await).contains("BuildEnqueued"));
    publish(build.clone(), 1, Event::BuildEnqueued(Box::default())).await.unwrap();
    let tool = || Event::BazelEvent(Box::default());
    assert!(precondition(publish(stream("i", component::TOOL), 1, tool()).await).contains("InvocationAttemptStarted"));
    publish(attempt.clone(), 1, started()).await.unwrap();
    publish(stream("i", component::TOOL), 1, tool()).await.unwrap();
    publish(attempt, 2, Event::InvocationAttemptFinished(Box::default())).await.unwrap();
    publish(build, 2, Event::BuildFinished(Box::default())).await.unwrap();
    let names: Vec<_> = scene.get("i").await.lifecycle.into_iter().map(|step| step.name).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[tokio::test]
async fn the_oldest_are_forgotten_with_all_that_is_theirs() {
    let scene = Scene::new();
    for id in ["one", "two", "three"] {
        scene.tool(id, 1, vec![prints("x")]).await.unwrap();
        scene.pass(100_000);
    }
    scene.invocations.tick().await.unwrap();
    assert!(scene.invocations.get(None, "one").await.is_err());
    assert!(scene.logs.head(&LogId::parse("b.one").unwrap()).await.is_err());
    scene.get("two").await;
    scene.pass(20_000_000);
    scene.invocations.tick().await.unwrap();
    assert!(scene.invocations.get(None, "two").await.is_err() && scene.invocations.live() == 0);
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_by_its_name() {
    let scene = Scene::new();
    let error = scene.tool("i", 1, vec![prints(&"x".repeat(EVENT_MAX_BYTES))]).await.unwrap_err().to_string();
    assert!(error.starts_with("ordered_build_event.event") && error.contains("16777216"), "{error}");
    assert!(scene.invocations.get(None, "i").await.is_err(), "nothing stays of it");
    let small = prints("x").encode_to_vec().len();
    scene.tool("i", 1, vec![prints("x")]).await.unwrap();
    assert_eq!(scene.invocations.row(None, "i").await.unwrap().events_bytes, small as i64);
}
