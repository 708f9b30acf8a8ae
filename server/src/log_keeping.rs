//! Keeps the log room tidy: tells the reaper whose logs are, has it look every now and then, and tells what it did. What
//! is to go is the engine's business.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_engine::clock::Clock;
use millrace_engine::error::{Error, Result};
use millrace_engine::events::{EventKind, EventOutbox, NewEvent};
use millrace_engine::execution::{Execution, Stage};
use millrace_engine::invocations::Invocations;
use millrace_engine::logs::LogRoom;
use millrace_engine::logs::project::ProjectHash;
use millrace_engine::logs::retention::{
    LogOf, LogOwners, LogSweep, Owned, Reaper, Reason, RemovedLogs, Retention, SweepListener,
};
use millrace_engine::logs::streams::StreamId;
use millrace_engine::scheduler::Scheduler;
use serde::Serialize;

use crate::config::LogConfig;
use crate::metrics::LogMetrics;

/// The first look is so long after the start at most, in milliseconds: a start has other things to do.
const FIRST_LOOK_MS: u64 = 30_000;

/// Keeps the log room tidy.
pub struct LogKeeping {
    /// Removes what is no longer to be kept.
    pub reaper: Reaper,
    every: Duration,
}

/// What it asks, and whom it tells.
#[derive(Clone)]
pub struct LogNeighbours {
    /// Runs.
    pub scheduler: Arc<Scheduler>,
    /// Remote actions.
    pub execution: Arc<Execution>,
    /// Builds.
    pub invocations: Arc<Invocations>,
    /// The platform's own events.
    pub events: Arc<dyn EventOutbox>,
    /// Counters.
    pub metrics: LogMetrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl LogKeeping {
    /// Over the rooms.
    pub fn new(room: LogRoom, neighbours: LogNeighbours, config: &LogConfig) -> Self {
        let neighbours = Arc::new(neighbours);
        let owners: Arc<dyn LogOwners> = Arc::clone(&neighbours) as Arc<dyn LogOwners>;
        let reaper = Reaper::new(room, owners, neighbours, config.retention);
        Self { reaper, every: Duration::from_millis(config.sweep_ms) }
    }

    /// Looks soon, and then every now and then, until the server stops. What is half done then is done after the next
    /// start.
    pub async fn run(&self, stopping: impl Future<Output = ()>) {
        let looking = async {
            tokio::time::sleep(self.every.min(Duration::from_millis(FIRST_LOOK_MS))).await;
            loop {
                self.reaper.sweep().await;
                tokio::time::sleep(self.every).await;
            }
        };
        tokio::select! {
            () = looking => {}
            () = stopping => {}
        }
    }
}

/// How long logs are kept, for who looks for one that was removed.
pub fn kept_for(retention: &Retention) -> String {
    const HOUR_MS: u64 = 3_600_000;
    let mut limits = Vec::new();
    match retention.age_ms {
        0 => {}
        ms if ms.is_multiple_of(24 * HOUR_MS) => limits.push(format!("{} days", ms / (24 * HOUR_MS))),
        ms if ms.is_multiple_of(HOUR_MS) => limits.push(format!("{} hours", ms / HOUR_MS)),
        ms => limits.push(format!("{} s", ms as f64 / 1_000.0)),
    }
    if retention.count > 0 {
        limits.push(format!("of the newest {} of a project", retention.count));
    }
    if retention.max_bytes > 0 {
        limits.push(format!("{} bytes of a project", retention.max_bytes));
    }
    if limits.is_empty() { "until they are removed".to_owned() } else { limits.join(", ") }
}

#[async_trait]
impl LogOwners for LogNeighbours {
    async fn owner(&self, of: &LogOf) -> Result<Owned> {
        match of {
            // A run that the database does not have may be of one that was lost: its logs are kept as long as others.
            LogOf::Run(id) => Ok(self.scheduler.end(id).await?.map_or(Owned::Itself, |end| {
                let project = ProjectHash::of(&end.project);
                end.ended_ms.map_or(Owned::Running(project), |ended_ms| Owned::Ended(project, ended_ms))
            })),
            LogOf::Build(id) => match self.invocations.row(None, id).await {
                Ok(row) => {
                    let project = ProjectHash::of(&row.instance);
                    Ok(if row.complete { Owned::Ended(project, row.updated_ms) } else { Owned::Running(project) })
                }
                Err(Error::NotFound(_)) => Ok(Owned::Forgotten),
                Err(error) => Err(error),
            },
            LogOf::Stream(stream) => self.stream_owner(stream).await,
            LogOf::Records(_) => Ok(Owned::Itself),
        }
    }
}

impl LogNeighbours {
    async fn stream_owner(&self, stream: &StreamId) -> Result<Owned> {
        let mut parts = stream.id().split('.');
        let (Some(id), Some(_), Some("stdout" | "stderr"), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Ok(Owned::Itself);
        };
        match self.execution.execution(id).await {
            Ok(state) => Ok(match state.finished_ms.filter(|_| state.stage == Stage::Done) {
                Some(ended_ms) => Owned::Ended(stream.project(), ended_ms),
                None => Owned::Running(stream.project()),
            }),
            Err(Error::NotFound(_)) => Ok(Owned::Forgotten),
            Err(error) => Err(error),
        }
    }

