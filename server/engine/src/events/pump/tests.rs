//! The pump against an outbox and a log room in memory: whatever fails and wherever it stops, the logs have every event
//! once, in order.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;
use tokio::sync::oneshot;

use super::*;
use crate::clock::SystemClock;
use crate::events::memory::MemoryOutbox;
use crate::logs::memory::MemoryLogs;
use crate::logs::records::NamedLog;
use crate::logs::{LogAppend, LogError, LogHead, LogId, LogLimits, LogLines, LogMark, LogStore, LogSummary, ReadFrom};
use crate::testing::event_outbox::event;

/// Logs that fail when they are told to: before they append, or after it, as one does that is killed then.
#[derive(Clone, Default)]
struct FailingLogs {
    logs: Arc<MemoryLogs>,
    before: Arc<AtomicBool>,
    after: Arc<AtomicBool>,
    /// The disk takes nothing, and the store knows.
    halted: Arc<AtomicBool>,
    refused: Arc<AtomicU32>,
    damaged: Arc<Mutex<HashSet<LogId>>>,
}

impl FailingLogs {
    /// From now on this project's log is damaged, or no longer.
    fn damage(&self, project: &str, damaged: bool) {
        let log = NamedLog::events(project).unwrap().log().clone();
        let mut logs = self.damaged.lock().unwrap();
        if damaged {
            logs.insert(log)
        } else {
            logs.remove(&log)
        };
    }

    fn whole(&self, id: &LogId) -> Result<(), LogError> {
        let damaged = self.damaged.lock().unwrap().contains(id);
        if damaged { Err(LogError::Corrupt { id: id.clone(), message: "told to be".into() }) } else { Ok(()) }
    }
}

#[async_trait]
impl LogStore for FailingLogs {
    async fn head(&self, id: &LogId) -> Result<LogHead, LogError> {
        self.whole(id)?;
        self.logs.head(id).await
    }
    async fn append(&self, id: &LogId, append: LogAppend) -> Result<LogHead, LogError> {
        self.whole(id)?;
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        if self.before.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(LogError::Exhausted("told to fail".into()));
        }
        let appended = self.logs.append(id, append).await?;
        if self.after.load(Ordering::SeqCst) { Err(LogError::Io("told to fail".into())) } else { Ok(appended) }
    }
    async fn read(&self, id: &LogId, from: ReadFrom, lines: u64, bytes: usize) -> Result<LogLines, LogError> {
        self.logs.read(id, from, lines, bytes).await
    }
    async fn read_bytes(&self, id: &LogId, offset: u64, bytes: usize) -> Result<Bytes, LogError> {
        self.logs.read_bytes(id, offset, bytes).await
    }
    async fn marks(&self, id: &LogId) -> Result<Vec<LogMark>, LogError> {
        self.logs.marks(id).await
    }
    async fn list(&self, after: Option<&LogId>, limit: usize) -> Result<Vec<LogId>, LogError> {
        self.logs.list(after, limit).await
    }
    async fn delete(&self, id: &LogId) -> Result<(), LogError> {
        self.logs.delete(id).await
    }
    async fn trim(&self, id: &LogId, before_line: u64) -> Result<LogHead, LogError> {
        self.logs.trim(id, before_line).await
    }
    async fn survey(&self, shard: u16) -> Result<Vec<LogSummary>, LogError> {
        self.logs.survey(shard).await
    }
    async fn stored(&self, id: &LogId) -> Result<(u64, bool), LogError> {
        self.logs.stored(id).await
    }
    fn fault(&self) -> Option<LogError> {
        self.halted.load(Ordering::SeqCst).then(|| LogError::Io("told to fail".into()))
    }
}

#[derive(Default)]
struct Scene {
    outbox: MemoryOutbox,
    logs: FailingLogs,
    put: u64,
}

impl Scene {
    fn room(&self) -> LogRoom {
        LogRoom::new(Arc::new(self.logs.clone()), Arc::new(SystemClock), LogLimits::default())
    }

    /// As a server that has just started: nothing is known.
    fn pump(&self) -> EventPump {
        EventPump::new(Arc::new(self.outbox.clone()), self.room(), Arc::new(SystemClock), Arc::default())
    }

    /// A transaction that tells so many things.
    async fn put(&mut self, project: &str, count: u64) {
        let events = (0..count).map(|_| {
            self.put += 1;
            event(project, &self.put.to_string())
        });
        let events = events.collect();
        self.outbox.put(events).await.unwrap();
    }

    /// The numbers that a project's log has, in its order.
    async fn told(&self, project: &str) -> Vec<u64> {
        let log = NamedLog::events(project).unwrap();
        let room = LogRoom::new(self.logs.logs.clone(), Arc::new(SystemClock), LogLimits::default());
        let lines = match room.read_lines(log.log(), 0, u64::MAX, usize::MAX).await {
            Ok(lines) => lines,
            Err(LogError::NotFound(_)) => return Vec::new(),
            Err(error) => panic!("{error}"),
        };
        let lines = std::str::from_utf8(&lines.data).unwrap().lines();
        lines
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["data"].as_str().unwrap().parse().unwrap())
            .collect()
    }
}

