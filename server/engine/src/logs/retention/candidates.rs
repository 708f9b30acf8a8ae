//! The oldest of what may go, as many as memory is given for.

use std::collections::BTreeMap;

use super::policy::Kept;
use super::unit::LogUnit;

/// A unit that may go.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// How it counts.
    pub kept: Kept,
    /// Its logs.
    pub unit: LogUnit,
}

/// Candidates by their ends. Over the limit the newest are left out: they have their turn when the older ones are gone.
pub struct Candidates {
    by_end: BTreeMap<(i64, u64), Candidate>,
    logs: usize,
    logs_max: usize,
    added: u64,
    /// The earliest end of those that were left out.
    left_out_ms: Option<i64>,
}

impl Candidates {
    /// None, with room for units with so many logs together; for one unit in any case.
    pub fn new(logs_max: usize) -> Self {
        Self { by_end: BTreeMap::new(), logs: 0, logs_max, added: 0, left_out_ms: None }
    }

    /// Adds one that ended then.
    pub fn add(&mut self, ended_ms: i64, candidate: Candidate) {
        // What is newer than one that was left out must not go before that.
        if self.left_out_ms.is_some_and(|left_out| ended_ms >= left_out) {
            return;
        }
        self.logs += candidate.unit.logs.len();
        self.added += 1;
        self.by_end.insert((ended_ms, self.added), candidate);
        while self.logs > self.logs_max && self.by_end.len() > 1 {
            if let Some(((ended_ms, _), left_out)) = self.by_end.pop_last() {
                self.logs -= left_out.unit.logs.len();
                self.left_out_ms = Some(ended_ms);
            }
        }
    }

    /// Whether some were left out.
    pub fn overflowed(&self) -> bool {
        self.left_out_ms.is_some()
    }

    /// They, the oldest first.
    pub fn into_oldest_first(self) -> Vec<Candidate> {
        self.by_end.into_values().collect()
    }
}
