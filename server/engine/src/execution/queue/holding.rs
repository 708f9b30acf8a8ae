//! Executions in runners' hands: claims, their words, losses.

use millrace_proto::rpc::Code;
use uuid::Uuid;

use super::entry::{Entry, Touch};
use super::lanes::Rank;
use super::platforms::PlatformId;
use super::{Ending, GIVE_BACK_MAX, LOOK_PAST_MAX, Queue};
use crate::error::{Error, Result};
use crate::execution::runner::{ActionClaim, ReportAnswer};
use crate::execution::state::Stage;
use crate::execution::store::LeaseRecord;

/// An execution that was given to a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The execution.
    pub id: Uuid,
    /// It had been given under the same request before.
    pub repeated: bool,
}

/// A runner's word about an execution.
#[derive(Clone, Debug, Default)]
pub struct Word<'a> {
    /// The runner; None: an administrator on an open server.
    pub runner_uuid: Option<&'a str>,
    /// The lease it believes to have.
    pub epoch: Option<u64>,
    /// What it is doing.
    pub stage: Option<Stage>,
    /// Bytes of inputs that came over the network; 0: not said.
    pub input_fetched_bytes: u64,
    /// Bytes of inputs that it had; 0: not said.
    pub input_cached_bytes: u64,
}

impl Queue {
    /// Gives the first execution that a runner may have to it.
    pub fn claim(&mut self, claim: &ActionClaim, now_ms: i64) -> Option<Held> {
        if let Some(id) = self.held_under(claim) {
            return Some(Held { id, repeated: true });
        }
        let (_, id) = self.first_for(claim)?;
        self.unplace(id, true);
        let entry = self.entries.get_mut(&id)?;
        entry.standing.epoch += 1;
        entry.standing.claimed_ms = Some(now_ms);
        entry.standing.started_ms = None;
        entry.standing.lease = Some(LeaseRecord {
            runner_uuid: claim.runner_uuid.clone(),
            runner_name: claim.runner_name.clone(),
            request_id: claim.request_id.clone(),
        });
        entry.stage = Stage::InputFetch;
        entry.lease_expires_ms = now_ms + self.limits.lease_ms;
        self.held.entry(claim.runner_uuid.clone()).or_default().insert(id);
        self.touch(id, Touch::Kept);
        self.arm(id);
        Some(Held { id, repeated: false })
    }

    /// What [`Queue::claim`] would give: its priority and since when it waits.
    pub fn peek(&self, claim: &ActionClaim) -> Option<(i32, i64)> {
        if self.held_under(claim).is_some() {
            return Some((i32::MIN, i64::MIN));
        }
        let (rank, id) = self.first_for(claim)?;
        Some((rank.0, self.entries.get(&id)?.spec.queued_ms))
    }

    /// Whether such a runner holds it under this lease.
    pub fn check_owner(&self, id: Uuid, runner: Option<&str>, epoch: Option<u64>) -> Result<&Entry> {
        let entry = self.entries.get(&id).ok_or_else(|| not_yours(id))?;
        let lease = entry.standing.lease.as_ref();
        if let Some(runner) = runner
            && lease.is_none_or(|lease| lease.runner_uuid != runner)
        {
            return Err(not_yours(id));
        }
        if let Some(epoch) = epoch
            && (lease.is_none() || entry.standing.epoch != epoch)
        {
            let message = format!("epoch {epoch} of execution {id} is over: it has been given to a runner again");
            return Err(Error::Denied(message));
        }
        if lease.is_none() {
            return Err(Error::Denied(format!("no runner has execution {id}")));
        }
        Ok(entry)
    }

    /// Takes a runner's word, which keeps the lease.
    pub fn heard(&mut self, id: Uuid, word: &Word<'_>, now_ms: i64) -> Result<ReportAnswer> {
        self.check_owner(id, word.runner_uuid, word.epoch)?;
        let entry = self.entries.get_mut(&id).ok_or_else(|| not_yours(id))?;
        entry.lease_expires_ms = now_ms + self.limits.lease_ms;
        let standing = &mut entry.standing;
        standing.input_fetched_bytes = standing.input_fetched_bytes.max(word.input_fetched_bytes);
        standing.input_cached_bytes = standing.input_cached_bytes.max(word.input_cached_bytes);
        let cancelled = standing.cancelled.is_some();
        // A stage is never gone back to: words may overtake each other.
        if let Some(stage) = word.stage.filter(|stage| *stage > entry.stage && *stage < Stage::Done) {
            entry.stage = stage;
            if standing.started_ms.is_none() && stage >= Stage::Executing {
                standing.started_ms = Some(now_ms);
            }
            self.touch(id, Touch::Seen);
        }
        Ok(ReportAnswer { cancelled, ended: false })
    }

    /// Takes a runner's last word: the execution is done.
    pub fn finish(&mut self, id: Uuid, word: &Word<'_>, ending: Ending, now_ms: i64) -> Result<()> {
        self.heard(id, word, now_ms)?;
        self.end(id, ending, now_ms);
        Ok(())
    }

