//! Leases end, lost jobs are given again, and an old lease's word does not count.

use std::sync::Arc;

use super::{LEASE_END, NOW, claim, claimed, denied, depth, ended, report, run_with_queued, stored};
use crate::scheduler::store::{Claim, Held, RunStore};
use crate::scheduler::{Event, STOP_DEADLINE_MS, State, Stop, TIMEOUT_SLACK_MS};

pub async fn run<F: Future<Output = Arc<dyn RunStore>>>(open: impl Fn() -> F) {
    held_tasks_are_listed(&*open().await).await;
    overdue_runs_are_found(&*open().await).await;
    a_lost_job_is_given_again(&*open().await).await;
    a_removed_runner_loses_its_jobs(&*open().await).await;
    a_stop_has_a_deadline(&*open().await).await;
    a_timeout_is_acted_on_once(&*open().await).await;
}

async fn held_tasks_are_listed(store: &dyn RunStore) {
    let run = store.create(run_with_queued("a", &[&["linux"], &["linux"]])).await.expect("creates");
    assert_eq!(store.held().await.expect("lists"), []);
    claimed(store, "r").await;
    let held = Held {
        runner_uuid: "r".into(),
        run_id: "a".into(),
        project: run.project,
        run_number: run.number,
        job_key: "job0".into(),
        started_ms: NOW,
    };
    assert_eq!(store.held().await.expect("lists"), [held]);
}

async fn overdue_runs_are_found(store: &dyn RunStore) {
    for (id, end) in [("a", 300), ("b", 100), ("c", 200), ("d", 400)] {
        store.create(run_with_queued(id, &[&["linux"], &["linux"]])).await.expect("creates");
        for _ in 0..2 {
            let claim = Claim { expires_ms: NOW + end, ..claim("r", &["linux"], "") };
            store.claim(claim, NOW).await.expect("claims").expect("a task");
        }
    }
    let overdue = async |at, limit| store.overdue(NOW + at, limit).await.expect("looks");
    assert_eq!(overdue(99, 10).await, Vec::<String>::new());
    assert_eq!(overdue(100, 10).await, ["b"], "a run with two overdue jobs is there once");
    let mut due = overdue(300, 10).await;
    due.sort_unstable();
    assert_eq!(due, ["a", "b", "c"]);
    assert_eq!(overdue(300, 2).await.len(), 2, "at most the limit");
    store.apply("b", Event::Tick, NOW + 100).await.expect("ticks");
    assert_eq!(overdue(100, 10).await, Vec::<String>::new(), "what was looked at is not overdue any more");
}

async fn a_lost_job_is_given_again(store: &dyn RunStore) {
    store.create(run_with_queued("a", &[&["linux"]])).await.expect("creates");
    let first = claimed(store, "r").await;
    assert_eq!(depth(store).await, 0);
    let applied = store.apply("a", Event::Tick, LEASE_END).await.expect("ticks");
    assert_eq!(applied.effects.queued, [["linux".to_owned()]]);
    assert_eq!((depth(store).await, store.held().await.expect("lists").len()), (1, 0));
    denied(&store.apply("a", ended("r", &first, State::Success), LEASE_END).await);
    // The same runner takes it again: only the epoch tells its two leases apart.
    let second = store
        .claim(Claim { expires_ms: LEASE_END + 45_000, ..claim("r", &["linux"], "2") }, LEASE_END)
        .await
        .expect("claims")
        .expect("a task");
    assert_eq!((second.run.jobs[0].epoch, second.run.jobs[0].lost), (2, 1));
    denied(&store.apply("a", ended("r", &first, State::Failure), LEASE_END + 1).await);
    denied(&store.apply("a", ended("s", &second, State::Failure), LEASE_END + 1).await);
    assert_eq!(stored(store, "a").await, second.run);
    store.apply("a", ended("r", &second, State::Success), LEASE_END + 2).await.expect("applies");
    store.apply("a", ended("r", &second, State::Failure), LEASE_END + 3).await.expect("a repeated end is heard");
    assert_eq!(stored(store, "a").await.state, State::Success, "and changes nothing");
}

async fn a_removed_runner_loses_its_jobs(store: &dyn RunStore) {
    store.create(run_with_queued("a", &[&["linux"], &["linux"]])).await.expect("creates");
    let (gone, stays) = (claimed(store, "gone").await, claimed(store, "stays").await);
    store.apply("a", Event::RunnerRemoved { runner_uuid: "gone".into() }, NOW + 1).await.expect("applies");
    let holders: Vec<_> = store.held().await.expect("lists").into_iter().map(|held| held.runner_uuid).collect();
    assert_eq!((depth(store).await, holders), (1, vec!["stays".to_owned()]));
    denied(&store.apply("a", Event::Reported(report("gone", &gone)), NOW + 2).await);
    store.apply("a", ended("stays", &stays, State::Success), NOW + 2).await.expect("applies");
}

async fn a_stop_has_a_deadline(store: &dyn RunStore) {
    store.create(run_with_queued("a", &[&["linux"]])).await.expect("creates");
    let claim = Claim { expires_ms: NOW + 10 * STOP_DEADLINE_MS, ..claim("r", &["linux"], "") };
    store.claim(claim, NOW).await.expect("claims").expect("a task");
    store.apply("a", Event::Stop(Stop::Cancel), NOW).await.expect("stops");
    assert_eq!(store.overdue(NOW + STOP_DEADLINE_MS - 1, 1).await.expect("looks"), Vec::<String>::new());
    assert_eq!(store.overdue(NOW + STOP_DEADLINE_MS, 1).await.expect("looks"), ["a"]);
    let applied = store.apply("a", Event::Tick, NOW + STOP_DEADLINE_MS).await.expect("ticks");
    assert_eq!(applied.run.state, State::Cancelled);
    assert_eq!(store.held().await.expect("lists"), []);
}

async fn a_timeout_is_acted_on_once(store: &dyn RunStore) {
    let mut run = run_with_queued("a", &[&["linux"]]);
    run.jobs[0].timeout_ms = Some(1000);
    store.create(run).await.expect("creates");
    let claim = Claim { expires_ms: NOW + 10 * STOP_DEADLINE_MS, ..claim("r", &["linux"], "") };
    store.claim(claim, NOW).await.expect("claims").expect("a task");
    let over = NOW + 1000 + TIMEOUT_SLACK_MS;
    assert_eq!(store.overdue(over - 1, 1).await.expect("looks"), Vec::<String>::new());
    assert_eq!(store.overdue(over, 1).await.expect("looks"), ["a"]);
    store.apply("a", Event::Tick, over).await.expect("ticks");
    let next = over + STOP_DEADLINE_MS;
    assert_eq!(
        store.overdue(next - 1, 1).await.expect("looks"),
        Vec::<String>::new(),
        "its runner has time to stop it"
    );
    assert_eq!(store.overdue(next, 1).await.expect("looks"), ["a"]);
}
