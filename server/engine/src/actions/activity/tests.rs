//! Counting, steps, what was seen last, and what happens when the store fails.

use crate::blobs::BlobTraffic;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::*;
use crate::clock::Clock;
use crate::error::Error;

const NOON_MS: i64 = 1_800_000_000_000;

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

struct Scene {
    activity: CacheActivity,
    store: Arc<MemoryActivity>,
    clock: Arc<HandClock>,
}

fn scene() -> Scene {
    let (store, clock) = (Arc::new(MemoryActivity::default()), Arc::new(HandClock(AtomicI64::new(NOON_MS))));
    let activity = CacheActivity::new(Arc::clone(&store) as _, Arc::clone(&clock) as _);
    Scene { activity, store, clock }
}

impl Scene {
    fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000, Relaxed);
    }

    /// Bytes read, step by step, in the last minutes.
    async fn read(&self, instance: Option<&str>, minutes: i32) -> Vec<u64> {
        let steps = self.activity.steps(instance, i64::from(minutes) * 60, minutes).await.expect("steps");
        steps.iter().map(|step| step.counts.bytes_read).collect()
    }
}

fn instance(name: &str) -> InstanceName {
    InstanceName::parse(name).expect("a name")
}

fn seen(name: &str, content: &[u8], event: ActionEvent) -> SeenAction {
    SeenAction {
        instance: instance(name),
        digest: Digest::of(DigestFunction::Sha256, content),
        time_ms: NOON_MS,
        event,
        exit_code: 0,
        outputs: 1,
        executed_ms: 1_500,
        mnemonic: "CppCompile".into(),
        target: "//a:b".into(),
    }
}

#[tokio::test]
#[cfg(feature = "testing")]
async fn memory_is_an_activity_store() {
    crate::testing::activity_store::run(|| async { Arc::new(MemoryActivity::default()) as Arc<_> }).await;
}

#[tokio::test]
async fn each_minute_has_its_own_counts() {
    let scene = scene();
    let (a, b) = (instance("a"), instance("b"));
    scene.activity.read(&a, 1);
    scene.activity.read(&b, 10);
    scene.pass(60);
    scene.activity.read(&a, 2);
    scene.pass(120);
    scene.activity.read(&a, 4);
    assert_eq!(scene.read(Some("a"), 4).await, [1, 2, 0, 4], "before a flush");
    scene.activity.flush().await.expect("flushes");
    assert_eq!(scene.read(Some("a"), 4).await, [1, 2, 0, 4], "after it");
    scene.activity.read(&a, 8);
    assert_eq!(scene.read(Some("a"), 4).await, [1, 2, 0, 12], "the rest of a minute is added");
    scene.activity.flush().await.expect("flushes");
    scene.activity.flush().await.expect("flushes nothing");
    assert_eq!(scene.read(None, 4).await, [11, 2, 0, 12], "all instances");
    assert_eq!(scene.read(Some("c"), 4).await, [0; 4]);
    assert_eq!(scene.activity.instances().await.expect("lists"), ["a", "b"]);
}

