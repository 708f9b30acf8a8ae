//! Takes events out of the outbox and appends them to the logs: all to the server's, each to its project's. It goes on where
//! the logs end, so that after a crash nothing is missing and nothing is there twice. A log that refuses its events holds up
//! no other ([`held`]). Knows no event.

mod held;
mod target;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use lru::LruCache;
use tokio::time::{Instant, sleep, timeout};

use self::held::HeldLogs;
use self::target::Target;
use super::event::{EventId, NewEvent};
use super::outbox::{EventOutbox, OUTBOX_MAX_EVENTS, OutboxRow, lost};
use crate::clock::Clock;
use crate::error::Result;
use crate::logs::{LogError, LogRoom};

pub use self::held::{PUMP_HELD_MAX_EVENTS, PumpFigures};

/// The outbox is asked for so many events at once; one transaction of executions may have more.
pub const PUMP_BATCH_MAX_EVENTS: u32 = 1_024;
/// How often the outbox is looked at when nobody says that there is something, in milliseconds.
pub const PUMP_POLL_MS: u64 = 5_000;
/// How often at most what was told is removed from the outbox, in milliseconds: a transaction less for those who wait for
/// theirs. Until then the logs say how far they have come.
pub const PUMP_REMOVE_EVERY_MS: u64 = 1_000;
/// The shortest time between two appends while events pour in, in milliseconds: they are told together.
const PUMP_GATHER_MS: u64 = 10;
/// How long it waits after a failure, in milliseconds; each time twice as long, up to the most.
const PUMP_RETRY_MS: u64 = 250;
const PUMP_RETRY_MAX_MS: u64 = 30_000;
/// After so many failures in a row of all logs, with no fault of the room itself, those that fail are tried each by itself.
const PUMP_TOGETHER_MAX_FAILURES: u32 = 3;
/// How long the end of a server waits for the last events to be told, in milliseconds. What is left is told at the next start.
const PUMP_STOP_MS: u64 = 2_000;
/// Of so many projects' logs it is remembered how far they have come.
const PUMP_LOGS_MAX: NonZeroUsize = NonZeroUsize::new(1_024).expect("is not 0");

/// The pump. There is one a server.
pub struct EventPump {
    outbox: Arc<dyn EventOutbox>,
    logs: LogRoom,
    clock: Arc<dyn Clock>,
    /// All rows up to this one were told.
    told: u64,
    /// All rows up to this one were removed.
    removed: u64,
    /// By project. Of these it is known how far they have come.
    targets: LruCache<String, Target>,
    /// These refuse what goes to them.
    held: HeldLogs,
    failures: u32,
    figures: Arc<PumpFigures>,
}

/// What goes to a log.
type Part<'a> = Vec<(EventId, &'a NewEvent)>;

impl EventPump {
    /// From an outbox into a log room.
    pub fn new(outbox: Arc<dyn EventOutbox>, logs: LogRoom, clock: Arc<dyn Clock>, figures: Arc<PumpFigures>) -> Self {
        let (targets, held) = (LruCache::new(PUMP_LOGS_MAX), HeldLogs::new(Arc::clone(&figures)));
        Self { outbox, logs, clock, told: 0, removed: 0, targets, held, failures: 0, figures }
    }

