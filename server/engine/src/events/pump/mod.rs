//! Takes events out of the outbox and appends them to the logs: all to the server's, each to its project's. It goes on where
//! the logs end, so that after a crash nothing is missing and nothing is there twice. Knows no event.

mod target;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use lru::LruCache;
use tokio::time::{Instant, sleep, timeout};

use self::target::Target;
use super::event::{EventId, NewEvent};
use super::outbox::{EventOutbox, OUTBOX_MAX_EVENTS, OutboxRow};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::logs::LogRoom;

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
    failures: u32,
}

/// What goes to a log.
type Part<'a> = Vec<(EventId, &'a NewEvent)>;

impl EventPump {
    /// From an outbox into a log room.
    pub fn new(outbox: Arc<dyn EventOutbox>, logs: LogRoom, clock: Arc<dyn Clock>) -> Self {
        Self { outbox, logs, clock, told: 0, removed: 0, targets: LruCache::new(PUMP_LOGS_MAX), failures: 0 }
    }

    /// Runs until it is stopped.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let news = self.outbox.news();
        let mut removed_at = Instant::now();
        loop {
            self.pump().await;
            if self.told > self.removed && removed_at.elapsed() >= Duration::from_millis(PUMP_REMOVE_EVERY_MS) {
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
        Duration::from_millis(match self.failures {
            0 if self.told > self.removed => PUMP_REMOVE_EVERY_MS,
            0 => PUMP_POLL_MS,
            failures => PUMP_RETRY_MS.saturating_mul(1 << failures.min(16)).min(PUMP_RETRY_MAX_MS),
        })
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

    /// Tells all there is.
    pub async fn drain(&mut self) -> Result<()> {
        loop {
            let rows = self.outbox.read(self.told, PUMP_BATCH_MAX_EVENTS).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            self.tell(&rows).await?;
            self.told = last.id;
        }
    }

    /// Takes what was told out of the outbox.
    pub async fn remove(&mut self) {
        if self.told == self.removed {
            return;
        }
        match self.outbox.remove(self.told).await {
            Ok(()) => self.removed = self.told,
            Err(error) => tracing::warn!(%error, "events that were told stay in the outbox; trying again"),
        }
    }

    /// Appends the events of some rows to all logs that they belong to; when this returns they are durable there.
    async fn tell(&mut self, rows: &[OutboxRow]) -> Result<()> {
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
        let mut failed = None;
        let mut work = Vec::with_capacity(parts.len());
        for (project, part) in parts {
            // Put back when all is well: after a failure the log says how far it has come.
            let target = match self.targets.pop(project) {
                Some(target) => target,
                None => match self.open(project).await {
                    Ok(target) => target,
                    Err(error) => {
                        // The others go on.
                        failed = Some(error);
                        continue;
                    }
                },
            };
            work.push(append(target, project, part, &self.logs));
        }
        // At once: the logs are made durable together.
        for done in futures::future::join_all(work).await {
            match done {
                Ok((project, target)) => {
                    self.targets.put(project.to_owned(), target);
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// How far a project's log has come.
    async fn open(&self, project: &str) -> Result<Target> {
        let mut target = Target::open(&self.logs, project).await?;
        // What is in the log is removed from the outbox in the order of the rows: with anything in it, its last row is
        // not before the log's. Unless the database was put back to what it had been before.
        if self.outbox.newest().await?.is_some_and(|newest| newest < target.last().row) {
            tracing::warn!(%project, "the log of events is ahead of the database, which is an older one; it goes on");
            target.begin_again();
        }
        Ok(target)
    }

    /// So that the outbox does not fill the disk while nothing can be told.
    async fn shorten(&mut self) {
        // What was told is not lost.
        self.remove().await;
        match self.outbox.shorten(OUTBOX_MAX_EVENTS, self.clock.now_ms()).await {
            Ok(None) => {}
            Ok(Some(events)) => {
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

async fn append<'p>(
    mut target: Target,
    project: &'p str,
    part: Part<'_>,
    logs: &LogRoom,
) -> Result<(&'p str, Target), Error> {
    target.append(logs, &part).await?;
    Ok((project, target))
}
