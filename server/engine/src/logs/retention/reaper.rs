//! Looks at everything there is, a part at a time, and removes what is no longer to be kept. Needs memory for one part of
//! the store and for as many candidates as are named here, however many logs there are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::candidates::{Candidate, Candidates};
use super::policy::{Excess, Kept, Reason, Tally};
use super::sweep::{LogSweep, LogUsage, RemovedLogs, RoomUsage, SweepListener};
use super::unit::LogUnit;
use super::{LogKind, LogOf, LogOwners, Owned, Retention};
use crate::error::Result;
use crate::logs::project::ProjectHash;
use crate::logs::{LogError, LogRoom, LogSummary, SURVEY_SHARDS};

/// The candidates for count and size that are in memory at once have so many logs together.
const CANDIDATE_LOGS_MAX: usize = 100_000;
/// What is no longer known goes so long after its last line, in milliseconds: a log may be there a moment before what it
/// is of.
const FORGOTTEN_GRACE_MS: u64 = 3_600_000;

/// Removes what is no longer to be kept.
pub struct Reaper {
    pub(super) room: LogRoom,
    owners: Arc<dyn LogOwners>,
    listener: Arc<dyn SweepListener>,
    pub(super) retention: Retention,
    opened_ms: i64,
    candidate_logs_max: usize,
    /// One sweep at a time.
    turn: tokio::sync::Mutex<()>,
    /// Held to look at and to put back.
    found: Mutex<Found>,
}

/// What the last sweep left.
#[derive(Clone, Default)]
struct Found {
    usage: Arc<RoomUsage>,
    last: Option<LogSweep>,
}

/// A sweep under way.
#[derive(Default)]
pub(super) struct Pass {
    pub now_ms: i64,
    pub sweep: LogSweep,
    pub usage: RoomUsage,
    tally: Tally,
}

/// How a unit stands.
#[derive(Clone, Copy, Debug)]
struct Standing {
    kept: Kept,
    /// Its owner goes on.
    runs: bool,
    /// Nobody knows what it was of.
    forgotten: bool,
}

