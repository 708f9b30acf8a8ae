//! An event changes a run whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{LEASE_END, NOW, claimed, depth, ended, report, run_with_queued, stored};
use crate::error::Error;
use crate::scheduler::store::RunStore;
use crate::scheduler::{Event, Report, State, StepReport, Stop};

pub async fn run<F: Future<Output = Arc<dyn RunStore>>>(open: impl Fn() -> F) {
    what_an_event_does_is_stored(&*open().await).await;
    an_event_that_fails_changes_nothing(&*open().await).await;
    a_heartbeat_moves_only_the_lease(&*open().await).await;
    a_stop_empties_the_queue(&*open().await).await;
    what_follows_is_of_the_same_moment(&*open().await).await;
    events_at_the_same_time_all_count(open().await).await;
}

async fn what_an_event_does_is_stored(store: &dyn RunStore) {
    store.create(run_with_queued("a", &[&["linux"]])).await.expect("creates");
    let task = claimed(store, "r").await;
    assert_eq!(stored(store, "a").await, task.run, "a claim gives back what it stored");
    assert_eq!((task.run.state, task.run.jobs[0].state, task.run.jobs[0].epoch), (State::Running, State::Running, 1));
    let step = StepReport { state: Some(State::Running), started_ms: NOW, ..StepReport::default() };
    let event = Event::Reported(Report { steps: vec![step], ..report("r", &task) });
    let applied = store.apply("a", event, NOW + 1).await.expect("applies");
    assert!(applied.effects.visible);
    assert_eq!(stored(store, "a").await, applied.run);
    let event = Event::Reported(Report {
        state: Some(State::Success),
        outputs: BTreeMap::from([("k".into(), "v".into())]),
        ..report("r", &task)
    });
    let applied = store.apply("a", event, NOW + 2).await.expect("applies");
    assert_eq!(stored(store, "a").await, applied.run);
    assert_eq!(
        (applied.run.state, applied.run.counts, applied.run.finished_ms),
        (State::Success, (1, 1), Some(NOW + 2))
    );
    assert_eq!(store.job_at("a", 0, 0).await.expect("reads").as_ref(), Some(&applied.run.jobs[0]));
    assert_eq!(store.held().await.expect("lists"), []);
    let missing = store.apply("b", Event::Tick, NOW).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
}

async fn an_event_that_fails_changes_nothing(store: &dyn RunStore) {
    store.create(run_with_queued("a", &[&["linux"], &["linux"]])).await.expect("creates");
    let task = claimed(store, "r").await;
    let before = stored(store, "a").await;
    let good = StepReport { state: Some(State::Running), ..StepReport::default() };
    let bad = StepReport { index: 99, ..StepReport::default() };
    let half = Report {
        steps: vec![good, bad],
        state: Some(State::Success),
        lease_expires_ms: LEASE_END + 9,
        ..report("r", &task)
    };
    let events = [
        Event::Reported(half),
        Event::Reported(Report { row: 77, ..report("r", &task) }),
        Event::Skip { key: "no such job".into() },
        Event::Approve { key: None },
        Event::Claimed { job: task.job, lease: before.jobs[task.job].lease.clone().expect("has a lease") },
    ];
    for event in events {
        let refused = store.apply("a", event.clone(), NOW + 1).await;
        assert!(refused.is_err(), "{event:?} is refused");
        assert_eq!(stored(store, "a").await, before, "{event:?} changed nothing");
        assert_eq!(depth(store).await, 1);
        assert_eq!(store.overdue(LEASE_END, 10).await.expect("looks"), ["a"], "the lease has not moved");
    }
}

async fn a_heartbeat_moves_only_the_lease(store: &dyn RunStore) {
    store.create(run_with_queued("a", &[&["linux"], &["linux"]])).await.expect("creates");
    let task = claimed(store, "r").await;
    let beat = Event::Reported(Report { lease_expires_ms: LEASE_END + 5, ..report("r", &task) });
    let applied = store.apply("a", beat, NOW + 5).await.expect("applies");
    assert!(!applied.effects.visible);
    let mut expected = task.run.clone();
    expected.jobs[task.job].lease.as_mut().expect("has a lease").expires_ms = LEASE_END + 5;
    assert_eq!(applied.run, expected);
    assert_eq!(stored(store, "a").await, expected);
    assert_eq!(store.overdue(LEASE_END + 4, 10).await.expect("looks"), Vec::<String>::new());
    assert_eq!(store.overdue(LEASE_END + 5, 10).await.expect("looks"), ["a"]);
}

async fn a_stop_empties_the_queue(store: &dyn RunStore) {
    store.create(run_with_queued("a", &[&["linux"], &["linux"], &["linux"]])).await.expect("creates");
    let task = claimed(store, "r").await;
    store.apply("a", Event::Skip { key: "job1".into() }, NOW).await.expect("skips");
    assert_eq!(depth(store).await, 1);
    store.apply("a", Event::Stop(Stop::Cancel), NOW + 1).await.expect("stops");
    assert_eq!(depth(store).await, 0);
    assert_eq!(store.held().await.expect("lists").len(), 1, "its runner has the running one until it says so");
    let applied = store.apply("a", ended("r", &task, State::Cancelled), NOW + 2).await.expect("applies");
    assert_eq!((applied.run.state, applied.run.counts), (State::Cancelled, (3, 3)));
    assert_eq!(store.held().await.expect("lists"), []);
}

/// The end of one job queues the next: nobody sees the one without the other.
async fn what_follows_is_of_the_same_moment(store: &dyn RunStore) {
    let mut run = run_with_queued("a", &[&["linux"], &["linux"]]);
    for job in &mut run.jobs {
        job.max_parallel = Some(1);
    }
    (run.jobs[1].state, run.jobs[1].ready, run.jobs[1].queued_ms) = (State::Pending, true, None);
    store.create(run).await.expect("creates");
    assert_eq!(depth(store).await, 1);
    let task = claimed(store, "r").await;
    let applied = store.apply("a", ended("r", &task, State::Success), NOW + 1).await.expect("applies");
    assert_eq!(applied.effects.queued, [["linux".to_owned()]]);
    assert_eq!(stored(store, "a").await, applied.run);
    assert_eq!(claimed(store, "r").await.job, 1);
}

async fn events_at_the_same_time_all_count(store: Arc<dyn RunStore>) {
    let labels: Vec<&[&str]> = vec![&["linux"]; 16];
    store.create(run_with_queued("a", &labels)).await.expect("creates");
    let mut ends = Vec::new();
    for _ in 0..labels.len() {
        let task = claimed(&*store, "r").await;
        let (store, event) = (Arc::clone(&store), ended("r", &task, State::Success));
        ends.push(async move { store.apply("a", event, NOW + 1).await.expect("applies") });
    }
    futures::future::join_all(ends.into_iter().map(tokio::spawn)).await;
    let run = stored(&*store, "a").await;
    assert_eq!((run.state, run.counts), (State::Success, (16, 16)), "no end is lost to another");
}
