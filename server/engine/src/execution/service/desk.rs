//! All that is in memory of remote execution, behind one lock: the queue, what was published of it, and what is to be
//! written.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use lru::LruCache;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::ExecuteResponse;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::remembered::Remembered;
use super::seen::Seen;
use crate::error::{Error, Result};
use crate::execution::options::ExecutionOptions;
use crate::execution::queue::{Ended, Ending, Offer, Queue};
use crate::execution::response;
use crate::execution::store::ActiveRecord;
use crate::execution::told::Telling;

/// How many successes are known by their action, for who looked into the action cache just before.
const SUCCESSES_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("is not 0");
/// How many bytes of Actions and Commands are carried to runners without being read again.
const CARRIED_MAX_BYTES: usize = 64 * 1024 * 1024;

/// The desk.
pub struct Desk {
    /// What waits and what runners have.
    pub queue: Queue,
    /// What was last published of each active execution; those that were never published are not here.
    pub live: HashMap<Uuid, watch::Sender<Arc<Seen>>>,
    /// Finished executions.
    pub remembered: Remembered,
    /// Active executions that changed since the committer last looked.
    pub touched: Vec<Uuid>,
    /// Executions that are done and not written yet.
    pub ending: Vec<Finishing>,
    /// What was to be told with a transaction that failed.
    pub untold: Vec<Telling>,
    /// All that are done and not yet remembered: whose they were.
    pub unwritten: HashMap<Uuid, (String, u64)>,
    /// Who waits until what has happened is written.
    pub tickets: Vec<oneshot::Sender<Result<()>>>,
    /// Actions and Commands of executions that wait.
    pub carried: Carried,
    /// Finished by the minute.
    pub finished: LastMinute,
    /// Answered from the action cache by the minute.
    pub cached: LastMinute,
    /// Nothing new is taken.
    pub closed: bool,
    /// Nothing is written any more.
    pub stopped: bool,
    successes: LruCache<(InstanceName, Digest), u64>,
    successes_count: u64,
    pruned_ms: i64,
}

/// An execution that is done and not written yet.
#[derive(Clone)]
pub struct Finishing {
    /// As the queue let it go.
    pub ended: Arc<Ended>,
    /// What clients are told.
    pub response: Arc<ExecuteResponse>,
}

/// Actions and Commands of executions that wait.
#[derive(Default)]
pub struct Carried {
    messages: HashMap<Uuid, (Bytes, Bytes)>,
    bytes: usize,
}

/// How often something happened within the last minute.
pub struct LastMinute {
    /// By the second's remainder of 60: the second, and how often.
    seconds: [(i64, u64); 60],
}

impl Desk {
    /// An empty one.
    pub fn new(options: &ExecutionOptions) -> Self {
        Self {
            queue: Queue::new(options),
            live: HashMap::new(),
            remembered: Remembered::default(),
            touched: Vec::new(),
            ending: Vec::new(),
            untold: Vec::new(),
            unwritten: HashMap::new(),
            tickets: Vec::new(),
            carried: Carried::default(),
            finished: LastMinute::default(),
            cached: LastMinute::default(),
            closed: false,
            stopped: false,
            successes: LruCache::new(SUCCESSES_MAX),
            successes_count: 0,
            pruned_ms: 0,
        }
    }

    /// Takes in what an earlier server had.
    pub fn restore(&mut self, records: Vec<ActiveRecord>, now_ms: i64) {
        for ActiveRecord { id, spec, standing } in records {
            self.queue.restore(id, spec, standing, now_ms);
            if let Some(entry) = self.queue.get(id) {
                let seen = Seen::of_active(entry, &self.queue);
                self.live.insert(id, watch::Sender::new(Arc::new(seen)));
            }
        }
        // Nobody listens yet.
        self.queue.take_news();
    }