#[tokio::test]
async fn everything_that_is_counted_is_found_again() {
    let scene = scene();
    let a = instance("");
    scene.activity.blobs_asked(&a, 3, 4);
    scene.activity.read(&a, 5);
    scene.activity.written(&a, 6);
    scene.activity.key_asked(&a, true);
    scene.activity.key_asked(&a, false);
    scene.activity.key_asked(&a, false);
    for event in [ActionEvent::Hit, ActionEvent::Hit, ActionEvent::Miss, ActionEvent::Stored] {
        scene.activity.action(seen("", b"x", event));
    }
    scene.activity.flush().await.expect("flushes");
    let counts = scene.activity.steps(Some(""), 60, 1).await.expect("steps")[0].counts;
    let expected = ActivityCounts {
        action_hits: 2,
        action_misses: 1,
        action_updates: 1,
        blobs_present: 3,
        blobs_missing: 4,
        bytes_read: 5,
        bytes_written: 6,
        saved_ms: 3_000,
        key_hits: 1,
        key_misses: 2,
    };
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn what_the_store_refuses_is_kept_for_the_next_time() {
    let scene = scene();
    let a = instance("a");
    scene.activity.read(&a, 1);
    scene.store.set_failing(true);
    assert!(matches!(scene.activity.flush().await, Err(Error::Unavailable(_))));
    scene.pass(60);
    scene.activity.read(&a, 2);
    assert!(scene.activity.flush().await.is_err());
    assert_eq!(scene.read(Some("a"), 2).await, [1, 2]);
    scene.store.set_failing(false);
    scene.activity.flush().await.expect("flushes");
    assert_eq!(scene.read(Some("a"), 2).await, [1, 2]);
    assert_eq!(scene.activity.instances().await.expect("lists"), ["a"]);
}

#[tokio::test]
async fn made_up_instances_do_not_fill_the_memory() {
    let scene = scene();
    for index in 0..INSTANCES_PER_MINUTE_MAX + 100 {
        scene.activity.read(&instance(&format!("i{index:06}")), 1);
    }
    assert_eq!(scene.read(None, 1).await, [INSTANCES_PER_MINUTE_MAX as u64]);
    scene.activity.flush().await.expect("flushes");
    scene.activity.read(&instance("new"), 1);
    assert_eq!(scene.read(Some("new"), 1).await, [1], "after a flush there is room");
}

#[tokio::test]
async fn it_is_flushed_when_it_stops() {
    let scene = scene();
    scene.activity.read(&instance("a"), 7);
    scene.activity.keep_flushing(async {}).await;
    let sums = scene.store.sums(None, 0, i64::MAX, i64::MAX).await.expect("sums");
    assert_eq!(sums.iter().map(|(_, counts)| counts.bytes_read).sum::<u64>(), 7);
}

#[test]
fn windows_are_whole_steps_up_to_now() {
    let window = Window::back_from(NOON_MS + 59_999, 0, 0).expect("a window");
    assert_eq!((window.step_minutes, window.steps), (15, 96), "a day by default");
    let now = NOON_MS / MINUTE_MS;
    assert!(window.first_minute % 15 == 0 && (window.end_minute() - 15..window.end_minute()).contains(&now));
    assert_eq!(window.step_of(now), Some(95));
    assert_eq!((window.step_of(window.first_minute), window.step_of(window.first_minute - 1)), (Some(0), None));
    assert_eq!(window.step_of(window.end_minute()), None);
    let steps = window.empty();
    assert_eq!(steps.len(), 96);
    assert_eq!(steps[1].start_ms - steps[0].start_ms, 15 * MINUTE_MS);
    let fewer = Window::back_from(NOON_MS, 600, 1_000).expect("a window");
    assert_eq!((fewer.step_minutes, fewer.steps), (1, 10), "never shorter than a minute");
    let year = Window::back_from(NOON_MS, 31_536_000, 1_000).expect("a window");
    assert!(year.steps <= 1_000 && year.steps * year.step_minutes >= 365 * 24 * 60);
    for (seconds, steps, field) in [
        (59, 1, "window_seconds"),
        (-1, 1, "window_seconds"),
        (31_536_001, 1, "window_seconds"),
        (60, 1_001, "steps"),
        (60, -1, "steps"),
    ] {
        let error = Window::back_from(NOON_MS, seconds, steps).expect_err("refused").to_string();
        assert!(error.starts_with(field), "{error}");
    }
}

#[tokio::test]
async fn each_action_is_listed_once_the_latest_first() {
    let scene = scene();
    let list = |shown: &str, limit| {
        let shown = shown.to_owned();
        let latest = scene.activity.latest(move |instance| shown == "*" || instance.as_str() == shown, limit);
        latest.into_iter().map(|action| (action.digest.size(), action.event)).collect::<Vec<_>>()
    };
    scene.activity.action(seen("a", b"1", ActionEvent::Miss));
    scene.activity.action(seen("a", b"22", ActionEvent::Miss));
    scene.activity.action(seen("b", b"1", ActionEvent::Hit));
    scene.activity.action(seen("a", b"1", ActionEvent::Stored));
    assert_eq!(list("a", 10), [(1, ActionEvent::Stored), (2, ActionEvent::Miss)]);
    assert_eq!(list("*", 2), [(1, ActionEvent::Stored), (1, ActionEvent::Hit)]);
    // Over HTTP the size is not said; what is known of it is not forgotten.
    let mut http = seen("a", b"22", ActionEvent::Hit);
    http.digest = Digest::new(DigestFunction::Sha256, http.digest.hash(), 0).expect("a digest");
    scene.activity.action(http);
    assert_eq!(list("a", 1), [(2, ActionEvent::Hit)]);
    for index in 0..LATEST_ACTIONS_MAX + 50 {
        scene.activity.action(seen("c", &index.to_be_bytes(), ActionEvent::Hit));
    }
    assert_eq!(list("*", usize::MAX).len(), LATEST_ACTIONS_MAX);
    assert_eq!(list("a", 10), []);
    let mut long = seen("a", b"long", ActionEvent::Hit);
    long.mnemonic = "ä".repeat(10_000);
    scene.activity.action(long);
    assert_eq!(scene.activity.latest(|_| true, 1)[0].mnemonic, "ä".repeat(128));
}
