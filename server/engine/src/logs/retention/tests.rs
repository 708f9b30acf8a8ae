//! The reaper over logs in memory: what goes and what stays, the same however little memory it has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use proptest::prelude::*;
use uuid::{NoContext, Timestamp, Uuid};

use super::*;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::logs::memory::MemoryLogs;
use crate::logs::project::ProjectHash;
use crate::logs::{LogId, LogLimits, LogRoom, Missing, Row, Start, TailEvent, flags, line_words};

const START_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 24 * 3_600_000;

struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Knows what it was told; hears what the reaper does.
#[derive(Default)]
struct World {
    owners: Mutex<HashMap<String, Owned>>,
    removed: Mutex<Vec<(String, Reason)>>,
    trimmed: Mutex<Vec<(String, u64)>>,
    swept: Mutex<u64>,
}

#[async_trait]
impl LogOwners for World {
    async fn owner(&self, of: &LogOf) -> Result<Owned> {
        if of.name() == "faulty" {
            return Err(Error::Unavailable("the database is busy".into()));
        }
        Ok(self.owners.lock().unwrap().get(of.name()).copied().unwrap_or(Owned::Itself))
    }
}

#[async_trait]
impl SweepListener for World {
    async fn removed(&self, removed: &RemovedLogs) {
        self.removed.lock().unwrap().push((removed.of.name().to_owned(), removed.reason));
    }

    async fn trimmed(&self, log: &LogOf, records: u64, _bytes: u64) {
        self.trimmed.lock().unwrap().push((log.name().to_owned(), records));
    }

    async fn swept(&self, _sweep: &LogSweep) {
        *self.swept.lock().unwrap() += 1;
    }
}

struct House {
    hand: Arc<Hand>,
    room: LogRoom,
    world: Arc<World>,
}

impl House {
    fn new() -> Self {
        let hand = Arc::new(Hand(AtomicI64::new(START_MS)));
        let room = LogRoom::new(Arc::new(MemoryLogs::default()), hand.clone(), LogLimits::default());
        Self { hand, room, world: Arc::default() }
    }

    fn reaper(&self, retention: Retention) -> Reaper {
        Reaper::new(self.room.clone(), self.world.clone(), self.world.clone(), retention)
    }

    fn later(&self, ms: i64) {
        self.hand.0.fetch_add(ms, Ordering::Relaxed);
    }

    fn owner(&self, name: &str, owned: Owned) {
        self.world.owners.lock().unwrap().insert(name.to_owned(), owned);
    }

    async fn log(&self, id: &str, text: &str, complete: bool) -> LogId {
        let id = LogId::parse(id).unwrap();
        let index = self.room.head(&id).await.map_or(0, |head| head.rows);
        let mut batch = self.room.batch();
        batch.push(Row { time_ms: 0, stderr: false, text: text.as_bytes() }).unwrap();
        self.room.append(&id, index, batch, complete).await.unwrap();
        id
    }

    async fn ids(&self) -> Vec<String> {
        let ids = self.room.list(None, 1_000).await.unwrap();
        ids.iter().map(ToString::to_string).collect()
    }

    fn removed(&self) -> Vec<(String, Reason)> {
        std::mem::take(&mut *self.world.removed.lock().unwrap())
    }
}

fn for_ever() -> Retention {
    Retention {
        age_ms: 0,
        count: 0,
        max_bytes: 0,
        records_age_ms: 0,
        records_max_bytes: 0,
        abandoned_ms: 7 * DAY_MS as u64,
    }
}

fn project() -> ProjectHash {
    ProjectHash::of("team")
}

