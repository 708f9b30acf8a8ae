//! Logs of events that refuse what goes to them: what waits for each, and when it is tried again. Others are not held up by
//! them. It reads no outbox and writes no log.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::super::event::EventId;
use crate::logs::LogError;

/// So many events wait at most for logs that refuse them, all together. Of more the older half of those that wait for the
/// log with the most is given up for that log; other logs have them.
pub const PUMP_HELD_MAX_EVENTS: u64 = 100_000;
/// For a log with fewer none are given up: what tells of them would be as much.
const GIVE_UP_MIN_EVENTS: u64 = 8;
/// How long after its refusal a log is tried again, in milliseconds; each time twice as long, up to the most.
const HELD_RETRY_MS: u64 = 1_000;
const HELD_RETRY_MAX_MS: u64 = 300_000;

/// What the pump tells of itself at any time.
#[derive(Debug, Default)]
pub struct PumpFigures {
    refusing_logs: AtomicU64,
    held_events: AtomicU64,
    given_up_events: AtomicU64,
}

impl PumpFigures {
    /// How many logs of events refuse what goes to them.
    pub fn refusing_logs(&self) -> u64 {
        self.refusing_logs.load(Ordering::Relaxed)
    }

    /// How many events wait for them.
    pub fn held_events(&self) -> u64 {
        self.held_events.load(Ordering::Relaxed)
    }

    /// How many events were given up since the start.
    pub fn given_up_events(&self) -> u64 {
        self.given_up_events.load(Ordering::Relaxed)
    }

    /// So many more were given up.
    pub(super) fn give_up(&self, events: u64) {
        self.given_up_events.fetch_add(events, Ordering::Relaxed);
    }
}

/// The logs that refuse, by project.
pub struct HeldLogs {
    logs: HashMap<String, HeldLog>,
    events: u64,
    max_events: u64,
    /// Some rows wait no longer and were not removed yet.
    released: bool,
    figures: Arc<PumpFigures>,
}

/// One of them.
struct HeldLog {
    /// The rows of the outbox with events of it, and how many.
    rows: VecDeque<(u64, u64)>,
    events: u64,
    given_up: u64,
    failures: u32,
    next_try: Instant,
}

impl HeldLogs {
    /// None.
    pub fn new(figures: Arc<PumpFigures>) -> Self {
        Self { logs: HashMap::new(), events: 0, max_events: PUMP_HELD_MAX_EVENTS, released: false, figures }
    }

    /// Whether this one refuses.
    pub fn has(&self, project: &str) -> bool {
        self.logs.contains_key(project)
    }

    /// It has refused: it is tried again later.
    pub fn hold(&mut self, project: &str, error: &LogError) {
        if !self.has(project) {
            tracing::warn!(%project, %error, "a log of events refuses them; they wait for it, the others go on");
            let log = HeldLog { rows: VecDeque::new(), events: 0, given_up: 0, failures: 0, next_try: Instant::now() };
            self.logs.insert(project.to_owned(), log);
        }
        if let Some(log) = self.logs.get_mut(project) {
            let wait_ms = HELD_RETRY_MS.saturating_mul(1 << log.failures.min(16)).min(HELD_RETRY_MAX_MS);
            log.failures = log.failures.saturating_add(1);
            log.next_try = Instant::now() + Duration::from_millis(wait_ms);
        }
        self.show();
    }

    /// These wait for it from now on, if it refuses. They come in their order, and all of a row at once.
    pub fn wait(&mut self, project: &str, events: impl Iterator<Item = EventId>) {
        let Some(log) = self.logs.get_mut(project) else { return };
        for EventId { row, .. } in events {
            match log.rows.back_mut() {
                Some((last, count)) if *last == row => *count += 1,
                _ => log.rows.push_back((row, 1)),
            }
            log.events += 1;
            self.events += 1;
        }
        self.show();
    }

    /// One that is to be tried again.
    pub fn due(&self) -> Option<String> {
        let now = Instant::now();
        self.logs.iter().find(|(_, log)| log.next_try <= now).map(|(project, _)| project.clone())
    }

    /// When the next one is.
    pub fn next_try(&self) -> Option<Instant> {
        self.logs.values().map(|log| log.next_try).min()
    }

    /// The first row that waits for it.
    pub fn first_row(&self, project: &str) -> Option<u64> {
        self.logs.get(project)?.rows.front().map(|(row, _)| *row)
    }

    /// It has the events of all rows up to this one.
    pub fn told(&mut self, project: &str, up_to: u64) {
        self.pop_while(project, |row, _| row <= up_to);
    }

    /// It takes what goes to it.
    pub fn release(&mut self, project: &str) {
        self.told(project, u64::MAX);
        if let Some(log) = self.logs.remove(project) {
            tracing::info!(%project, failures = log.failures, "a log of events takes them again");
        }
        self.show();
    }

    /// When more wait than may: the one with the most, and for how many events its older half stands, with those that were
    /// given up before.
    pub fn too_many(&self) -> Option<(String, u64)> {
        let (project, log) = self.logs.iter().max_by_key(|(_, log)| log.events)?;
        let (too_many, enough) = (self.events > self.max_events, log.events >= GIVE_UP_MIN_EVENTS);
        (too_many && enough).then(|| (project.clone(), log.given_up + older_half(log)))
    }

    /// The older half of what waits for it waits no longer; how many events that were.
    pub fn give_up(&mut self, project: &str) -> u64 {
        let mut left = self.logs.get(project).map_or(0, older_half);
        let gone = self.pop_while(project, |_, events| {
            let more = left > 0;
            left = left.saturating_sub(events);
            more
        });
        if let Some(log) = self.logs.get_mut(project) {
            log.given_up += gone;
        }
        self.figures.give_up(gone);
        gone
    }

    /// The rows that some log still waits for.
    pub fn rows(&self) -> BTreeSet<u64> {
        self.logs.values().flat_map(|log| log.rows.iter().map(|(row, _)| *row)).collect()
    }

    /// Whether there are rows that waited and need not be kept any more.
    pub fn has_released(&self) -> bool {
        self.released
    }

    /// They were removed.
    pub fn removed(&mut self) {
        self.released = false;
    }

    /// Takes rows from the front; how many events those were.
    fn pop_while(&mut self, project: &str, mut goes: impl FnMut(u64, u64) -> bool) -> u64 {
        let Some(log) = self.logs.get_mut(project) else { return 0 };
        let mut gone = 0;
        while let Some((_, events)) = log.rows.pop_front_if(|(row, events)| goes(*row, *events)) {
            gone += events;
        }
        log.events -= gone;
        self.events -= gone;
        self.released |= gone > 0;
        self.show();
        gone
    }

    fn show(&self) {
        self.figures.refusing_logs.store(self.logs.len() as u64, Ordering::Relaxed);
        self.figures.held_events.store(self.events, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub fn set_max_events(&mut self, max_events: u64) {
        self.max_events = max_events;
    }

    #[cfg(test)]
    pub fn try_now(&mut self) {
        for log in self.logs.values_mut() {
            log.next_try = Instant::now();
        }
    }
}

/// How many events the rows have that make up the older half.
fn older_half(log: &HeldLog) -> u64 {
    let mut half = 0;
    for (_, events) in &log.rows {
        if half >= log.events / 2 {
            break;
        }
        half += events;
    }
    half
}