    /// A runner can't run an execution: another may. `ending` is what becomes of it when that has happened too often.
    pub fn give_back(&mut self, id: Uuid, word: &Word<'_>, ending: Ending, now_ms: i64) -> Result<()> {
        self.heard(id, word, now_ms)?;
        let entry = self.entries.get_mut(&id).ok_or_else(|| not_yours(id))?;
        entry.standing.given_back += 1;
        if let Some(why) = &entry.standing.cancelled {
            let ending = Ending::Failed(Code::CANCELLED, why.clone());
            self.end(id, ending, now_ms);
        } else if entry.standing.given_back > GIVE_BACK_MAX {
            self.end(id, ending, now_ms);
        } else {
            self.avoid_holder(id);
            self.requeue(id, now_ms);
        }
        Ok(())
    }

    /// A runner is gone with an execution in its hands.
    pub(super) fn lose(&mut self, id: Uuid, now_ms: i64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(lease) = &entry.standing.lease else { return };
        let name = if lease.runner_name.is_empty() { &lease.runner_uuid } else { &lease.runner_name };
        entry.standing.lost.push(name.clone());
        let lost = entry.standing.lost.len();
        if let Some(why) = &entry.standing.cancelled {
            let message = format!("{why}; the runner did not answer any more");
            self.end(id, Ending::Failed(Code::CANCELLED, message), now_ms);
        } else if lost > self.limits.lost_max as usize {
            let names = entry.standing.lost.join(", ");
            let message = format!(
                "{lost} runners were lost while they had this action ({names}); the limit is {}",
                self.limits.lost_max
            );
            self.end(id, Ending::Failed(Code::ABORTED, message), now_ms);
        } else {
            self.requeue(id, now_ms);
        }
    }

    fn requeue(&mut self, id: Uuid, now_ms: i64) {
        self.release(id);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.standing.claimed_ms = None;
            entry.standing.started_ms = None;
        }
        self.timers.disarm(id);
        self.place(id, now_ms, true);
        self.touch(id, Touch::Kept);
        self.arm(id);
    }

    /// The holder does not get it again as long as there is another who could take it.
    fn avoid_holder(&mut self, id: Uuid) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(lease) = &entry.standing.lease else { return };
        if !entry.avoid.contains(&lease.runner_uuid) {
            entry.avoid.push(lease.runner_uuid.clone());
        }
    }

    /// Whom not to give an execution to: those that gave it back, unless there is nobody else.
    pub(super) fn avoided<'e>(&self, entry: &'e Entry) -> &'e [String] {
        if entry.avoid.is_empty() {
            return &[];
        }
        let requested = self.platforms.matched(&entry.spec.properties);
        let other = self.platforms.runners().any(|member| {
            let runner = &member.runner;
            let free = runner.online && !runner.draining && !entry.avoid.contains(&runner.uuid);
            free && runner.properties.satisfy(&requested)
        });
        if other { &entry.avoid } else { &[] }
    }

    fn held_under(&self, claim: &ActionClaim) -> Option<Uuid> {
        if claim.request_id.is_empty() {
            return None;
        }
        let held = self.held.get(&claim.runner_uuid)?;
        let same = |id: &&Uuid| {
            let lease = self.entries.get(*id).and_then(|entry| entry.standing.lease.as_ref());
            lease.is_some_and(|lease| lease.request_id == claim.request_id)
        };
        held.iter().find(same).copied()
    }

    /// From its own platform queue; when there is nothing for it, from any other whose executions it satisfies.
    fn first_for(&self, claim: &ActionClaim) -> Option<(Rank, Uuid)> {
        let member = self.platforms.runner(&claim.runner_uuid);
        if claim.draining || member.is_some_and(|member| member.runner.draining) {
            return None;
        }
        let home = match member.filter(|member| member.runner.properties == claim.properties) {
            Some(member) => Some(member.platform),
            None => self.platforms.home(&claim.properties),
        };
        let own = home.and_then(|home| self.first_at(home, true, claim));
        own.or_else(|| {
            let others = self.platforms.iter().filter(|(id, platform)| Some(*id) != home && platform.lanes.len() > 0);
            others.filter_map(|(id, _)| self.first_at(id, false, claim)).min()
        })
    }

    fn first_at(&self, platform: PlatformId, own: bool, claim: &ActionClaim) -> Option<(Rank, Uuid)> {
        let takes = |group: &super::GroupKey| own || (!group.forced && claim.properties.satisfy(&group.requested));
        let skips = |id| self.entries.get(&id).is_some_and(|entry| self.avoided(entry).contains(&claim.runner_uuid));
        self.platforms.get(platform)?.lanes.first(takes, skips, LOOK_PAST_MAX)
    }
}

fn not_yours(id: Uuid) -> Error {
    Error::Denied(format!("execution {id} is not this runner's"))
}
