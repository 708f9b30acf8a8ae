//! What a sweep came to, and who hears of it.

use std::collections::HashMap;

use async_trait::async_trait;

use super::policy::Reason;
use super::{LogKind, LogOf};
use crate::logs::project::ProjectHash;

/// What a look for logs that are no longer to be kept came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSweep {
    /// When it began, in Unix milliseconds.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: i64,
    /// How many logs it removed for their age.
    pub removed_for_age: u64,
    /// How many for the number of runs, builds or streams of their project.
    pub removed_for_count: u64,
    /// How many for what their project takes.
    pub removed_for_size: u64,
    /// How many because what they were of is no longer known.
    pub removed_forgotten: u64,
    /// How many records of named logs it removed.
    pub removed_records: u64,
    /// How many abandoned logs it ended.
    pub ended_logs: u64,
    /// How many bytes of the disk became free.
    pub freed_bytes: u64,
    /// How many logs it could not do to as it should: the next one tries again.
    pub faults: u64,
}

impl LogSweep {
    /// How many logs went for this reason.
    pub fn removed(&self, reason: Reason) -> u64 {
        match reason {
            Reason::Age => self.removed_for_age,
            Reason::Count => self.removed_for_count,
            Reason::Size => self.removed_for_size,
            Reason::Forgotten => self.removed_forgotten,
        }
    }

    /// Whether anything was removed or ended.
    pub fn did_something(&self) -> bool {
        let removed: u64 = Reason::ALL.iter().map(|reason| self.removed(*reason)).sum();
        removed + self.removed_records + self.ended_logs > 0
    }

    pub(super) fn count_removed(&mut self, reason: Reason, logs: u64, bytes: u64) {
        let counter = match reason {
            Reason::Age => &mut self.removed_for_age,
            Reason::Count => &mut self.removed_for_count,
            Reason::Size => &mut self.removed_for_size,
            Reason::Forgotten => &mut self.removed_forgotten,
        };
        *counter += logs;
        self.freed_bytes += bytes;
    }
}

/// Logs that went together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedLogs {
    /// What they were of.
    pub of: LogOf,
    /// Whose they were; None: nobody knows any more.
    pub project: Option<ProjectHash>,
    /// Why they went.
    pub reason: Reason,
    /// How many they were.
    pub logs: u64,
    /// What they took on the disk.
    pub stored_bytes: u64,
}

/// Hears what a sweep does. What it does with that must not hold the sweep up for long.
#[async_trait]
pub trait SweepListener: Send + Sync + 'static {
    /// Logs were removed.
    async fn removed(&self, removed: &RemovedLogs);

    /// Records were removed from the front of a named log.
    async fn trimmed(&self, log: &LogOf, records: u64, bytes: u64);

    /// A sweep has ended.
    async fn swept(&self, sweep: &LogSweep);
}

/// What some logs take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogUsage {
    /// How many.
    pub logs: u64,
    /// Their length, line ends included.
    pub size_bytes: u64,
    /// What they take on the disk.
    pub stored_bytes: u64,
}

/// What all logs take, as a sweep left them.
#[derive(Clone, Debug, Default)]
pub struct RoomUsage {
    by_project: HashMap<(ProjectHash, LogKind), LogUsage>,
}

impl RoomUsage {
    /// What logs of a kind take: of one project, or of all.
    pub fn of(&self, kind: LogKind, project: Option<ProjectHash>) -> LogUsage {
        let theirs =
            |(of, of_kind): &(ProjectHash, LogKind)| *of_kind == kind && project.is_none_or(|project| project == *of);
        let mut sum = LogUsage::default();
        for (_, usage) in self.by_project.iter().filter(|(key, _)| theirs(key)) {
            sum.logs += usage.logs;
            sum.size_bytes += usage.size_bytes;
            sum.stored_bytes += usage.stored_bytes;
        }
        sum
    }

    pub(super) fn add(&mut self, project: ProjectHash, kind: LogKind, usage: LogUsage) {
        let sum = self.by_project.entry((project, kind)).or_default();
        sum.logs += usage.logs;
        sum.size_bytes += usage.size_bytes;
        sum.stored_bytes += usage.stored_bytes;
    }

    pub(super) fn subtract(&mut self, project: ProjectHash, kind: LogKind, usage: LogUsage) {
        let sum = self.by_project.entry((project, kind)).or_default();
        sum.logs = sum.logs.saturating_sub(usage.logs);
        sum.size_bytes = sum.size_bytes.saturating_sub(usage.size_bytes);
        sum.stored_bytes = sum.stored_bytes.saturating_sub(usage.stored_bytes);
    }
}
