//! What is told is written with what it tells of, or not at all.

use std::sync::Arc;

use millrace_engine::error::Error;
use millrace_engine::events::memory::MemoryOutbox;
use millrace_engine::events::{EventId, EventOutbox, NewEvent};
use millrace_engine::execution::store::{Change, ExecutionStore};
use millrace_engine::invocations::{
    InvocationChange, InvocationRow, InvocationStore, StoredEvent, StoredStream, StreamKey,
};
use millrace_engine::runners::{NewRunner, RegistrationToken, Runner, RunnerStore};
use millrace_engine::scheduler::store::{Claim, RunStore};
use millrace_engine::scheduler::{Event, Report, State, Stop};
use millrace_engine::testing::event_outbox::{self, event};
use millrace_engine::testing::execution_store::queued;
use millrace_engine::testing::run_store::run_with_queued;
use millrace_proto::instance_name::InstanceName;
use millrace_store::sqlite::SqliteStore;
use serde_json::Value;

use super::Databases;

/// All that was told since the last time, by type and subject.
async fn told(store: &SqliteStore) -> Vec<(String, String)> {
    let rows = store.read(0, u32::MAX).await.expect("reads");
    if let Some(last) = rows.last() {
        EventOutbox::remove(store, last.id, &std::collections::BTreeSet::new()).await.expect("removes");
    }
    let line = |event: NewEvent| {
        let read: Value = serde_json::from_str(&event.record(EventId::default())).expect("JSON");
        let text = |name: &str| read[name].as_str().expect(name).to_owned();
        (text("type").replace("dev.millrace.", ""), text("subject"))
    };
    rows.into_iter().flat_map(|row| row.events).map(line).collect()
}

