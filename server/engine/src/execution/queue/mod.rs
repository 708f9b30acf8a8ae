//! The queue: a pure state machine. What happens is told to it with the time at which it happens; what it has to say
//! is taken from it as [`News`]. Knows no clock, no store and no wire.

mod cancel;
mod entry;
mod holding;
mod lanes;
mod moving;
mod platforms;
mod runners;
#[cfg(test)]
mod tests;
mod tick;
mod timers;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::platform_properties::{Properties, is_reserved};
use millrace_proto::reapi::ExecuteResponse;
use millrace_proto::rpc::Code;
use uuid::Uuid;

pub use entry::{Entry, Touch};
pub use holding::{Held, Word};
use lanes::{GroupKey, Lanes};
use platforms::{PlatformId, Platforms};
use timers::Timers;
pub use view::state_of;

use super::options::ExecutionOptions;
use super::spec::Spec;
use super::store::Standing;
use super::told::Told;
use crate::error::{Error, Result};

/// How many operations an execution may have.
pub const OPERATIONS_MAX: usize = 100_000;
/// How often an execution may be given back before its last runner's word counts.
pub const GIVE_BACK_MAX: u32 = 5;
/// How many executions that a runner gave back it looks past for one that it may have.
const LOOK_PAST_MAX: usize = 8;
/// How long a cancelled execution waits for its runner's word, in milliseconds.
const STOP_WAIT_MS: i64 = 60_000;

/// The queue.
#[derive(Debug)]
pub struct Queue {
    limits: Limits,
    entries: BTreeMap<Uuid, Entry>,
    /// In flight and open to others who ask for the same.
    merging: HashMap<(InstanceName, Digest), Uuid>,
    platforms: Platforms,
    unmatched: Lanes,
    held: HashMap<String, BTreeSet<Uuid>>,
    timers: Timers,
    news: News,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    lease_ms: i64,
    unmatched_wait_ms: i64,
    client_grace_ms: i64,
    lost_max: u32,
    executions_max: usize,
}

/// What has happened since the news were last taken.
#[derive(Debug, Default)]
pub struct News {
    /// Active executions that changed; [`Entry::touched`] says how much.
    pub touched: Vec<Uuid>,
    /// Executions that are done and have left the queue.
    pub ended: Vec<Ended>,
    /// Something can be taken that could not before.
    pub offers: Vec<Offer>,
}

/// An execution that is about to be written.
#[derive(Debug)]
pub struct Noted<'a> {
    /// It.
    pub entry: &'a Entry,
    /// How much of it changed.
    pub touch: Touch,
    /// Whether the store had it.
    pub stored: bool,
    /// What was told of it.
    pub told: Told,
}

/// An execution that is done.
#[derive(Debug)]
pub struct Ended {
    /// As it was at last.
    pub entry: Entry,
    /// How it ended.
    pub ending: Ending,
    /// When, Unix milliseconds.
    pub at_ms: i64,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// With its runner's response.
    Reported(Arc<ExecuteResponse>),
    /// Without.
    Failed(Code, String),
}

/// An execution that waits for a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it asks for.
    pub requested: Properties,
    /// The platform queue's own properties: who offers these serves it in any case.
    pub platform: Properties,
    /// Only runners of that platform.
    pub forced: bool,
    /// Runners that don't get it.
    pub avoid: Vec<String>,
}

impl Offer {
    /// Whether a runner that offers these may take it, unless it is one of those that don't get it.
    pub fn suits(&self, offered: &Properties) -> bool {
        self.platform == *offered || (!self.forced && offered.satisfy(&self.requested))
    }

    /// Whether it may be the offer of an execution that asks for these.
    pub fn is_of(&self, properties: &Properties) -> bool {
        self.requested == properties.filtered(|property| !is_reserved(&property.name))
    }
}

impl Queue {
    /// An empty queue.
    pub fn new(options: &ExecutionOptions) -> Self {
        Self {
            limits: Limits {
                lease_ms: options.lease_ms,
                unmatched_wait_ms: options.unmatched_wait_ms,
                client_grace_ms: options.client_grace_ms,
                lost_max: options.lost_max,
                executions_max: options.executions_max,
            },
            entries: BTreeMap::new(),
            merging: HashMap::new(),
            platforms: Platforms::new(&options.platforms, options.unknown_properties),
            unmatched: Lanes::default(),
            held: HashMap::new(),
            timers: Timers::default(),
            news: News::default(),
        }
    }

