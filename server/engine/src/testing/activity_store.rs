//! What every [`ActivityStore`] must do.

use std::sync::Arc;

use crate::actions::activity::{ActivityCounts, ActivityMinute, ActivityStore};

/// Runs the suite; `open` makes an empty store.
pub async fn run<F: Future<Output = Arc<dyn ActivityStore>>>(open: impl Fn() -> F) {
    what_is_added_is_summed_by_step(&*open().await).await;
    every_count_has_its_place(&*open().await).await;
    instances_are_listed_in_order(&*open().await).await;
    what_is_old_is_forgotten(&*open().await).await;
    adding_at_the_same_time_loses_nothing(open().await).await;
}

fn hits(instance: &str, minute: i64, action_hits: u64) -> ActivityMinute {
    let counts = ActivityCounts { action_hits, ..ActivityCounts::default() };
    ActivityMinute { instance: instance.into(), minute, counts }
}

async fn sums(store: &dyn ActivityStore, instance: Option<&str>, first: i64, end: i64, step: i64) -> Vec<(i64, u64)> {
    let sums = store.sums(instance, first, end, step).await.expect("sums");
    sums.into_iter().map(|(step, counts)| (step, counts.action_hits)).collect()
}

async fn what_is_added_is_summed_by_step(store: &dyn ActivityStore) {
    assert_eq!(sums(store, None, 0, 1000, 10).await, []);
    store.add(vec![]).await.expect("adds nothing");
    store.add(vec![hits("a", 100, 1), hits("a", 101, 2), hits("b", 101, 10), hits("", 119, 100)]).await.expect("adds");
    store.add(vec![hits("a", 101, 4)]).await.expect("adds");
    assert_eq!(sums(store, Some("a"), 100, 120, 1).await, [(0, 1), (1, 6)], "what comes later is added");
    assert_eq!(sums(store, Some("a"), 100, 120, 10).await, [(0, 7)], "empty steps are left out");
    assert_eq!(sums(store, None, 100, 120, 10).await, [(0, 17), (1, 100)], "all instances");
    assert_eq!(sums(store, Some(""), 100, 120, 10).await, [(1, 100)], "the one without a name");
    assert_eq!(sums(store, None, 101, 119, 10).await, [(0, 16)], "the end is not in");
    assert_eq!(sums(store, Some("c"), 100, 120, 10).await, []);
}

async fn every_count_has_its_place(store: &dyn ActivityStore) {
    let counts = ActivityCounts {
        action_hits: 1,
        action_misses: 2,
        action_updates: 3,
        blobs_present: 4,
        blobs_missing: 5,
        bytes_read: 6 << 40,
        bytes_written: 7 << 40,
        saved_ms: 8 << 40,
        key_hits: 9,
        key_misses: 10,
    };
    let minute = ActivityMinute { instance: "a".into(), minute: 7, counts };
    store.add(vec![minute.clone(), minute]).await.expect("adds");
    let mut twice = counts;
    twice.add(&counts);
    assert_eq!(twice.key_misses, 20);
    assert_eq!(store.sums(Some("a"), 0, 10, 10).await.expect("sums"), [(0, twice)]);
}

async fn instances_are_listed_in_order(store: &dyn ActivityStore) {
    assert_eq!(store.instances(10).await.expect("lists"), Vec::<String>::new());
    store.add(vec![hits("b", 5, 1), hits("", 3, 1), hits("a/b", 4, 1), hits("b", 6, 1)]).await.expect("adds");
    assert_eq!(store.instances(10).await.expect("lists"), ["", "a/b", "b"]);
    assert_eq!(store.instances(2).await.expect("lists"), ["", "a/b"]);
}

async fn what_is_old_is_forgotten(store: &dyn ActivityStore) {
    store.add(vec![hits("a", 9, 1), hits("a", 10, 2), hits("b", 9, 4), hits("b", 5, 8)]).await.expect("adds");
    store.prune(10).await.expect("prunes");
    assert_eq!(sums(store, None, 0, 20, 20).await, [(0, 2)]);
    assert_eq!(store.instances(10).await.expect("lists"), ["a"]);
    store.prune(10).await.expect("prunes again");
}

async fn adding_at_the_same_time_loses_nothing(store: Arc<dyn ActivityStore>) {
    let adders = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.add(vec![hits("a", 1, 1)]).await.expect("adds") })
    });
    for adder in futures::future::join_all(adders).await {
        adder.expect("joins");
    }
    assert_eq!(sums(&*store, Some("a"), 0, 10, 10).await, [(0, 8)]);
}