#[tokio::test]
async fn what_is_old_goes_and_what_goes_on_stays() {
    let house = House::new();
    for (name, owned) in [
        ("old", Owned::Ended(project(), START_MS)),
        ("new", Owned::Ended(project(), START_MS + 9 * DAY_MS)),
        ("runs", Owned::Running(project())),
        ("late", Owned::Ended(project(), START_MS)),
        ("followed", Owned::Ended(project(), START_MS)),
    ] {
        house.owner(name, owned);
        house.log(&format!("{name}.0.0.0.1.0"), "text", true).await;
        house.log(&format!("{name}.0.1.0.1.0"), "more", name != "late").await;
    }
    house.log("unknown.0", "text", true).await;
    house.log("b.build", "text", true).await;
    house.owner("build", Owned::Ended(project(), START_MS + DAY_MS));
    house.log("s.e3b0c44298fc1c14.own", "text", true).await;
    house.log("faulty.0", "text", true).await;
    let followed = LogId::parse("followed.0.1.0.1.0").unwrap();
    let tail = house.room.tail(&followed, Start::Offset(0), Missing::Refuse).await.unwrap();
    let reaper = house.reaper(Retention { age_ms: 5 * DAY_MS as u64, abandoned_ms: 365 * DAY_MS as u64, ..for_ever() });
    assert_eq!(reaper.last_sweep(), None);
    house.later(DAY_MS);
    let none = reaper.sweep().await;
    assert!(!none.did_something() && house.removed().is_empty());
    house.later(4 * DAY_MS);
    let sweep = reaper.sweep().await;
    let mut removed = house.removed();
    removed.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(removed, ["old", "own", "unknown"].map(|name| (name.to_owned(), Reason::Age)), "build: a day too young");
    assert_eq!((sweep.removed_for_age, sweep.faults), (4, 1));
    // 5 bytes of text and a word each.
    assert_eq!(sweep.freed_bytes, 4 * (5 + 8));
    drop(tail);
    house.later(DAY_MS);
    assert_eq!(reaper.sweep().await.removed_for_age, 3, "the build, and what nobody follows any more");
    let left = ["faulty.0", "late.0.0.0.1.0", "late.0.1.0.1.0", "new.0.0.0.1.0", "new.0.1.0.1.0", "runs.0.0.0.1.0"];
    assert_eq!(house.ids().await[..6], left);
    let usage = reaper.usage();
    let theirs = usage.of(LogKind::Job, Some(project()));
    assert_eq!((theirs.logs, theirs.size_bytes, theirs.stored_bytes), (6, 30, 78));
    assert_eq!(usage.of(LogKind::Job, Some(ProjectHash::of("other"))), LogUsage::default());
    assert_eq!(usage.of(LogKind::Build, None), LogUsage::default());
    assert_eq!(*house.world.swept.lock().unwrap(), 3);
    assert_eq!(reaper.last_sweep().map(|sweep| sweep.ended_ms), Some(START_MS + 6 * DAY_MS));
}

#[tokio::test]
async fn what_nobody_knows_any_more_goes_after_a_while() {
    let house = House::new();
    house.owner("gone", Owned::Forgotten);
    house.owner("gone.1.stdout", Owned::Forgotten);
    house.log("b.gone", "text", true).await;
    house.log("s.e3b0c44298fc1c14.gone.1.stdout", "text", false).await;
    let reaper = house.reaper(for_ever());
    house.later(DAY_MS / 24 - 1);
    assert!(!reaper.sweep().await.did_something(), "it may be there in a moment");
    house.later(1);
    assert_eq!(reaper.sweep().await.removed_forgotten, 2);
    assert!(house.ids().await.is_empty());
    assert!(house.removed().iter().all(|(_, reason)| *reason == Reason::Forgotten));
}

