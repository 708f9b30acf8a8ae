//! What every [`RunnerStore`] must do.

use std::sync::Arc;

use millrace_proto::platform_properties::Properties;

use crate::error::Error;
use crate::runners::{Declaration, NewRunner, RegistrationToken, Runner, RunnerStore};

/// Runs the suite; `open` makes an empty store.
pub async fn run<F: Future<Output = Arc<dyn RunnerStore>>>(open: impl Fn() -> F) {
    a_runner_is_stored_and_found(&*open().await).await;
    a_token_for_one_runner_gives_one(open().await).await;
    a_reusable_token_gives_many(&*open().await).await;
    a_token_ends(&*open().await).await;
    a_failed_registration_uses_no_token(&*open().await).await;
    a_declaration_is_taken(&*open().await).await;
    what_was_seen_never_goes_back(&*open().await).await;
    a_drain_is_set_and_taken_back(&*open().await).await;
    who_is_there_is_noted(&*open().await).await;
    a_removed_runner_is_forgotten(&*open().await).await;
}

fn new(uuid: &str) -> NewRunner {
    let runner = Runner {
        id: 77,
        uuid: uuid.into(),
        name: format!("name of {uuid}"),
        version: "1.0".into(),
        labels: vec!["Linux".into(), "gpu \"x\"".into()],
        os: "linux".into(),
        arch: "arm64".into(),
        slots: 3,
        draining: false,
        ephemeral: true,
        properties: properties(&[("OSFamily", "linux"), ("a=b,c", "\"*\"")]),
        runs_actions: true,
        registered_ms: 5,
        last_seen_ms: 6,
        told_online: false,
    };
    NewRunner { runner, token_hash: format!("token of {uuid}") }
}

fn properties(pairs: &[(&str, &str)]) -> Properties {
    Properties::checked(pairs.iter().copied()).expect("good properties")
}

async fn put(store: &dyn RunnerStore, hash: &str, reusable: bool, expires_ms: i64) {
    store
        .put_registration_token(RegistrationToken { hash: hash.into(), reusable, expires_ms })
        .await
        .expect("stores a token");
}

/// Registers a runner with a token of its own.
async fn registered(store: &dyn RunnerStore, uuid: &str) -> Runner {
    put(store, uuid, false, 1000).await;
    store.register(uuid, new(uuid), 10).await.expect("registers")
}

fn refused<T: std::fmt::Debug>(result: &crate::error::Result<T>) {
    assert!(matches!(result, Err(Error::Unauthenticated(_))), "{result:?}");
}

fn not_found<T: std::fmt::Debug>(result: &crate::error::Result<T>) {
    assert!(matches!(result, Err(Error::NotFound(_))), "{result:?}");
}

async fn a_runner_is_stored_and_found(store: &dyn RunnerStore) {
    let first = registered(store, "b").await;
    assert_eq!(Runner { id: 77, ..first.clone() }, new("b").runner, "all but the id is as given");
    let second = registered(store, "a").await;
    assert_ne!(first.id, second.id);
    assert_eq!(store.by_token("token of b").await.expect("looks"), Some(first.clone()));
    assert_eq!(store.by_token("b").await.expect("looks"), None, "a registration token is no runner's token");
    assert_eq!(store.list().await.expect("lists"), vec![second, first], "by name");
}

async fn a_token_for_one_runner_gives_one(store: Arc<dyn RunnerStore>) {
    put(&*store, "once", false, 1000).await;
    let tries = (0..8).map(|place| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.register("once", new(&format!("runner {place}")), 10).await })
    });
    let mut registered = 0;
    for result in futures::future::join_all(tries).await {
        match result.expect("joins") {
            Ok(_) => registered += 1,
            refusal => refused(&refusal),
        }
    }
    assert_eq!(registered, 1);
    assert_eq!(store.list().await.expect("lists").len(), 1);
    refused(&store.register("once", new("late"), 10).await);
}

async fn a_reusable_token_gives_many(store: &dyn RunnerStore) {
    put(store, "many", true, 1000).await;
    for uuid in ["a", "b", "c"] {
        store.register("many", new(uuid), 10).await.expect("registers");
    }
    put(store, "many", false, 1000).await;
    store.register("many", new("d"), 10).await.expect("a token that is put again is replaced");
    refused(&store.register("many", new("e"), 10).await);
    assert_eq!(store.list().await.expect("lists").len(), 4);
}

