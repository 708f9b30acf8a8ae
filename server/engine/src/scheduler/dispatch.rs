//! One poll for both: jobs of pipelines and actions of remote execution. Of those a runner can take the one with the
//! higher priority goes first, of equals the older.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use millrace_proto::platform_properties::Properties;
use tokio::time::{Instant, timeout_at};

use super::service::{Fetched, Scheduler};
use super::waiters::{ActionInterest, Interest, News, Waiters};
use super::{FETCH_POLL_MS, FETCH_WAIT_MAX_MS};
use crate::error::Result;
use crate::execution::{ActionClaim, ActionLease, Execution, OfferListener};
use crate::runners::Runner;

/// How many runners' looks for jobs are remembered, and how many requests that got one.
const LOOKS_MAX: NonZeroUsize = NonZeroUsize::new(8_192).expect("is not 0");

/// What a runner gets.
#[derive(Debug)]
pub enum Task {
    /// A job.
    Job(Fetched),
    /// An action.
    Action(Box<ActionLease>),
}

/// What a runner can do with a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wants {
    /// Jobs.
    #[default]
    Jobs,
    /// Jobs and actions.
    JobsAndActions,
    /// Actions, to fetch their inputs while every slot is busy.
    ActionsAhead,
}

/// A runner's poll.
#[derive(Clone, Debug)]
pub struct Poll<'a> {
    /// Who polls.
    pub runner: &'a Runner,
    /// The labels it serves.
    pub labels: &'a [String],
    /// What it offers to actions.
    pub properties: Properties,
    /// What it can do with a task.
    pub wants: Wants,
    /// Made by the agent for this request; empty: none.
    pub request_id: &'a str,
    /// How long it waits, in milliseconds.
    pub wait_ms: i64,
    /// It takes nothing new, only what was given under the same request id before: its answer may have been lost.
    pub draining: bool,
}

/// Gives tasks of both kinds to runners.
pub struct Dispatch {
    scheduler: Arc<Scheduler>,
    execution: Arc<Execution>,
    looks: Mutex<Looks>,
}

/// What is known of the jobs without asking the store, which is slow against the queue of actions.
struct Looks {
    /// By runner: when it last found no job, and what it was looking for.
    empty: LruCache<String, EmptyLook>,
    /// Requests that got a job: should they come again, the store has to be asked.
    given: LruCache<(String, String), ()>,
}

struct EmptyLook {
    labels: Vec<String>,
    times_queued: u64,
    at: Instant,
}

/// Where a task goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Job,
    Action,
    Neither,
}

/// Wakes another one for what its holder was woken for, unless that got it.
struct Unserved<'a> {
    waiters: &'a Waiters,
    news: Option<News>,
}

impl Dispatch {
    /// Gives the tasks of these.
    pub fn new(scheduler: Arc<Scheduler>, execution: Arc<Execution>) -> Self {
        execution.listen(Arc::clone(scheduler.waiters()) as Arc<dyn OfferListener>);
        let looks = Looks { empty: LruCache::new(LOOKS_MAX), given: LruCache::new(LOOKS_MAX) };
        Self { scheduler, execution, looks: Mutex::new(looks) }
    }

    /// Waits for a task for this runner. Dropping the future gives nothing away: a task is leased in a store's
    /// transaction, and the same request id gets it again.
    pub async fn fetch(&self, poll: Poll<'_>) -> Result<Option<Task>> {
        let until = Instant::now() + Duration::from_millis(poll.wait_ms.clamp(0, FETCH_WAIT_MAX_MS) as u64);
        let waiters = self.scheduler.waiters();
        let mut unserved = Unserved { waiters, news: None };
        loop {
            let waiting = waiters.register(poll.interest());
            if let Some(task) = self.take(&poll).await? {
                unserved.serve(&task);
                return Ok(Some(task));
            }
            // What it was woken for went to another one.
            unserved.news = None;
            let now = Instant::now();
            if now >= until {
                return Ok(None);
            }
            let look_again = until.min(now + Duration::from_millis(FETCH_POLL_MS));
            // Woken or not: it is looked again.
            unserved.news = timeout_at(look_again, waiting.woken()).await.ok().flatten();
        }
    }