/// A fault of the disk is no refusal of each log: nothing waits alone, and what waits is bounded as one.
#[tokio::test]
async fn a_fault_of_the_room_is_that_of_no_log() {
    let mut scene = Scene::default();
    let mut pump = scene.pump();
    scene.logs.halted.store(true, Ordering::SeqCst);
    for project in ["a", "b"] {
        scene.put(project, 2).await;
    }
    for _ in 0..2 * PUMP_TOGETHER_MAX_FAILURES {
        pump.pump().await;
        assert_eq!((pump.figures.refusing_logs(), pump.told), (0, 0));
    }
    assert!(pump.next_look() > Duration::from_millis(PUMP_RETRY_MS));
    scene.logs.halted.store(false, Ordering::SeqCst);
    pump.pump().await;
    assert_eq!(scene.told("a").await, [1, 2]);
    assert_eq!(scene.told("").await, [1, 2, 3, 4]);
}

/// A log that waits alone is not tried at each turn while nothing goes on.
#[tokio::test]
async fn a_log_that_waits_is_not_tried_while_nothing_goes_on() {
    let mut scene = Scene::default();
    let mut pump = scene.pump();
    scene.logs.damage("a", true);
    scene.put("a", 1).await;
    pump.pump().await;
    assert_eq!(pump.figures.refusing_logs(), 1);
    assert!(pump.next_look() <= Duration::from_secs(1), "it is tried again soon");
    pump.failures = 8;
    assert!(pump.next_look() > Duration::from_secs(1), "not while nothing goes on");
}

#[tokio::test]
async fn every_event_goes_to_the_servers_log_and_to_its_projects() {
    let mut scene = Scene::default();
    let mut pump = scene.pump();
    for (project, count) in [("a", 2), ("", 1), ("b", 3), ("a", 1)] {
        scene.put(project, count).await;
    }
    pump.drain().await.unwrap();
    assert_eq!(scene.told("").await, (1..=7).collect::<Vec<_>>());
    assert_eq!((scene.told("a").await, scene.told("b").await), (vec![1, 2, 7], vec![4, 5, 6]));
    assert_eq!(scene.outbox.rows(), 4, "it is removed now and then only");
    pump.remove().await;
    assert_eq!(scene.outbox.rows(), 0);
    scene.put("b", 1).await;
    pump.drain().await.unwrap();
    assert_eq!((scene.told("").await.len(), scene.told("b").await.last()), (8, Some(&8)));
}

#[tokio::test]
async fn a_batch_of_any_size_is_told() {
    let mut scene = Scene::default();
    let long = "x".repeat(crate::events::EVENT_MAX_BYTES - 1_000);
    let count = crate::logs::LOG_APPEND_MAX_BYTES / long.len() + 10;
    // More than one append takes.
    scene.outbox.put((0..count).map(|_| event("a", &long)).collect()).await.unwrap();
    let mut pump = scene.pump();
    pump.drain().await.unwrap();
    let head = scene.room().head(NamedLog::events("a").unwrap().log()).await.unwrap();
    assert_eq!((head.lines, head.rows), (count as u64, count as u64));
    scene.put("a", 5_000).await;
    pump.drain().await.unwrap();
    let head = scene.room().head(NamedLog::events("").unwrap().log()).await.unwrap();
    assert_eq!(head.rows, count as u64 + 5_000);
}

#[tokio::test]
async fn a_log_that_was_removed_begins_again() {
    let mut scene = Scene::default();
    let mut pump = scene.pump();
    scene.put("a", 3).await;
    pump.drain().await.unwrap();
    pump.remove().await;
    pump.logs.delete(NamedLog::events("a").unwrap().log()).await.unwrap();
    scene.put("a", 2).await;
    pump.drain().await.unwrap();
    assert_eq!(pump.figures.refusing_logs(), 0, "it is looked at once more");
    assert_eq!((scene.told("a").await, scene.told("").await), (vec![4, 5], vec![1, 2, 3, 4, 5]));
}

#[tokio::test]
async fn a_database_that_was_put_back_is_told_from_all_the_same() {
    let mut scene = Scene::default();
    scene.put("a", 3).await;
    scene.put("a", 3).await;
    scene.pump().drain().await.unwrap();
    scene.outbox.reset();
    scene.put("a", 1).await;
    scene.pump().drain().await.unwrap();
    assert_eq!(scene.told("a").await, (1..=7).collect::<Vec<_>>());
    scene.put("a", 1).await;
    scene.pump().drain().await.unwrap();
    assert_eq!(scene.told("").await, (1..=8).collect::<Vec<_>>());
}

