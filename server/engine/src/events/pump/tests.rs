//! The pump against an outbox and a log room in memory: whatever fails and wherever it stops, the logs have every event
//! once, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

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
    refused: Arc<AtomicU32>,
}

#[async_trait]
impl LogStore for FailingLogs {
    async fn head(&self, id: &LogId) -> Result<LogHead, LogError> {
        self.logs.head(id).await
    }
    async fn append(&self, id: &LogId, append: LogAppend) -> Result<LogHead, LogError> {
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
        EventPump::new(Arc::new(self.outbox.clone()), self.room(), Arc::new(SystemClock))
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
        let lines = match self.room().read_lines(log.log(), 0, u64::MAX, usize::MAX).await {
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
    // Found out by the first try.
    assert!(pump.drain().await.is_err());
    pump.drain().await.unwrap();
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
                    Op::Drain => pump.drain().await.unwrap(),
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
            pump.drain().await.unwrap();
            for (project, wanted) in projects.iter().zip(&wanted) {
                assert_eq!(&scene.told(project).await, wanted, "{project:?}");
            }
        });
    }
}