#[tokio::test]
async fn the_newest_are_kept_and_the_oldest_go_first() {
    let house = House::new();
    for day in 0..6_i64 {
        // The order of the ids is not that of the ends.
        let name = format!("run{}", (day * 5) % 6);
        house.owner(&name, Owned::Ended(project(), START_MS + day * DAY_MS));
        house.log(&format!("{name}.0"), "x", true).await;
        house.log(&format!("{name}.1"), "x", true).await;
    }
    house.owner("running", Owned::Running(project()));
    house.log("running.0", "x", false).await;
    house.owner("elsewhere", Owned::Ended(ProjectHash::of("other"), START_MS - DAY_MS));
    house.log("elsewhere.0", "x", true).await;
    house.later(10 * DAY_MS);
    let sweep = house.reaper(Retention { count: 4, ..for_ever() }).sweep().await;
    assert_eq!(sweep.removed_for_count, 6);
    assert_eq!(house.removed(), ["run0", "run5", "run4"].map(|name| (name.to_owned(), Reason::Count)));
    // 10 bytes each: two units of two, and the one that runs.
    let reaper = house.reaper(Retention { max_bytes: 55, ..for_ever() });
    assert_eq!(reaper.sweep().await.removed_for_size, 2);
    assert_eq!(house.removed(), [("run3".to_owned(), Reason::Size)]);
    assert_eq!(house.ids().await, ["elsewhere.0", "run1.0", "run1.1", "run2.0", "run2.1", "running.0"]);
    assert_eq!(reaper.usage().of(LogKind::Job, None).logs, 6);
    let sweep = house.reaper(Retention { max_bytes: 1, ..for_ever() }).sweep().await;
    assert_eq!(sweep.removed_for_size, 5);
    assert_eq!(house.ids().await, ["running.0"], "what goes on is never touched");
}

#[tokio::test]
async fn records_go_from_the_front() {
    let house = House::new();
    for _ in 0..10 {
        house.log("r.e3b0c44298fc1c14.audit", "0123456789", false).await;
        house.later(DAY_MS);
    }
    let id = LogId::parse("r.e3b0c44298fc1c14.audit").unwrap();
    let mut tail = house.room.tail(&id, Start::Offset(0), Missing::Refuse).await.unwrap();
    let aged = Retention { records_age_ms: 7 * DAY_MS as u64, age_ms: 1, count: 1, max_bytes: 1, ..for_ever() };
    let sweep = house.reaper(aged).sweep().await;
    assert_eq!((sweep.removed_records, sweep.freed_bytes, sweep.faults), (3, 3 * 19, 0));
    let head = house.room.head(&id).await.unwrap();
    assert_eq!((head.first.row, head.rows, head.complete), (3, 10, false));
    assert_eq!(tail.next().await, Ok(TailEvent::Gap(head.first)), "who followed is told");
    let large = Retention { records_max_bytes: 35, ..for_ever() };
    let reaper = house.reaper(large);
    assert_eq!(reaper.sweep().await.removed_records, 3, "the line with the 35th byte from the end stays");
    assert!(!reaper.sweep().await.did_something());
    assert_eq!(*house.world.trimmed.lock().unwrap(), [("audit".to_owned(), 3), ("audit".to_owned(), 3)]);
    let usage = reaper.usage().of(LogKind::Records, Some(ProjectHash::of("")));
    assert_eq!((usage.logs, usage.size_bytes), (1, 44));
    // All of it is old: the last piece stays, so that the numbers go on.
    house.later(100 * DAY_MS);
    house.reaper(aged).sweep().await;
    let head = house.room.head(&id).await.unwrap();
    assert_eq!((head.first.row, head.rows), (9, 10));
    house.log(id.as_str(), "the next", false).await;
    assert_eq!(house.room.head(&id).await.unwrap().rows, 11);
}