    /// Takes in what an earlier server had: queued stays queued, and held stays held by the same runner.
    pub fn restore(&mut self, id: Uuid, spec: Spec, standing: Standing, now_ms: i64) {
        let mut entry = Entry::new(id, Arc::new(spec), standing, now_ms);
        entry.stored = true;
        entry.told = Told::Lease(entry.standing.epoch);
        if let Some(lease) = &entry.standing.lease {
            entry.lease_expires_ms = now_ms + self.limits.lease_ms;
            self.held.entry(lease.runner_uuid.clone()).or_default().insert(id);
        }
        if entry.standing.cancelled.is_some() {
            entry.stop_until_ms = Some(now_ms + STOP_WAIT_MS);
        } else if !entry.spec.do_not_cache {
            self.merging.insert((entry.spec.instance.clone(), entry.spec.action), id);
        }
        let waits = entry.standing.lease.is_none();
        self.entries.insert(id, entry);
        if waits {
            self.place(id, now_ms, false);
        }
        self.arm(id);
    }

    /// Queues a new execution with one operation, which is watched: number 0.
    pub fn submit(&mut self, id: Uuid, spec: Spec, priority: i32, now_ms: i64) -> Result<()> {
        if self.entries.len() >= self.limits.executions_max {
            let message = format!("{} executions are queued or running; that is the limit", self.entries.len());
            return Err(Error::Exhausted(message));
        }
        if !spec.do_not_cache {
            self.merging.insert((spec.instance.clone(), spec.action), id);
        }
        let standing = Standing { priority, ..Default::default() };
        let mut entry = Entry::new(id, Arc::new(spec), standing, now_ms);
        entry.add_operation(priority, true, now_ms);
        self.entries.insert(id, entry);
        self.place(id, now_ms, false);
        self.touch(id, Touch::Kept);
        self.arm(id);
        Ok(())
    }

    /// The execution in flight that one who asks for this may join.
    pub fn mergeable(&self, instance: &InstanceName, action: &Digest) -> Option<Uuid> {
        self.merging.get(&(instance.clone(), *action)).copied()
    }

    /// Adds an operation, which is watched, to an execution in flight; its number.
    pub fn join(&mut self, id: Uuid, priority: i32, now_ms: i64) -> Result<u32> {
        let entry = self.entries.get_mut(&id).ok_or_else(|| not_found(id))?;
        if entry.standing.operations.len() >= OPERATIONS_MAX {
            let message = format!("{OPERATIONS_MAX} operations wait for execution {id}; that is the limit");
            return Err(Error::Exhausted(message));
        }
        let number = entry.add_operation(priority, true, now_ms);
        self.follow_priority(id);
        self.touch(id, Touch::Kept);
        Ok(number)
    }

    /// An execution that is queued or held.
    pub fn get(&self, id: Uuid) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// All that are queued or held, the newest first, before an id.
    pub fn newest(&self, before: Option<Uuid>) -> impl Iterator<Item = &Entry> {
        let end = before.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.entries.range((std::ops::Bound::Unbounded, end)).rev().map(|(_, entry)| entry)
    }