    /// The project and the subject of an event about these logs; none where ids do not say the project's name.
    async fn subject(&self, of: &LogOf) -> Result<Option<(String, String)>> {
        Ok(match of {
            LogOf::Run(id) => self.scheduler.end(id).await?.map(|end| (end.project, format!("runs/{id}"))),
            LogOf::Build(id) => match self.invocations.row(None, id).await {
                Ok(row) => Some((row.instance, format!("invocations/{id}"))),
                Err(Error::NotFound(_)) => None,
                Err(error) => return Err(error),
            },
            LogOf::Stream(_) | LogOf::Records(_) => None,
        })
    }

    async fn tell(&self, event: NewEvent) {
        if let Err(error) = self.events.put(vec![event]).await {
            tracing::warn!(%error, "what retention removed could not be told");
        }
    }
}

/// What is told of the logs of one run or build.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Removed {
    reason: &'static str,
    logs: u64,
    stored_bytes: u64,
}

/// What is told of a sweep.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Swept {
    removed_for_age: u64,
    removed_for_count: u64,
    removed_for_size: u64,
    removed_forgotten: u64,
    removed_records: u64,
    ended_logs: u64,
    freed_bytes: u64,
    faults: u64,
}

#[async_trait]
impl SweepListener for LogNeighbours {
    async fn removed(&self, removed: &RemovedLogs) {
        let RemovedLogs { of, reason, logs, stored_bytes, .. } = removed;
        tracing::debug!(kind = of.kind().word(), name = of.name(), reason = reason.word(), logs, "logs were removed");
        match self.subject(of).await {
            Ok(None) => {}
            Ok(Some((project, subject))) => {
                let data = Removed { reason: reason.word(), logs: *logs, stored_bytes: *stored_bytes };
                let now_ms = self.clock.now_ms();
                self.tell(NewEvent::new(EventKind::LogsRemoved, &project, &subject, now_ms, &data)).await;
            }
            Err(error) => tracing::warn!(%error, "whose logs were removed could not be found out"),
        }
    }

    async fn trimmed(&self, log: &LogOf, records: u64, bytes: u64) {
        tracing::debug!(name = log.name(), records, bytes, "records were removed from the front of a named log");
    }

    async fn swept(&self, sweep: &LogSweep) {
        self.metrics.swept(sweep);
        if !sweep.did_something() {
            return;
        }
        let data = Swept {
            removed_for_age: sweep.removed(Reason::Age),
            removed_for_count: sweep.removed(Reason::Count),
            removed_for_size: sweep.removed(Reason::Size),
            removed_forgotten: sweep.removed(Reason::Forgotten),
            removed_records: sweep.removed_records,
            ended_logs: sweep.ended_logs,
            freed_bytes: sweep.freed_bytes,
            faults: sweep.faults,
        };
        tracing::info!(
            age = data.removed_for_age,
            count = data.removed_for_count,
            size = data.removed_for_size,
            forgotten = data.removed_forgotten,
            records = data.removed_records,
            ended = data.ended_logs,
            freed_bytes = data.freed_bytes,
            "logs that are no longer to be kept were removed"
        );
        self.tell(NewEvent::new(EventKind::LogsRemoved, "", "logs", sweep.ended_ms, &data)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_logs_are_kept_is_said_in_words() {
        let keep = |age_ms, count, max_bytes| {
            kept_for(&Retention { age_ms, count, max_bytes, records_age_ms: 0, records_max_bytes: 0, abandoned_ms: 0 })
        };
        assert_eq!(keep(90 * 24 * 3_600_000, 0, 0), "90 days");
        assert_eq!(keep(36 * 3_600_000, 5, 0), "36 hours, of the newest 5 of a project");
        assert_eq!(keep(1_500, 0, 7), "1.5 s, 7 bytes of a project");
        assert_eq!(keep(0, 0, 0), "until they are removed");
    }
}
