//! An execution in the queue.

use std::sync::Arc;

use uuid::Uuid;

use super::lanes::{GroupKey, Rank};
use super::platforms::PlatformId;
use crate::execution::spec::Spec;
use crate::execution::state::Stage;
use crate::execution::store::{OperationRecord, Standing};
use crate::execution::told::Told;

/// An execution that is queued or held.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The execution.
    pub id: Uuid,
    /// What it is of.
    pub spec: Arc<Spec>,
    /// What is kept of how it stands.
    pub standing: Standing,
    /// Where it stands.
    pub stage: Stage,
    /// Where it waits, while it does.
    pub place: Option<Place>,
    /// The end of the lease, while there is one.
    pub lease_expires_ms: i64,
    /// When it fails because nobody can run it.
    pub unmatched_until_ms: Option<i64>,
    /// When it ends though its runner has not said that it stopped.
    pub stop_until_ms: Option<i64>,
    /// Who watches each operation.
    pub watchers: Vec<Watchers>,
    /// Runners that gave it back and don't get it again as long as there are others.
    pub avoid: Vec<String>,
    /// What is to be told since the news were last taken.
    pub touched: Touch,
    /// Whether the store has it.
    pub stored: bool,
    /// What was told of it, or is to be.
    pub told: Told,
}

/// Where an execution waits.
#[derive(Clone, Debug)]
pub struct Place {
    /// The platform queue; None: none satisfies it.
    pub platform: Option<PlatformId>,
    /// Its group there.
    pub group: GroupKey,
    /// Its rank in the group.
    pub rank: Rank,
}

/// Who watches an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watchers {
    /// How many.
    pub count: u32,
    /// Since when nobody.
    pub left_ms: i64,
}

/// How much of an execution changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touch {
    /// Nothing.
    #[default]
    None,
    /// What may be told at once.
    Seen,
    /// What is to be kept before it is told.
    Kept,
}

impl Entry {
    /// One that has just been made, or read from the store: nobody watches since then.
    pub fn new(id: Uuid, spec: Arc<Spec>, standing: Standing, now_ms: i64) -> Self {
        let watchers = standing.operations.iter().map(|_| Watchers { count: 0, left_ms: now_ms }).collect();
        let stage = match (&standing.lease, standing.started_ms) {
            (None, _) => Stage::Queued,
            (Some(_), None) => Stage::InputFetch,
            (Some(_), Some(_)) => Stage::Executing,
        };
        Self {
            id,
            spec,
            standing,
            stage,
            place: None,
            lease_expires_ms: 0,
            unmatched_until_ms: None,
            stop_until_ms: None,
            watchers,
            avoid: Vec::new(),
            touched: Touch::None,
            stored: false,
            told: Told::Nothing,
        }
    }

    /// Whether anybody is to get the result.
    pub fn wanted(&self) -> bool {
        self.standing.operations.iter().any(|operation| !operation.cancelled)
    }

    /// Adds an operation; its number.
    pub fn add_operation(&mut self, priority: i32, watched: bool, now_ms: i64) -> u32 {
        let number = self.standing.operations.len() as u32;
        self.standing.operations.push(OperationRecord { number, priority, ..Default::default() });
        self.watchers.push(Watchers { count: u32::from(watched), left_ms: now_ms });
        number
    }

    /// The priority that its operations make, unless an administrator has given one.
    pub fn due_priority(&self) -> i32 {
        if self.standing.priority_given {
            return self.standing.priority;
        }
        let live = self.standing.operations.iter().filter(|operation| !operation.cancelled);
        live.map(|operation| operation.priority).min().unwrap_or(self.standing.priority)
    }

    /// When it has to be looked at; None: never by itself.
    pub fn deadline_ms(&self, grace_ms: i64) -> Option<i64> {
        let lease = self.standing.lease.as_ref().map(|_| self.lease_expires_ms);
        let fixed = [lease, self.unmatched_until_ms, self.stop_until_ms].into_iter().flatten().min();
        let unwatched = self.standing.operations.iter().zip(&self.watchers);
        let left = unwatched.filter(|(operation, watchers)| !operation.cancelled && watchers.count == 0);
        let left = left.map(|(_, watchers)| watchers.left_ms.saturating_add(grace_ms)).min();
        fixed.into_iter().chain(left).min()
    }
}