    /// What has happened since this was last asked.
    pub fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// An active execution's change has been taken note of; how much of it changed, and whether the store has it. It
    /// is taken to have it from now on.
    pub fn noted(&mut self, id: Uuid) -> Option<Noted<'_>> {
        let entry = self.entries.get_mut(&id)?;
        let touch = std::mem::take(&mut entry.touched);
        let (stored, told) = (entry.stored, entry.told);
        if touch == Touch::Kept {
            entry.stored = true;
            entry.told = Told::Lease(entry.standing.epoch);
        }
        Some(Noted { entry, touch, stored, told })
    }

    /// The store could not take what was noted of it.
    pub fn not_stored(&mut self, id: Uuid, inserted: bool) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.stored &= !inserted;
            self.touch(id, Touch::Kept);
        }
    }

    fn touch(&mut self, id: Uuid, touch: Touch) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.touched == Touch::None {
            self.news.touched.push(id);
        }
        entry.touched = entry.touched.max(touch);
    }

    /// Has a waiting execution looked at when its next deadline comes.
    fn arm(&mut self, id: Uuid) {
        if let Some(at) = self.entries.get(&id).and_then(|entry| entry.deadline_ms(self.limits.client_grace_ms)) {
            self.timers.arm(id, at);
        }
    }

    /// Lets an execution wait where it belongs; `first`: before its equals.
    fn place(&mut self, id: Uuid, now_ms: i64, first: bool) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let requested = self.platforms.matched(&entry.spec.properties);
        let moved = entry.standing.moved_to.as_deref().and_then(|name| self.platforms.named(name));
        let platform = moved.or_else(|| self.platforms.place(&requested));
        let group = GroupKey { requested, forced: moved.is_some() };
        entry.stage = super::Stage::Queued;
        entry.unmatched_until_ms =
            if platform.is_some() { None } else { Some(now_ms.saturating_add(self.limits.unmatched_wait_ms)) };
        let lanes = lanes(&mut self.platforms, &mut self.unmatched, platform);
        let (priority, queued_ms) = (entry.standing.priority, entry.spec.queued_ms);
        let rank = lanes.add(&group, id, priority, &entry.spec.invocation_id, queued_ms, first);
        entry.place = Some(entry::Place { platform, group, rank });
        self.offer(id);
    }

    /// Says that an execution waits for a runner.
    fn offer(&mut self, id: Uuid) {
        let Some(entry) = self.entries.get(&id) else { return };
        let Some(place) = &entry.place else { return };
        let Some(platform) = place.platform.and_then(|id| self.platforms.get(id)) else { return };
        let offer = Offer {
            requested: place.group.requested.clone(),
            platform: platform.properties.clone(),
            forced: place.group.forced,
            avoid: self.avoided(entry).to_vec(),
        };
        self.news.offers.push(offer);
    }

    /// Takes an execution from where it waits.
    fn unplace(&mut self, id: Uuid, served: bool) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(place) = entry.place.take() else { return };
        entry.unmatched_until_ms = None;
        let lanes = lanes(&mut self.platforms, &mut self.unmatched, place.platform);
        lanes.remove(&place.group, place.rank, id, entry.spec.queued_ms, served);
    }

    /// Gives an execution the priority that its operations make; one that waits is moved in its group.
    fn follow_priority(&mut self, id: Uuid) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let due = entry.due_priority();
        if due == entry.standing.priority {
            return;
        }
        entry.standing.priority = due;
        let Some(place) = &mut entry.place else { return };
        let lanes = lanes(&mut self.platforms, &mut self.unmatched, place.platform);
        lanes.remove(&place.group, place.rank, id, entry.spec.queued_ms, false);
        place.rank = lanes.add(&place.group, id, due, &entry.spec.invocation_id, entry.spec.queued_ms, false);
    }

    /// Nobody else joins it any more.
    fn close_to_others(&mut self, id: Uuid) {
        let Some(entry) = self.entries.get(&id) else { return };
        let key = (entry.spec.instance.clone(), entry.spec.action);
        if self.merging.get(&key) == Some(&id) {
            self.merging.remove(&key);
        }
    }

    /// An execution is done and leaves.
    fn end(&mut self, id: Uuid, ending: Ending, now_ms: i64) {
        self.unplace(id, false);
        self.close_to_others(id);
        self.timers.disarm(id);
        self.release(id);
        if let Some(mut entry) = self.entries.remove(&id) {
            entry.stage = super::Stage::Done;
            self.news.ended.push(Ended { entry, ending, at_ms: now_ms });
        }
    }

    /// Takes an execution out of its runner's hands.
    fn release(&mut self, id: Uuid) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(lease) = entry.standing.lease.take() else { return };
        if let Some(held) = self.held.get_mut(&lease.runner_uuid) {
            held.remove(&id);
            if held.is_empty() {
                self.held.remove(&lease.runner_uuid);
            }
        }
        entry.standing.last_runner = Some((lease.runner_uuid, lease.runner_name));
    }
}

/// Where executions of a platform queue wait.
fn lanes<'a>(platforms: &'a mut Platforms, unmatched: &'a mut Lanes, platform: Option<PlatformId>) -> &'a mut Lanes {
    match platform.and_then(|id| platforms.get_mut(id)) {
        Some(platform) => &mut platform.lanes,
        None => unmatched,
    }
}

fn not_found(id: Uuid) -> Error {
    Error::NotFound(format!("execution {id}"))
}