    /// Runs until it is stopped.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let news = self.outbox.news();
        let mut removed_at = Instant::now();
        loop {
            self.pump().await;
            if self.is_to_remove() && removed_at.elapsed() >= Duration::from_millis(PUMP_REMOVE_EVERY_MS) {
                self.remove().await;
                removed_at = Instant::now();
            }
            let look = self.next_look();
            tokio::select! {
                () = &mut stop => break,
                () = news.notified(), if self.failures == 0 => {}
                () = sleep(look) => {}
            }
            tokio::select! {
                () = &mut stop => break,
                () = sleep(Duration::from_millis(PUMP_GATHER_MS)) => {}
            }
        }
        let ending = async {
            self.pump().await;
            self.remove().await;
        };
        if timeout(Duration::from_millis(PUMP_STOP_MS), ending).await.is_err() {
            tracing::warn!("the last events could not be told in time; they are told at the next start");
        }
    }

    /// How long nothing is done when nothing is heard.
    fn next_look(&self) -> Duration {
        let look = Duration::from_millis(match self.failures {
            0 if self.is_to_remove() => PUMP_REMOVE_EVERY_MS,
            0 => PUMP_POLL_MS,
            failures => PUMP_RETRY_MS.saturating_mul(1 << failures.min(16)).min(PUMP_RETRY_MAX_MS),
        });
        // While nothing goes on they would not either.
        let again = self.held.next_try().filter(|_| self.failures == 0);
        again.map_or(look, |at| look.min(at.saturating_duration_since(Instant::now())))
    }

    /// Tells all there is. A failure is noted; the outbox keeps what was not told.
    async fn pump(&mut self) {
        match self.drain().await {
            Ok(()) if self.failures > 0 => {
                tracing::info!(failures = self.failures, "events are told again");
                self.failures = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.failures == 0 {
                    tracing::warn!(%error, "events can't be told; they wait in the outbox");
                }
                self.failures = self.failures.saturating_add(1);
                self.shorten().await;
            }
        }
    }

    /// Tells all there is, but to logs that refuse what goes to them.
    pub async fn drain(&mut self) -> Result<()> {
        self.retry_held().await?;
        loop {
            let rows = self.outbox.read(self.told, PUMP_BATCH_MAX_EVENTS).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            self.tell(&rows).await?;
            self.told = last.id;
            self.bound_held().await?;
        }
    }

    fn is_to_remove(&self) -> bool {
        self.told > self.removed || self.held.has_released()
    }

    /// Takes what was told out of the outbox. What still waits for some log stays.
    pub async fn remove(&mut self) {
        if !self.is_to_remove() {
            return;
        }
        match self.outbox.remove(self.told, &self.held.rows()).await {
            Ok(()) => {
                self.removed = self.told;
                self.held.removed();
            }
            Err(error) => tracing::warn!(%error, "events that were told stay in the outbox; trying again"),
        }
    }

    /// Appends the events of some rows to all logs that they belong to; when this returns they are durable there, or wait
    /// for those that refuse them. An error is one of all: nothing is known of what became of them.
    async fn tell(&mut self, rows: &[OutboxRow]) -> Result<()> {
        let parts = parts_of(rows);
        let free: Vec<&str> = parts.keys().copied().filter(|project| !self.held.has(project)).collect();
        let tried = free.len();
        let refused = self.append(&parts, free).await?;
        // It was removed meanwhile, or has them and did not say so: it is looked at once more.
        let refused = self.append(&parts, refused.into_iter().map(|(project, _)| project).collect()).await?;
        let all_refuse_long = self.failures >= PUMP_TOGETHER_MAX_FAILURES && self.logs.fault().is_none();
        let others_go_on = refused.len() < tried || all_refuse_long;
        let mut of_all = None;
        for (project, error) in refused {
            if is_its_own(&error, others_go_on) {
                self.held.hold(project, &error);
            } else {
                of_all = Some(error);
            }
        }
        if let Some(error) = of_all {
            return Err(error.into());
        }
        for (project, part) in &parts {
            self.held.wait(project, part.iter().map(|(id, _)| *id));
        }
        Ok(())
    }

    /// Appends to these projects' logs; which have refused, and why.
    async fn append<'p>(
        &mut self,
        parts: &IndexMap<&'p str, Part<'_>>,
        projects: Vec<&'p str>,
    ) -> Result<Vec<(&'p str, LogError)>> {
        let (mut refused, mut work) = (Vec::new(), Vec::with_capacity(projects.len()));
        for project in projects {
            // Put back when all is well: after a failure the log says how far it has come.
            let target = match self.targets.pop(project) {
                Some(target) => Ok(target),
                None => self.open(project).await?,
            };
            match target {
                Ok(target) => work.push(append(target, project, &parts[project], &self.logs)),
                Err(error) => refused.push((project, error)),
            }
        }
        // At once: the logs are made durable together.
        for (project, done) in futures::future::join_all(work).await {
            match done {
                Ok(target) => {
                    self.targets.put(project.to_owned(), target);
                }
                Err(error) => refused.push((project, error)),
            }
        }
        Ok(refused)
    }

    /// How far a project's log has come.
    async fn open(&self, project: &str) -> Result<Result<Target, LogError>> {
        let mut target = match Target::open(&self.logs, project).await {
            Ok(target) => target,
            Err(error) => return Ok(Err(error)),
        };
        // What is in the log is removed from the outbox in the order of the rows: with anything in it, its last row is
        // not before the log's. Unless the database was put back to what it had been before.
        if self.outbox.newest().await?.is_some_and(|newest| newest < target.last().row) {
            tracing::warn!(%project, "the log of events is ahead of the database, which is an older one; it goes on");
            target.begin_again();
        }
        Ok(Ok(target))
    }

    /// Tries those logs again that have refused, when it is time to.
    async fn retry_held(&mut self) -> Result<()> {
        while let Some(project) = self.held.due() {
            match self.catch_up(&project).await? {
                Ok(target) => {
                    self.held.release(&project);
                    self.targets.put(project, target);
                }
                Err(error) => self.held.hold(&project, &error),
            }
        }
        Ok(())
    }

    /// Tells a log what has waited for it.
    async fn catch_up(&mut self, project: &str) -> Result<Result<Target, LogError>> {
        let mut target = match self.open(project).await? {
            Ok(target) => target,
            Err(error) => return Ok(Err(error)),
        };
        while let Some(first) = self.held.first_row(project) {
            let mut rows = self.outbox.read(first - 1, PUMP_BATCH_MAX_EVENTS).await?;
            // What comes after has its turn with all others.
            rows.retain(|row| row.id <= self.told);
            let last = rows.last().map_or(self.told, |row| row.id);
            let part = parts_of(&rows).swap_remove(project).unwrap_or_default();
            if let Err(error) = target.append(&self.logs, &part).await {
                return Ok(Err(error));
            }
            self.held.told(project, last);
        }
        Ok(Ok(target))
    }

    /// So that what waits for logs that refuse it does not fill the disk.
    async fn bound_held(&mut self) -> Result<()> {
        while let Some((project, given_up)) = self.held.too_many() {
            // Told first: a crash in between may tell of too many, but not of too few.
            let notice = lost(&project, given_up, self.clock.now_ms());
            self.outbox.put(vec![notice]).await?;
            let events = self.held.give_up(&project);
            tracing::error!(
                %project,
                events,
                limit = PUMP_HELD_MAX_EVENTS,
                "more events wait for logs that refuse them than are kept; the oldest of this one are given up"
            );
        }
        Ok(())
    }

    /// So that the outbox does not fill the disk while nothing can be told.
    async fn shorten(&mut self) {
        // What was told is not lost.
        self.remove().await;
        match self.outbox.shorten(self.told, OUTBOX_MAX_EVENTS, self.clock.now_ms()).await {
            Ok(None) => {}
            Ok(Some(events)) => {
                self.figures.give_up(events);
                tracing::error!(
                    events,
                    limit = OUTBOX_MAX_EVENTS,
                    "more events wait than are kept; the oldest are lost"
                );
            }
            Err(error) => tracing::warn!(%error, "the outbox could not be looked at"),
        }
    }
}