impl Reaper {
    /// Over a room, with those who know whose logs are, and one who hears what is done.
    pub fn new(
        room: LogRoom,
        owners: Arc<dyn LogOwners>,
        listener: Arc<dyn SweepListener>,
        retention: Retention,
    ) -> Self {
        let opened_ms = room.inner.clock.now_ms();
        Self {
            room,
            owners,
            listener,
            retention,
            opened_ms,
            candidate_logs_max: CANDIDATE_LOGS_MAX,
            turn: tokio::sync::Mutex::new(()),
            found: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn with_candidate_logs_max(mut self, most: usize) -> Self {
        self.candidate_logs_max = most;
        self
    }

    /// How long what is kept.
    pub fn retention(&self) -> &Retention {
        &self.retention
    }

    /// What all logs take, as of the last sweep.
    pub fn usage(&self) -> Arc<RoomUsage> {
        Arc::clone(&self.found().usage)
    }

    /// The last sweep; None: there was none since the start.
    pub fn last_sweep(&self) -> Option<LogSweep> {
        self.found().last
    }

    /// Looks at all logs once. May be dropped at any time. What can't be done to one log is done next time, the others go
    /// on.
    pub async fn sweep(&self) -> LogSweep {
        let _turn = self.turn.lock().await;
        let started_ms = self.now_ms();
        let mut pass =
            Pass { now_ms: started_ms, sweep: LogSweep { started_ms, ..LogSweep::default() }, ..Pass::default() };
        for shard in 0..SURVEY_SHARDS {
            for unit in self.survey(shard, &mut pass).await {
                if let Err(error) = self.look(unit, &mut pass).await {
                    pass.fault(&error);
                }
            }
        }
        // What is too many goes first: what that frees does not have to be freed again.
        self.remove_excess(&mut pass, Excess::of_units).await;
        self.remove_excess(&mut pass, Excess::of_bytes).await;
        pass.sweep.ended_ms = self.now_ms();
        let Pass { sweep, usage, .. } = pass;
        *self.found() = Found { usage: Arc::new(usage), last: Some(sweep) };
        self.listener.swept(&sweep).await;
        sweep
    }

    fn now_ms(&self) -> i64 {
        self.room.inner.clock.now_ms()
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn survey(&self, shard: u16, pass: &mut Pass) -> Vec<LogUnit> {
        match self.room.inner.store.survey(shard).await {
            Ok(logs) => LogUnit::gather(logs),
            Err(error) => {
                pass.fault(&error.into());
                Vec::new()
            }
        }
    }

    /// Ends what was abandoned, removes what is old or forgotten, counts the rest.
    async fn look(&self, unit: LogUnit, pass: &mut Pass) -> Result<()> {
        if let LogOf::Records(named) = &unit.of {
            for log in &unit.logs {
                self.trim(&unit.of, named.log(), log, pass).await?;
            }
            return Ok(());
        }
        let standing = self.standing(&unit).await?;
        self.end_abandoned(&unit, &standing, pass).await;
        let Standing { kept, forgotten, .. } = standing;
        let reason = if forgotten && self.is_past_grace(&unit, pass.now_ms) {
            Some(Reason::Forgotten)
        } else {
            let ended_ms = kept.ended_ms.filter(|_| !forgotten);
            ended_ms.filter(|ended| self.retention.is_too_old(*ended, pass.now_ms)).map(|_| Reason::Age)
        };
        if let Some(reason) = reason
            && self.remove(&unit, (!forgotten).then_some(kept.project), reason, pass).await
        {
            return Ok(());
        }
        pass.tally.add(&kept);
        for log in &unit.logs {
            pass.usage.add(kept.project, kept.kind, usage_of(log));
        }
        Ok(())
    }

    async fn standing(&self, unit: &LogUnit) -> Result<Standing> {
        let owned = self.owners.owner(&unit.of).await?;
        let by_id = unit.of.project().unwrap_or_else(|| ProjectHash::of(""));
        let complete = unit.logs.iter().all(|log| log.head.complete);
        let (project, ended_ms) = match owned {
            Owned::Running(project) => (project, None),
            // Its last lines may be on their way.
            Owned::Ended(project, ended_ms) => (project, complete.then(|| ended_ms.max(unit.last_ms()))),
            Owned::Itself => (by_id, complete.then(|| self.quiet_since(unit.last_ms()))),
            Owned::Forgotten => (by_id, None),
        };
        let kept = Kept { project, kind: unit.of.kind(), ended_ms, stored_bytes: unit.stored_bytes() };
        let runs = matches!(owned, Owned::Running(_));
        Ok(Standing { kept, runs, forgotten: owned == Owned::Forgotten })
    }

    /// What has no time of its own is at most as old as this process.
    fn quiet_since(&self, last_ms: i64) -> i64 {
        if last_ms > 0 { last_ms } else { self.opened_ms }
    }

    fn is_past_grace(&self, unit: &LogUnit, now_ms: i64) -> bool {
        let grace = Retention { age_ms: FORGOTTEN_GRACE_MS, ..self.retention };
        grace.is_too_old(self.quiet_since(unit.last_ms()), now_ms)
    }

    /// Logs whose writers are gone, as far as one can tell: nothing came for long, and what they are of has ended.
    async fn end_abandoned(&self, unit: &LogUnit, standing: &Standing, pass: &mut Pass) {
        if standing.runs {
            return;
        }
        let made_ms = unit.of.made_ms().unwrap_or_default();
        for log in unit.logs.iter().filter(|log| !log.head.complete) {
            let quiet_since = self.quiet_since(log.head.last_ms.max(made_ms));
            if !self.retention.is_abandoned(quiet_since, pass.now_ms) {
                continue;
            }
            let days = self.retention.abandoned_ms / (24 * 3_600_000);
            let long =
                if days > 1 { format!("{days} days") } else { format!("{} s", self.retention.abandoned_ms / 1_000) };
            let words = format!("##[warning]Nothing came for {long} and nobody ended this log: the server has.");
            match self.room.end_quiet(&log.id, log.head.lines, &words).await {
                Ok(ended) => pass.sweep.ended_logs += u64::from(ended),
                Err(error) => pass.fault(&error.into()),
            }
        }
    }

    /// Removes what is too much, the oldest first.
    async fn remove_excess(&self, pass: &mut Pass, part: fn(Excess) -> Excess) {
        loop {
            let excess = part(pass.tally.excess(&self.retention));
            if excess.is_empty() {
                return;
            }
            let candidates = self.candidates(&excess, pass).await;
            let overflowed = candidates.overflowed();
            let candidates = candidates.into_oldest_first();
            let chosen = excess.choose(candidates.iter().map(|candidate| &candidate.kept));
            let mut removed = false;
            for (Candidate { kept, unit }, reason) in candidates.iter().zip(chosen) {
                let Some(reason) = reason else { continue };
                if self.remove(unit, Some(kept.project), reason, pass).await {
                    removed = true;
                    pass.tally.subtract(kept);
                    for log in &unit.logs {
                        pass.usage.subtract(kept.project, kept.kind, usage_of(log));
                    }
                }
            }
            if !(overflowed && removed) {
                return;
            }
        }
    }

    async fn candidates(&self, excess: &Excess, pass: &mut Pass) -> Candidates {
        let mut candidates = Candidates::new(self.candidate_logs_max);
        for shard in 0..SURVEY_SHARDS {
            for unit in self.survey(shard, pass).await {
                if unit.of.kind() == LogKind::Records {
                    continue;
                }
                let standing = match self.standing(&unit).await {
                    Ok(standing) => standing,
                    Err(error) => {
                        pass.fault(&error);
                        continue;
                    }
                };
                let kept = standing.kept;
                if let Some(ended_ms) = kept.ended_ms
                    && excess.concerns(kept.project, kept.kind)
                {
                    candidates.add(ended_ms, Candidate { kept, unit });
                }
            }
        }
        candidates
    }

    /// Removes all logs of a unit, unless somebody writes or follows one of them; whether it did.
    async fn remove(&self, unit: &LogUnit, project: Option<ProjectHash>, reason: Reason, pass: &mut Pass) -> bool {
        if unit.logs.iter().any(|log| self.room.is_in_use(&log.id)) {
            return false;
        }
        let mut removed = RemovedLogs { of: unit.of.clone(), project, reason, logs: 0, stored_bytes: 0 };
        let mut all = true;
        for log in &unit.logs {
            match self.room.delete(&log.id).await {
                Ok(()) => {
                    removed.logs += 1;
                    removed.stored_bytes += log.stored_bytes;
                }
                Err(LogError::NotFound(_)) => {}
                Err(error) => {
                    all = false;
                    pass.fault(&error.into());
                }
            }
        }
        if removed.logs > 0 {
            pass.sweep.count_removed(reason, removed.logs, removed.stored_bytes);
            self.listener.removed(&removed).await;
        }
        all
    }

    pub(super) async fn tell_trimmed(&self, of: &LogOf, records: u64, bytes: u64) {
        self.listener.trimmed(of, records, bytes).await;
    }
}

impl Pass {
    fn fault(&mut self, error: &crate::error::Error) {
        tracing::warn!(%error, "a log could not be looked after; the next sweep tries again");
        self.sweep.faults += 1;
    }
}

pub(super) fn usage_of(log: &LogSummary) -> LogUsage {
    let size_bytes = log.head.bytes - log.head.first.offset;
    LogUsage { logs: 1, size_bytes, stored_bytes: log.stored_bytes }
}
