//! Who gets which task.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{LEASE_END, NOW, claim, claimed, depth, ended, run_with_queued, stored};
use crate::scheduler::store::{Claim, RunStore};
use crate::scheduler::{Run, State};

pub async fn run<F: Future<Output = Arc<dyn RunStore>>>(open: impl Fn() -> F) {
    the_highest_priority_is_first_then_the_oldest(&*open().await).await;
    labels_decide_who_may(&*open().await).await;
    a_task_is_given_once(open().await).await;
    a_repeated_request_gets_the_same_task(&*open().await).await;
    a_request_is_repeated_while_its_lease_runs(&*open().await).await;
    the_queue_is_counted(&*open().await).await;
}

async fn the_highest_priority_is_first_then_the_oldest(store: &dyn RunStore) {
    assert!(store.claim(claim("r", &["linux"], ""), NOW).await.expect("claims").is_none());
    // Over two label sets, so that the order holds between them too.
    for (id, priority, queued_ms, label) in [
        ("old", 0, 10, "linux"),
        ("new", 0, 30, "linux"),
        ("middle", 0, 20, "gpu"),
        ("low", -5, 1, "gpu"),
        ("high", 5, 40, "linux"),
        ("higher", 6, 50, "gpu"),
    ] {
        let mut run = Run { priority, ..run_with_queued(id, &[&[label], &[label]]) };
        run.jobs[0].queued_ms = Some(queued_ms);
        run.jobs[1].queued_ms = Some(queued_ms + 1);
        store.create(run).await.expect("creates");
    }
    let mut order = Vec::new();
    while let Some(task) = store.claim(claim("r", &["linux", "gpu"], ""), NOW).await.expect("claims") {
        order.push(format!("{}{}", task.run.id, task.job));
    }
    let expected =
        ["higher0", "higher1", "high0", "high1", "old0", "old1", "middle0", "middle1", "new0", "new1", "low0", "low1"];
    assert_eq!(order, expected);
}

async fn labels_decide_who_may(store: &dyn RunStore) {
    let wanted: &[&[&str]] = &[&["Linux", "GPU"], &["windows"], &["odd \"label\", [x]"], &[]];
    store.create(run_with_queued("a", wanted)).await.expect("creates");
    let mut given = Vec::new();
    for labels in [
        &["linux"][..],
        &["gpu"],
        &["WINDOWS"],
        &["gpu", "x", "linux"],
        &[],
        &["ODD \"label\", [x]"],
        &["linux", "gpu", "windows"],
    ] {
        let task = store.claim(claim("r", labels, ""), NOW).await.expect("claims");
        given.push(task.map(|task| task.job));
    }
    assert_eq!(given, [Some(3), None, Some(1), Some(0), None, Some(2), None], "a job without labels is anybody's");
}

async fn a_task_is_given_once(store: Arc<dyn RunStore>) {
    for id in ["a", "b", "c", "d"] {
        store.create(run_with_queued(id, &[&["linux"], &["linux"], &["linux"]])).await.expect("creates");
    }
    let claims = (0..20).map(|place| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let runner = format!("r{place}");
            store
                .claim(claim(&runner, &["linux"], "same"), NOW)
                .await
                .expect("claims")
                .map(|task| (task.run.id, task.job))
        })
    });
    let given: Vec<_> =
        futures::future::join_all(claims).await.into_iter().filter_map(|given| given.expect("joins")).collect();
    assert_eq!(given.len(), 12, "all are given");
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 12, "none twice");
    assert_eq!((depth(&*store).await, store.held().await.expect("lists").len()), (0, 12));
}

async fn a_repeated_request_gets_the_same_task(store: &dyn RunStore) {
    store.create(run_with_queued("a", &[&["linux"], &["linux"], &["linux"], &["linux"]])).await.expect("creates");
    let first = store.claim(claim("r", &["linux"], "1"), NOW).await.expect("claims").expect("a task");
    assert!(!first.repeated);
    let again = store.claim(claim("r", &["linux"], "1"), NOW + 1).await.expect("claims").expect("a task");
    assert!(again.repeated);
    assert_eq!((again.job, &again.run), (first.job, &first.run), "nothing changed");
    assert_eq!(stored(store, "a").await, first.run);
    let of_another = store.claim(claim("s", &["linux"], "1"), NOW).await.expect("claims").expect("a task");
    assert!(!of_another.repeated && of_another.job != first.job, "another runner's requests are its own");
    for _ in 0..2 {
        let without = store.claim(claim("r", &["linux"], ""), NOW).await.expect("claims").expect("a task");
        assert!(!without.repeated, "an empty request id is none");
    }
    let labels_changed = store.claim(claim("r", &["windows"], "1"), NOW + 1).await.expect("claims").expect("a task");
    assert!(labels_changed.repeated && labels_changed.job == first.job, "also when nothing is queued for it");
}

async fn a_request_is_repeated_while_its_lease_runs(store: &dyn RunStore) {
    store.create(run_with_queued("a", &[&["linux"], &["linux"], &["linux"]])).await.expect("creates");
    let first = store.claim(claim("r", &["linux"], "1"), NOW).await.expect("claims").expect("a task");
    store.apply("a", ended("r", &first, State::Success), NOW + 1).await.expect("applies");
    let second = store.claim(claim("r", &["linux"], "1"), NOW + 2).await.expect("claims").expect("a task");
    assert!(!second.repeated && second.job != first.job, "what is done is not given again");
    let late = Claim { expires_ms: LEASE_END + 1000, ..claim("r", &["linux"], "1") };
    let third = store.claim(late, LEASE_END).await.expect("claims").expect("a task");
    assert!(!third.repeated && third.job != second.job, "a lease that is over is not given again");
}

async fn the_queue_is_counted(store: &dyn RunStore) {
    assert_eq!(store.queue_depth().await.expect("counts"), []);
    store
        .create(run_with_queued("a", &[&["linux"], &["LINUX"], &["gpu", "Linux", "gpu"], &["linux", "gpu"], &[]]))
        .await
        .expect("creates");
    let mut counted = store.queue_depth().await.expect("counts");
    counted.sort_unstable();
    let set = |labels: &[&str]| labels.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        counted,
        [(set(&[]), 1), (set(&["gpu", "linux"]), 2), (set(&["linux"]), 2)],
        "one set for all ways to write it"
    );
    claimed(store, "r").await;
    assert_eq!(depth(store).await, 4);
}