async fn a_token_ends(store: &dyn RunnerStore) {
    refused(&store.register("never made", new("a"), 10).await);
    put(store, "once", false, 1000).await;
    put(store, "many", true, 1000).await;
    refused(&store.register("once", new("a"), 1000).await);
    refused(&store.register("many", new("b"), 1000).await);
    assert_eq!(store.list().await.expect("lists"), vec![]);
    store.register("once", new("a"), 999).await.expect("registers in time");
}

async fn a_failed_registration_uses_no_token(store: &dyn RunnerStore) {
    registered(store, "a").await;
    put(store, "once", false, 1000).await;
    let twice = store.register("once", new("a"), 10).await;
    assert!(matches!(twice, Err(Error::Conflict(_))), "{twice:?}");
    store.register("once", new("b"), 10).await.expect("the token is still good");
}

async fn a_declaration_is_taken(store: &dyn RunnerStore) {
    let before = registered(store, "a").await;
    let declaration = Declaration {
        version: "2.0".into(),
        labels: vec![],
        os: "windows".into(),
        arch: "amd64".into(),
        slots: 9,
        properties: properties(&[("ISA", "x86-64"), ("ISA", "arm")]),
        runs_actions: false,
    };
    let declared = store.declare("a", declaration.clone(), 50).await.expect("declares");
    let expected = Runner {
        version: "2.0".into(),
        os: "windows".into(),
        arch: "amd64".into(),
        slots: 9,
        properties: declaration.properties.clone(),
        runs_actions: false,
        last_seen_ms: 50,
        ..before
    };
    assert_eq!(declared, expected, "without labels those it registered with stay");
    let declaration = Declaration { labels: vec!["new".into()], ..declaration };
    let declared = store.declare("a", declaration.clone(), 60).await.expect("declares");
    assert_eq!(declared.labels, ["new"]);
    assert_eq!(store.by_token("token of a").await.expect("looks"), Some(declared));
    not_found(&store.declare("b", declaration, 60).await);
}

async fn what_was_seen_never_goes_back(store: &dyn RunnerStore) {
    registered(store, "a").await;
    registered(store, "b").await;
    store.seen(vec![]).await.expect("notes nothing");
    store
        .seen(vec![("a".into(), 100), ("nobody".into(), 100), ("b".into(), 200)])
        .await
        .expect("notes; a runner that has gone is no error");
    store.seen(vec![("a".into(), 300), ("b".into(), 150)]).await.expect("notes");
    let seen: Vec<_> = store.list().await.expect("lists").into_iter().map(|runner| runner.last_seen_ms).collect();
    assert_eq!(seen, [300, 200]);
}

async fn a_drain_is_set_and_taken_back(store: &dyn RunnerStore) {
    let before = registered(store, "a").await;
    let draining = store.set_draining("a", true, 5).await.expect("drains");
    assert_eq!(draining, Runner { draining: true, ..before.clone() });
    let declared = store.declare("a", Declaration::default(), 50).await.expect("declares");
    assert!(declared.draining, "an agent that starts again does not end the drain");
    assert!(!store.set_draining("a", false, 5).await.expect("ends the drain").draining);
    not_found(&store.set_draining("b", true, 5).await);
}

async fn who_is_there_is_noted(store: &dyn RunnerStore) {
    let noted = async || {
        let runners = store.list().await.expect("lists");
        runners.into_iter().map(|runner| (runner.uuid, runner.told_online)).collect::<Vec<_>>()
    };
    registered(store, "a").await;
    registered(store, "b").await;
    assert_eq!(noted().await, [("a".to_owned(), false), ("b".to_owned(), false)]);
    store.note_presence(vec![("a".into(), true), ("gone".into(), true)], 20).await.expect("notes");
    assert_eq!(noted().await, [("a".to_owned(), true), ("b".to_owned(), false)]);
    store.note_presence(vec![("a".into(), false), ("b".into(), true)], 30).await.expect("notes");
    assert_eq!(noted().await, [("a".to_owned(), false), ("b".to_owned(), true)]);
}

async fn a_removed_runner_is_forgotten(store: &dyn RunnerStore) {
    let first = registered(store, "a").await;
    store.remove("a", 5).await.expect("removes");
    assert_eq!(store.by_token("token of a").await.expect("looks"), None);
    assert_eq!(store.list().await.expect("lists"), vec![]);
    not_found(&store.remove("a", 5).await);
    refused(&store.register("a", new("a"), 10).await);
    let second = registered(store, "a").await;
    assert_ne!(second.id, first.id, "the number of a removed runner is not given again");
}