#[tokio::test]
async fn it_goes_on_when_the_logs_can_be_written_again_and_tells_the_last_at_its_end() {
    let mut scene = Scene::default();
    let (stop, stopped) = oneshot::channel::<()>();
    let pump = scene.pump();
    scene.logs.before.store(true, Ordering::SeqCst);
    let running = tokio::spawn(pump.run(async { drop(stopped.await) }));
    scene.put("a", 3).await;
    until(async || scene.logs.refused.load(Ordering::SeqCst) >= 3).await;
    assert_eq!((scene.told("a").await.len(), scene.outbox.rows()), (0, 1));
    scene.logs.before.store(false, Ordering::SeqCst);
    until(async || scene.outbox.rows() == 0).await;
    assert_eq!(scene.told("a").await, [1, 2, 3], "told and removed");
    scene.put("a", 1).await;
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!((scene.told("a").await, scene.outbox.rows()), (vec![1, 2, 3, 4], 0));
}

#[tokio::test]
async fn without_a_hint_it_is_told_all_the_same() {
    let mut scene = Scene::default();
    let running = tokio::spawn(scene.pump().run(std::future::pending()));
    scene.put("a", 1).await;
    until(async || scene.told("a").await == [1]).await;
    scene.put("a", 1).await;
    // Whoever takes the hint first has it.
    let _ = futures::FutureExt::now_or_never(scene.outbox.news().notified());
    until(async || scene.told("a").await == [1, 2]).await;
    running.abort();
}

#[tokio::test]
async fn a_log_that_refuses_its_events_holds_up_no_other() {
    let mut scene = Scene::default();
    let mut pump = scene.pump();
    for project in ["a", "b"] {
        scene.put(project, 2).await;
    }
    pump.drain().await.unwrap();
    scene.logs.damage("a", true);
    for project in ["a", "b", "", "a"] {
        scene.put(project, 2).await;
    }
    pump.drain().await.unwrap();
    assert_eq!(scene.told("").await, (1..=12).collect::<Vec<_>>());
    assert_eq!((scene.told("a").await, scene.told("b").await), (vec![1, 2], vec![3, 4, 7, 8]));
    assert_eq!((pump.figures.refusing_logs(), pump.figures.held_events()), (1, 4));
    pump.remove().await;
    assert_eq!(scene.outbox.rows(), 2, "only what still waits is kept");
    // It is tried again, and waits on.
    pump.held.try_now();
    scene.put("b", 1).await;
    pump.drain().await.unwrap();
    assert_eq!((scene.told("b").await.last(), scene.told("a").await.len()), (Some(&13), 2));
    // Killed and started again: it has to find out by itself.
    let mut pump = scene.pump();
    scene.put("a", 1).await;
    pump.drain().await.unwrap();
    assert_eq!((scene.told("").await.len(), pump.figures.held_events()), (14, 5));
    scene.logs.damage("a", false);
    pump.drain().await.unwrap();
    assert_eq!(scene.told("a").await.len(), 2, "it has its time");
    pump.held.try_now();
    scene.put("a", 1).await;
    pump.drain().await.unwrap();
    assert_eq!(scene.told("a").await, [1, 2, 5, 6, 11, 12, 14, 15], "all of them, in their order");
    assert_eq!((pump.figures.refusing_logs(), pump.figures.held_events()), (0, 0));
    pump.remove().await;
    assert_eq!(scene.outbox.rows(), 0);
}

#[tokio::test]
async fn the_servers_own_log_holds_up_no_project() {
    let mut scene = Scene::default();
    scene.logs.damage("", true);
    let mut pump = scene.pump();
    scene.put("", 1).await;
    scene.put("a", 2).await;
    pump.drain().await.unwrap();
    assert_eq!((scene.told("").await.len(), scene.told("a").await), (0, vec![2, 3]));
    scene.logs.damage("", false);
    pump.held.try_now();
    pump.drain().await.unwrap();
    assert_eq!(scene.told("").await, [1, 2, 3]);
}

#[tokio::test]
async fn a_log_that_refuses_is_tried_again_by_itself() {
    let mut scene = Scene::default();
    scene.logs.damage("a", true);
    let running = tokio::spawn(scene.pump().run(std::future::pending()));
    scene.put("a", 1).await;
    until(async || scene.told("").await == [1]).await;
    assert!(scene.told("a").await.is_empty());
    scene.logs.damage("a", false);
    until(async || scene.told("a").await == [1] && scene.outbox.rows() == 0).await;
    running.abort();
}