/// Which events go to which project's log; all go to that of the empty one.
fn parts_of(rows: &[OutboxRow]) -> IndexMap<&str, Part<'_>> {
    let mut parts: IndexMap<&str, Part<'_>> = IndexMap::new();
    for row in rows {
        for (event, place) in row.events.iter().zip(0..) {
            let id = EventId { row: row.id, place };
            parts.entry("").or_default().push((id, event));
            if !event.project.is_empty() {
                parts.entry(&event.project).or_default().push((id, event));
            }
        }
    }
    parts
}

/// Whether a log's refusal is its own, and not that of the room: then the others need not wait for it.
fn is_its_own(error: &LogError, others_go_on: bool) -> bool {
    match error {
        // The disk is full for all.
        LogError::Exhausted(_) => false,
        LogError::Io(_) | LogError::Stale(_) | LogError::NotFound(_) => others_go_on,
        LogError::Corrupt { .. }
        | LogError::Closed(_)
        | LogError::Conflict { .. }
        | LogError::OtherBytes { .. }
        | LogError::Gone { .. }
        | LogError::Invalid { .. } => true,
    }
}

async fn append<'p>(
    mut target: Target,
    project: &'p str,
    part: &Part<'_>,
    logs: &LogRoom,
) -> (&'p str, Result<Target, LogError>) {
    let done = target.append(logs, part).await;
    (project, done.map(|()| target))
}