    async fn take(&self, poll: &Poll<'_>) -> Result<Option<Task>> {
        let claim = poll.claim();
        match self.first(poll, &claim).await? {
            First::Neither => Ok(None),
            First::Job => match self.job(poll).await? {
                None if poll.wants != Wants::Jobs => self.action(claim).await,
                job => Ok(job),
            },
            First::Action => match self.action(claim).await? {
                None if poll.wants != Wants::ActionsAhead => self.job(poll).await,
                action => Ok(action),
            },
        }
    }

    /// Of a job and an action that the runner could have the more important, then the older.
    async fn first(&self, poll: &Poll<'_>, claim: &ActionClaim) -> Result<First> {
        if poll.wants == Wants::Jobs {
            return Ok(First::Job);
        }
        let action = self.execution.peek(claim);
        if poll.wants == Wants::ActionsAhead {
            return Ok(if action.is_some() { First::Action } else { First::Neither });
        }
        if self.no_jobs(poll) {
            return Ok(if action.is_some() { First::Action } else { First::Neither });
        }
        let times_queued = self.scheduler.times_queued();
        let job = self.scheduler.first_queued(poll.runner, poll.labels, poll.request_id).await?;
        if job.is_none() {
            self.note_empty(poll, times_queued);
        }
        Ok(match (job, action) {
            (None, None) => First::Neither,
            (Some(_), None) => First::Job,
            (None, Some(_)) => First::Action,
            (Some((job_priority, job_since)), Some((action_priority, action_since))) => {
                // An action's is the better the lower it is.
                let (job, action) = (-job_priority, i64::from(action_priority));
                if (job, job_since) <= (action, action_since) { First::Job } else { First::Action }
            }
        })
    }

    async fn job(&self, poll: &Poll<'_>) -> Result<Option<Task>> {
        let fetched = self.scheduler.claim(poll.runner, poll.labels, poll.request_id).await?;
        if fetched.is_some() && !poll.request_id.is_empty() {
            self.looks().given.put((poll.runner.uuid.clone(), poll.request_id.to_owned()), ());
        }
        Ok(fetched.map(Task::Job))
    }

    async fn action(&self, claim: ActionClaim) -> Result<Option<Task>> {
        Ok(self.execution.claim(claim).await?.map(|lease| Task::Action(Box::new(lease))))
    }

    /// Whether the runner found no job lately, and none was queued since. Now and then the store is asked all the same.
    fn no_jobs(&self, poll: &Poll<'_>) -> bool {
        let mut looks = self.looks();
        if looks.given.contains(&(poll.runner.uuid.clone(), poll.request_id.to_owned())) {
            return false;
        }
        looks.empty.get(&poll.runner.uuid).is_some_and(|look| {
            look.times_queued == self.scheduler.times_queued()
                && look.at.elapsed() < Duration::from_millis(FETCH_POLL_MS)
                && look.labels == poll.labels
        })
    }

    fn note_empty(&self, poll: &Poll<'_>, times_queued: u64) {
        let look = EmptyLook { labels: poll.labels.to_vec(), times_queued, at: Instant::now() };
        self.looks().empty.put(poll.runner.uuid.clone(), look);
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Poll<'_> {
    fn interest(&self) -> Interest {
        let actions = self.wants != Wants::Jobs && !self.draining;
        Interest {
            labels: (self.wants != Wants::ActionsAhead && !self.draining).then(|| self.labels.to_vec()),
            actions: actions.then(|| ActionInterest {
                runner_uuid: self.runner.uuid.clone(),
                offered: self.properties.clone(),
                ahead: self.wants == Wants::ActionsAhead,
            }),
        }
    }

    fn claim(&self) -> ActionClaim {
        ActionClaim {
            runner_uuid: self.runner.uuid.clone(),
            runner_name: self.runner.name.clone(),
            properties: self.properties.clone(),
            request_id: self.request_id.to_owned(),
            ahead: self.wants == Wants::ActionsAhead,
            draining: self.draining,
        }
    }
}

impl Unserved<'_> {
    /// What it was woken for is done, if the task is that.
    fn serve(&mut self, task: &Task) {
        let served = match (&self.news, task) {
            (Some(News::Job(_)), Task::Job(_)) => true,
            (Some(News::Action(offer)), Task::Action(lease)) => offer.is_of(&lease.properties),
            _ => false,
        };
        if served {
            self.news = None;
        }
    }
}

impl Drop for Unserved<'_> {
    fn drop(&mut self) {
        if let Some(news) = self.news.take() {
            self.waiters.wake_for(news);
        }
    }
}