    /// Takes the queue's news: what is to be written and published is noted; who is to be woken is given back.
    pub fn gather(&mut self) -> Vec<Offer> {
        let news = self.queue.take_news();
        self.touched.extend(news.touched);
        for ended in news.ended {
            self.carried.take(ended.entry.id);
            self.finished.count(ended.at_ms);
            let response = match &ended.ending {
                Ending::Reported(response) => Arc::clone(response),
                Ending::Failed(code, message) => Arc::new(response::failed(*code, message)),
            };
            let standing = &ended.entry.standing;
            let runner = standing.last_runner.as_ref().map(|(uuid, _)| uuid.clone()).unwrap_or_default();
            self.unwritten.insert(ended.entry.id, (runner, standing.epoch));
            if !ended.entry.spec.do_not_cache && response::is_success(&response) {
                self.successes_count += 1;
                let key = (ended.entry.spec.instance.clone(), ended.entry.spec.action);
                self.successes.put(key, self.successes_count);
            }
            self.ending.push(Finishing { ended: Arc::new(ended), response });
        }
        news.offers
    }

    /// How many executions have ended so that their results are in the action cache.
    pub fn successes(&self) -> u64 {
        self.successes_count
    }

    /// Whether such a result has come into the action cache after so many others.
    pub fn succeeded_since(&self, instance: &InstanceName, action: &Digest, count: u64) -> bool {
        self.successes.peek(&(instance.clone(), *action)).is_some_and(|at| *at > count)
    }

    /// What is answered when all that has happened is written.
    pub fn ticket(&mut self) -> oneshot::Receiver<Result<()>> {
        let (sender, receiver) = oneshot::channel();
        // Without anybody who writes, a dropped sender is the answer.
        if !self.stopped {
            self.tickets.push(sender);
        }
        receiver
    }

    /// Whether a runner's execution is done under that lease, written or not.
    pub fn ended_under(&self, id: Uuid, runner: Option<&str>, epoch: Option<u64>) -> bool {
        let same = |held_by: &str, held_epoch: u64| {
            runner.is_none_or(|runner| runner == held_by) && epoch.is_none_or(|epoch| epoch == held_epoch)
        };
        if let Some((held_by, held_epoch)) = self.unwritten.get(&id) {
            return same(held_by, *held_epoch);
        }
        self.remembered.get(id).is_some_and(|seen| same(&seen.state.runner_uuid, seen.state.epoch))
    }

    /// Refused while shutting down.
    pub fn open(&self) -> Result<()> {
        if self.closed {
            return Err(Error::Unavailable("remote execution is shutting down".into()));
        }
        Ok(())
    }

    /// Whether the history is to be looked at.
    pub fn prune_due(&mut self, now_ms: i64, every_ms: i64) -> bool {
        let due = self.pruned_ms + every_ms <= now_ms;
        if due {
            self.pruned_ms = now_ms;
        }
        due
    }
}

impl Carried {
    /// Keeps the messages, if there is room.
    pub fn put(&mut self, id: Uuid, action: Bytes, command: Bytes) {
        let bytes = action.len() + command.len();
        if self.bytes + bytes <= CARRIED_MAX_BYTES {
            self.bytes += bytes;
            self.messages.insert(id, (action, command));
        }
    }

    /// Gives the messages, if they were kept.
    pub fn take(&mut self, id: Uuid) -> Option<(Bytes, Bytes)> {
        let (action, command) = self.messages.remove(&id)?;
        self.bytes -= action.len() + command.len();
        Some((action, command))
    }
}

impl Default for LastMinute {
    fn default() -> Self {
        Self { seconds: [(0, 0); 60] }
    }
}

impl LastMinute {
    /// It happened.
    pub fn count(&mut self, now_ms: i64) {
        let second = now_ms.div_euclid(1_000);
        let slot = &mut self.seconds[second.rem_euclid(60) as usize];
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 += 1;
    }

    /// How often.
    pub fn sum(&self, now_ms: i64) -> u64 {
        let oldest = now_ms.div_euclid(1_000) - 59;
        self.seconds.iter().filter(|(second, _)| *second >= oldest).map(|(_, count)| count).sum()
    }
}