#[tokio::test]
async fn what_waits_for_logs_that_refuse_is_bounded_and_says_so() {
    let mut scene = Scene::default();
    let mut pump = scene.pump();
    pump.held.set_max_events(20);
    scene.logs.damage("a", true);
    scene.logs.damage("b", true);
    scene.put("b", 5).await;
    for _ in 0..20 {
        scene.put("a", 1).await;
    }
    pump.drain().await.unwrap();
    // 25 are too many: of the 20 the older 10 went, and one says so.
    assert_eq!((pump.figures.held_events(), pump.figures.given_up_events()), (5 + 10 + 1, 10));
    pump.remove().await;
    assert_eq!(scene.outbox.rows(), 1 + 10 + 1);
    scene.logs.damage("a", false);
    scene.logs.damage("b", false);
    pump.held.try_now();
    pump.drain().await.unwrap();
    assert_eq!(scene.told("b").await, [1, 2, 3, 4, 5]);
    let log = NamedLog::events("a").unwrap();
    let lines = scene.room().read_lines(log.log(), 0, u64::MAX, usize::MAX).await.unwrap();
    let lines = String::from_utf8(lines.data.to_vec()).unwrap();
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((events.len(), &events[0]["data"], &events[9]["data"]), (11, &"16".into(), &"25".into()));
    assert_eq!(
        (events[10]["type"].as_str(), &events[10]["data"]["events"]),
        (Some("dev.millrace.events.lost"), &10.into())
    );
    let all = scene.room().head(NamedLog::events("").unwrap().log()).await.unwrap();
    assert_eq!(all.rows, 26, "the server's log has all, and what is told of them");
}

/// Waits until something is so that nobody tells of.
async fn until(is_so: impl AsyncFn() -> bool) {
    let waited = timeout(Duration::from_mins(1), async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("in time");
}

/// What happens to a pump.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// A transaction of this project tells so much.
    Put(u8, u64),
    /// It is all well.
    Drain,
    /// The logs can't be written.
    Full,
    /// The logs are written, and nobody is told that they were.
    Cut,
    /// The outbox fails.
    Fails,
    Remove,
    /// A project's log refuses what goes to it.
    Damage(u8),
    /// It is whole again.
    Mend(u8),
    /// The server is killed and comes back.
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_u8, 1..4_u64).prop_map(|(project, count)| Op::Put(project, count)),
        3 => Just(Op::Drain),
        1 => Just(Op::Full),
        2 => Just(Op::Cut),
        1 => Just(Op::Fails),
        1 => Just(Op::Remove),
        1 => (0..3_u8).prop_map(Op::Damage),
        1 => (0..3_u8).prop_map(Op::Mend),
        2 => Just(Op::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_nothing_is_told_twice(ops in prop::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut scene = Scene::default();
            let mut pump = scene.pump();
            let projects = ["", "a", "b"];
            let mut wanted = [Vec::new(), Vec::new(), Vec::new()];
            let mut damaged = [false; 3];
            for op in ops {
                match op {
                    Op::Put(project, count) => {
                        let first = scene.put + 1;
                        scene.put(projects[project as usize], count).await;
                        wanted[0].extend(first..=scene.put);
                        if project > 0 {
                            wanted[project as usize].extend(first..=scene.put);
                        }
                    }
                    Op::Drain => {
                        pump.drain().await.unwrap();
                        for (at, (project, wanted)) in projects.iter().zip(&wanted).enumerate() {
                            if !damaged[at] && !pump.held.has(project) {
                                assert_eq!(&scene.told(project).await, wanted, "{project:?} waits for no other");
                            }
                        }
                    }
                    Op::Damage(at) | Op::Mend(at) => {
                        damaged[at as usize] = matches!(op, Op::Damage(_));
                        scene.logs.damage(projects[at as usize], damaged[at as usize]);
                        pump.held.try_now();
                    }
                    Op::Full => {
                        scene.logs.before.store(true, Ordering::SeqCst);
                        let _ = pump.drain().await;
                        scene.logs.before.store(false, Ordering::SeqCst);
                    }
                    Op::Cut => {
                        scene.logs.after.store(true, Ordering::SeqCst);
                        let _ = pump.drain().await;
                        scene.logs.after.store(false, Ordering::SeqCst);
                    }
                    Op::Fails => {
                        scene.outbox.fail(true);
                        let _ = pump.drain().await;
                        scene.outbox.fail(false);
                    }
                    Op::Remove => pump.remove().await,
                    Op::Restart => pump = scene.pump(),
                }
                for (project, wanted) in projects.iter().zip(&wanted) {
                    let told = scene.told(project).await;
                    assert_eq!(told[..], wanted[..told.len()], "{project:?} after {op:?}");
                }
            }
            for project in projects {
                scene.logs.damage(project, false);
            }
            pump.held.try_now();
            pump.drain().await.unwrap();
            for (project, wanted) in projects.iter().zip(&wanted) {
                assert_eq!(&scene.told(project).await, wanted, "{project:?}");
            }
        });
    }
}