#[tokio::test]
async fn a_log_that_nobody_ends_is_ended() {
    let house = House::new();
    let made = |at_ms: i64| {
        let time = Timestamp::from_unix(NoContext, (at_ms / 1_000) as u64, 0);
        format!("s.e3b0c44298fc1c14.{}", Uuid::new_v7(time))
    };
    let (empty, young) = (made(START_MS - 7 * DAY_MS), made(START_MS - 6 * DAY_MS));
    for id in [&empty, &young, "s.e3b0c44298fc1c14.old"] {
        house.room.append_bytes(&LogId::parse(id).unwrap(), 0, Bytes::new(), false).await.unwrap();
    }
    let half = LogId::parse("s.e3b0c44298fc1c14.half").unwrap();
    house.room.append_bytes(&half, 0, "half a li".into(), false).await.unwrap();
    house.owner("runs", Owned::Running(project()));
    house.log("runs.0", "quiet", false).await;
    house.owner("ended", Owned::Ended(project(), START_MS));
    let ended = house.log("ended.0", "forgot the end", false).await;
    house.log("r.e3b0c44298fc1c14.audit", "a record", false).await;
    let reaper = house.reaper(for_ever());
    assert_eq!(reaper.sweep().await.ended_logs, 1, "the empty one is old by its id");
    house.later(7 * DAY_MS);
    // What was written in between counts.
    house.log("ended.0", "a late line", false).await;
    assert_eq!(reaper.sweep().await.ended_logs, 3, "half a line, and those that have no time: as old as this process");
    house.later(7 * DAY_MS);
    assert_eq!(reaper.sweep().await.ended_logs, 1);
    for id in [LogId::parse(&empty).unwrap(), half.clone(), ended] {
        assert!(house.room.head(&id).await.unwrap().complete, "{id}");
    }
    let lines = house.room.read_lines(&half, 0, 10, 1_000).await.unwrap();
    let text = String::from_utf8(lines.stream_bytes().to_vec()).unwrap();
    assert_eq!(text, "half a li\n##[warning]Nothing came for 7 days and nobody ended this log: the server has.\n");
    assert!(line_words(&lines.words).skip(1).all(|word| word & flags::ROOM != 0));
    let head = house.room.head(&half).await.unwrap();
    assert_eq!(head.written_bytes(), 9, "the room's words are not the writer's");
    for id in ["runs.0", "r.e3b0c44298fc1c14.audit"] {
        assert!(!house.room.head(&LogId::parse(id).unwrap()).await.unwrap().complete, "{id}");
    }
}

#[tokio::test]
async fn a_sweep_that_was_dropped_is_begun_again() {
    let house = House::new();
    for run in 0..300 {
        house.log(&format!("run{run}.0"), "x", true).await;
    }
    house.later(DAY_MS);
    let reaper = house.reaper(Retention { age_ms: 1, ..for_ever() });
    let mut yields = 0;
    tokio::select! {
        biased;
        sweep = reaper.sweep() => panic!("not dropped: {sweep:?}"),
        () = async { while yields < 50 { yields += 1; tokio::task::yield_now().await; } } => {}
    }
    let left = house.ids().await.len();
    assert!(left < 300 && left > 0, "{left}");
    assert_eq!(reaper.last_sweep(), None);
    // A removal that was under way has gone to its end.
    let removed = reaper.sweep().await.removed_for_age;
    assert!((left as u64 - 1..=left as u64).contains(&removed));
    assert!(house.ids().await.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// With room for any number of candidates the same is left, and afterwards the limits hold.
    #[test]
    fn little_memory_is_enough(
        runs in proptest::collection::vec((0..3_u8, 0..30_i64, 1..4_usize, 0..20_usize), 1..30),
        count in 0..5_u64,
        max_bytes in 0..400_u64,
        logs_max in 1..20_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut left = Vec::new();
            for most in [usize::MAX, logs_max] {
                let house = House::new();
                for (number, (project, end, logs, bytes)) in runs.iter().enumerate() {
                    let project = ProjectHash::of(&project.to_string());
                    // No two end at the same time: which of them goes first would be anybody's guess.
                    let ended_ms = START_MS + end * DAY_MS + number as i64;
                    let owned = if *end == 0 { Owned::Running(project) } else { Owned::Ended(project, ended_ms) };
                    house.owner(&format!("run{number}"), owned);
                    for log in 0..*logs {
                        house.log(&format!("run{number}.{log}"), &"x".repeat(*bytes), true).await;
                    }
                }
                house.later(100 * DAY_MS);
                let retention = Retention { count, max_bytes, ..for_ever() };
                let reaper = house.reaper(retention).with_candidate_logs_max(most);
                assert_eq!(reaper.sweep().await.faults, 0);
                assert!(!reaper.sweep().await.did_something(), "the second one finds nothing");
                let usage = reaper.usage().of(LogKind::Job, None);
                let ids = house.ids().await;
                assert_eq!(usage.logs, ids.len() as u64);
                left.push(ids);
            }
            assert_eq!(left[0], left[1]);
        });
    }
}
