//! What ought to be true of executions, said as plainly as possible.

use millrace_engine::execution::ActionLease;
use proptest::sample::Index;

use super::RUNNERS;
use super::scene::{LEASE_MS, LOST_MAX, asks};

/// Everything that was ever asked for.
#[derive(Default)]
pub struct Model {
    pub executions: Vec<Known>,
    grants: Vec<Grant>,
}

/// An execution.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: String,
    pub action: usize,
    pub phase: Phase,
    pub epoch: u64,
    lost: usize,
    cancelled: bool,
    last_holder: Option<(usize, u64)>,
    /// Their ids, and whether their clients gave them up.
    pub operations: Vec<(String, bool)>,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    Queued,
    Held { runner: usize, request: Option<u8>, epoch: u64, expires_ms: i64 },
    Done { by: Option<(usize, u64)> },
}

/// A lease that was given once.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    pub id: String,
    pub runner: usize,
    pub epoch: u64,
}

impl Model {
    /// A client got this operation of this execution.
    pub fn executed(&mut self, action: usize, execution: &str, operation: &str) {
        let open = |known: &&mut Known| {
            known.action == action && !known.cancelled && !matches!(known.phase, Phase::Done { .. })
        };
        let operation = (operation.to_owned(), false);
        if let Some(known) = self.executions.iter_mut().find(open) {
            assert_eq!(known.id, execution, "what is in flight is joined");
            known.operations.push(operation);
            return;
        }
        assert!(self.executions.iter().all(|known| known.id != execution), "what is over is not joined");
        self.executions.push(Known {
            id: execution.to_owned(),
            action,
            phase: Phase::Queued,
            epoch: 0,
            lost: 0,
            cancelled: false,
            last_holder: None,
            operations: vec![operation],
        });
    }

    /// A runner asked and got this.
    pub fn claimed(&mut self, runner: usize, request: Option<u8>, lease: Option<&ActionLease>, now_ms: i64) {
        let same = |known: &Known| {
            matches!(known.phase, Phase::Held { runner: holder, request: of, .. }
                if holder == runner && of == request && request.is_some())
        };
        let takes = |known: &Known| {
            known.phase == Phase::Queued
                && asks(known.action).is_none_or(|ask| RUNNERS[runner].split(' ').any(|offer| offer == ask))
        };
        let repeated = self.executions.iter().any(same);
        let expected = repeated || self.executions.iter().any(takes);
        let Some(lease) = lease else {
            assert!(!expected, "runner {runner} ought to have got something");
            return;
        };
        assert_eq!(lease.repeated, repeated);
        let known = self.executions.iter_mut().find(|known| known.id == lease.execution_id).expect("is known");
        if repeated {
            assert!(same(known));
        } else {
            assert!(takes(known), "{known:?} is not for runner {runner}");
            assert_eq!(lease.epoch, known.epoch + 1, "epochs go up by one");
            known.epoch = lease.epoch;
            let expires_ms = now_ms + LEASE_MS;
            known.phase = Phase::Held { runner, request, epoch: lease.epoch, expires_ms };
        }
        self.grants.push(Grant { id: lease.execution_id.clone(), runner, epoch: lease.epoch });
    }

    /// Any lease that was ever given.
    pub fn grant(&self, index: Index) -> Option<Grant> {
        (!self.grants.is_empty()).then(|| index.get(&self.grants).clone())
    }

    /// If that lease holds: whether its execution is to stop.
    pub fn holder(&self, grant: &Grant) -> Option<bool> {
        let known = self.executions.iter().find(|known| known.id == grant.id)?;
        match known.phase {
            Phase::Held { runner, epoch, .. } if (runner, epoch) == (grant.runner, grant.epoch) => {
                Some(known.cancelled)
            }
            _ => None,
        }
    }

    /// Whether the execution is done, and that lease was its last.
    pub fn ended_under(&self, grant: &Grant) -> bool {
        let by = Some((grant.runner, grant.epoch));
        self.executions.iter().any(|known| known.id == grant.id && known.phase == Phase::Done { by })
    }

    pub fn heard(&mut self, grant: &Grant, now_ms: i64) {
        if let Phase::Held { expires_ms, .. } = &mut self.of(grant).phase {
            *expires_ms = now_ms + LEASE_MS;
        }
    }

    pub fn ended(&mut self, grant: &Grant) {
        self.of(grant).phase = Phase::Done { by: Some((grant.runner, grant.epoch)) };
    }

    /// Any operation that was ever made.
    pub fn operation(&self, index: Index) -> Option<String> {
        let all: Vec<&String> =
            self.executions.iter().flat_map(|known| known.operations.iter().map(|(id, _)| id)).collect();
        (!all.is_empty()).then(|| (*index.get(&all)).clone())
    }

    pub fn cancelled(&mut self, operation: &str) {
        for known in &mut self.executions {
            let Some(found) = known.operations.iter_mut().find(|(id, _)| id == operation) else { continue };
            if matches!(known.phase, Phase::Done { .. }) {
                return;
            }
            found.1 = true;
            if known.operations.iter().all(|(_, cancelled)| *cancelled) {
                known.cancelled = true;
                if known.phase == Phase::Queued {
                    known.phase = Phase::Done { by: known.last_holder };
                }
            }
        }
    }

    pub fn removed(&mut self, removed: usize) {
        for known in &mut self.executions {
            if matches!(known.phase, Phase::Held { runner, .. } if runner == removed) {
                known.lose();
            }
        }
    }

    pub fn tick(&mut self, now_ms: i64) {
        for known in &mut self.executions {
            if matches!(known.phase, Phase::Held { expires_ms, .. } if expires_ms <= now_ms) {
                known.lose();
            }
        }
    }

    /// Leases go on from the start of the next server.
    pub fn restarted(&mut self, now_ms: i64) {
        for known in &mut self.executions {
            if let Phase::Held { expires_ms, .. } = &mut known.phase {
                *expires_ms = now_ms + LEASE_MS;
            }
        }
    }

    /// The operations that clients still wait for.
    pub fn live_operations(&self) -> Vec<String> {
        let live = self.executions.iter().filter(|known| !matches!(known.phase, Phase::Done { .. }));
        live.flat_map(|known| known.operations.iter().map(|(id, _)| id.clone())).collect()
    }

    fn of(&mut self, grant: &Grant) -> &mut Known {
        self.executions.iter_mut().find(|known| known.id == grant.id).expect("is known")
    }
}

impl Known {
    fn lose(&mut self) {
        let last = self.holder();
        self.lost += 1;
        self.phase = if self.cancelled || self.lost > LOST_MAX { Phase::Done { by: last } } else { Phase::Queued };
        self.last_holder = last;
    }

    fn holder(&self) -> Option<(usize, u64)> {
        match self.phase {
            Phase::Held { runner, epoch, .. } => Some((runner, epoch)),
            _ => None,
        }
    }
}