/// Only the types.
async fn types(store: &SqliteStore) -> Vec<String> {
    told(store).await.into_iter().map(|(kind, _)| kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn is_an_event_outbox() {
    let databases = Databases::new();
    event_outbox::run(|| async { Arc::new(databases.open().await) as Arc<_> }).await;
    event_outbox::run(|| async { Arc::new(MemoryOutbox::default()) as Arc<_> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_outlives_the_server_and_numbers_go_on() {
    let databases = Databases::new();
    let path = databases.path();
    let store = SqliteStore::open(&path).await.expect("opens");
    store.put(vec![event("a", "1")]).await.expect("puts");
    store.put(vec![event("a", "2")]).await.expect("puts");
    store.close().await;
    let store = SqliteStore::open(&path).await.expect("opens again");
    assert_eq!(store.read(0, 10).await.expect("reads").len(), 2);
    EventOutbox::remove(&store, 2, &std::collections::BTreeSet::new()).await.expect("removes");
    store.close().await;
    let store = SqliteStore::open(&path).await.expect("opens again");
    store.put(vec![event("a", "3")]).await.expect("puts");
    assert_eq!(store.newest().await.expect("reads"), Some(3));
}

fn claim(request_id: &str) -> Claim {
    Claim {
        runner_uuid: "r".into(),
        runner_name: "name".into(),
        labels: vec!["linux".into()],
        request_id: request_id.into(),
        expires_ms: i64::MAX,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs() {
    let databases = Databases::new();
    let store = databases.open().await;
    let run = |id: &str| {
        let mut run = run_with_queued(id, &[&["linux"]]);
        run.request_id = "once".into();
        run
    };
    store.create(run("x")).await.expect("creates");
    assert_eq!(told(&store).await, [("run.created".into(), "runs/x".into())]);
    store.create(run("y")).await.expect("gives the other");
    store.create(run_with_queued("x", &[])).await.expect_err("is there already");
    assert!(store.claim(Claim { labels: vec![], ..claim("") }, 5).await.expect("claims").is_none());
    assert!(told(&store).await.is_empty(), "nothing has happened");
    store.claim(claim("1"), 5).await.expect("claims").expect("a task");
    assert_eq!(types(&store).await, ["run.started", "job.started"]);
    assert!(store.claim(claim("1"), 6).await.expect("claims").expect("again").repeated);
    let report = Report { runner_uuid: Some("r".into()), lease_expires_ms: i64::MAX, ..Report::default() };
    store.apply("x", Event::Reported(report.clone()), 7).await.expect("a heartbeat");
    let stranger = Report { runner_uuid: Some("other".into()), state: Some(State::Success), ..report.clone() };
    store.apply("x", Event::Reported(stranger), 7).await.expect_err("is not theirs");
    assert!(told(&store).await.is_empty(), "nothing has happened");
    let news = store.news();
    let ended =
        store.apply("x", Event::Reported(Report { state: Some(State::Success), ..report }), 8).await.expect("ends");
    assert!(ended.effects.events.is_empty(), "the store has them");
    news.notified().await;
    let wanted = ["step.finished", "step.finished", "job.finished", "run.finished"];
    assert_eq!(types(&store).await, wanted);
    store.apply("x", Event::Stop(Stop::Cancel), 9).await.expect_err("is over");
    assert!(told(&store).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn runners() {
    let databases = Databases::new();
    let store = databases.open().await;
    let new = |uuid: &str| NewRunner {
        runner: Runner { uuid: uuid.into(), name: "name".into(), ..Runner::default() },
        token_hash: uuid.into(),
    };
    assert!(matches!(store.register("no token", new("a"), 5).await, Err(Error::Unauthenticated(_))));
    assert!(told(&store).await.is_empty());
    let token = RegistrationToken { hash: "t".into(), reusable: true, expires_ms: 100 };
    store.put_registration_token(token).await.expect("stores a token");
    store.register("t", new("a"), 5).await.expect("registers");
    store.note_presence(vec![("a".into(), true), ("b".into(), true)], 6).await.expect("notes");
    store.note_presence(vec![("a".into(), true)], 7).await.expect("notes");
    store.note_presence(vec![("a".into(), false)], 8).await.expect("notes");
    store.set_draining("a", true, 9).await.expect("drains");
    store.set_draining("a", true, 9).await.expect("drains");
    store.set_draining("a", false, 10).await.expect("drains no more");
    RunnerStore::remove(&store, "a", 11).await.expect("removes");
    RunnerStore::remove(&store, "a", 12).await.expect_err("is gone");
    let kinds = ["registered", "online", "offline", "draining", "draining", "removed"];
    assert_eq!(told(&store).await, kinds.map(|kind| (format!("runner.{kind}"), "runners/a".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn executions() {
    let databases = Databases::new();
    let store = databases.open().await;
    let changes = vec![
        Change::Insert(Box::new(queued(1))),
        Change::Tell(vec![event("a", "1"), event("b", "2")]),
        Change::Tell(vec![event("", "3")]),
    ];
    let news = store.news();
    ExecutionStore::commit(&store, changes).await.expect("commits");
    news.notified().await;
    let rows = store.read(0, 100).await.expect("reads");
    assert_eq!(rows.len(), 1, "a transaction has one row");
    assert_eq!(rows[0].events, [event("a", "1"), event("b", "2"), event("", "3")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invocations() {
    let databases = Databases::new();
    let store = databases.open().await;
    let stream =
        StreamKey { instance: InstanceName::default(), build_id: "b".into(), invocation_id: "i".into(), component: 3 };
    let row = InvocationRow { id: "i".into(), build_id: "b".into(), ..InvocationRow::default() };
    let change = |sequence: i64| InvocationChange {
        stream: stream.clone(),
        position: StoredStream { last_sequence: sequence, finished: false },
        events: vec![StoredEvent { sequence, event: b"e".to_vec() }],
        now_ms: 5,
        row: Some(row.clone()),
        targets: Vec::new(),
        told: vec![event("", &format!("number {sequence}"))],
    };
    InvocationStore::commit(&store, change(1)).await.expect("commits");
    InvocationStore::commit(&store, change(5)).await.expect_err("has a hole");
    store.update(row.clone(), vec![event("", "silent")]).await.expect("updates");
    let other = InvocationRow { id: "none".into(), ..row.clone() };
    store.update(other, vec![event("", "of none")]).await.expect("does nothing");
    let subjects: Vec<String> = told(&store).await.into_iter().map(|(_, subject)| subject).collect();
    assert_eq!(subjects, ["number 1", "silent"]);
}
