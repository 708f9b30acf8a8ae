//! Runners that wait for work. A new task wakes one that can serve it, not all: a thousand idle runners cost nothing. A
//! wake-up is only a hint: who is woken asks for the task, and everybody asks now and then anyway.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use millrace_proto::platform_properties::Properties;
use tokio::sync::Notify;

use crate::execution::{Offer, OfferListener};

/// What one waits for.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    /// Jobs that these labels serve; None: no jobs.
    pub labels: Option<Vec<String>>,
    /// Actions; None: no actions.
    pub actions: Option<ActionInterest>,
}

/// Which actions one waits for.
#[derive(Clone, Debug, Default)]
pub struct ActionInterest {
    /// The runner.
    pub runner_uuid: String,
    /// What it offers.
    pub offered: Properties,
    /// It has no free slot: those that have one go first.
    pub ahead: bool,
}

/// What one is woken for.
#[derive(Clone, Debug)]
pub enum News {
    /// A job with these labels.
    Job(Vec<String>),
    /// An action.
    Action(Offer),
}

/// Those who wait, by their order of arrival.
#[derive(Default)]
pub struct Waiters {
    // Held for map operations only, never across an await.
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    waiting: BTreeMap<u64, Entry>,
    /// Those who wait for actions, by what they offer and whether they have no free slot: runners are many, offers few.
    offering: HashMap<(Properties, bool), BTreeSet<u64>>,
}

struct Entry {
    interest: Interest,
    call: Arc<Call>,
}

/// The line to one who waits.
#[derive(Default)]
struct Call {
    wake: Notify,
    // What woke it, until it has noticed. Held for a take or a put only.
    news: Mutex<Option<News>>,
}

/// A place among those who wait; leaves when it is dropped, and hands on what it was woken for and has not noticed.
pub struct Waiting {
    waiters: Arc<Waiters>,
    id: u64,
    call: Arc<Call>,
}

impl Waiters {
    /// Waits from now on. Register before asking for a task: what is queued in between wakes too.
    pub fn register(self: &Arc<Self>, interest: Interest) -> Waiting {
        let call = Arc::new(Call::default());
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        if let Some(actions) = &interest.actions {
            inner.offering.entry((actions.offered.clone(), actions.ahead)).or_default().insert(id);
        }
        inner.waiting.insert(id, Entry { interest, call: Arc::clone(&call) });
        drop(inner);
        Waiting { waiters: Arc::clone(self), id, call }
    }

    /// Wakes the first that serves all these labels; it waits no more until it registers again.
    pub fn wake(&self, labels: &[String]) {
        let mut inner = self.lock();
        let serving = |entry: &Entry| entry.interest.labels.as_ref().is_some_and(|offered| serves(offered, labels));
        let found = inner.waiting.iter().find(|(_, entry)| serving(entry)).map(|(id, _)| *id);
        inner.call(found, || News::Job(labels.to_vec()));
    }

    /// Wakes the first that may have this action, one with a free slot if there is any.
    pub fn wake_for_action(&self, offer: &Offer) {
        let mut inner = self.lock();
        let found = inner.first_for(offer, false).or_else(|| inner.first_for(offer, true));
        inner.call(found, || News::Action(offer.clone()));
    }

    /// Wakes another one for what somebody was woken for in vain.
    pub fn wake_for(&self, news: News) {
        match news {
            News::Job(labels) => self.wake(&labels),
            News::Action(offer) => self.wake_for_action(&offer),
        }
    }

    /// Wakes everybody: at shutdown.
    pub fn wake_all(&self) {
        let mut inner = self.lock();
        let waiting = std::mem::take(&mut inner.waiting);
        inner.offering.clear();
        drop(inner);
        for entry in waiting.into_values() {
            entry.call.wake.notify_one();
        }
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl OfferListener for Waiters {
    fn offered(&self, offer: &Offer) {
        self.wake_for_action(offer);
    }
}

impl Inner {
    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.waiting.remove(&id)?;
        if let Some(actions) = &entry.interest.actions {
            let key = (actions.offered.clone(), actions.ahead);
            if let Some(ids) = self.offering.get_mut(&key) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.offering.remove(&key);
                }
            }
        }
        Some(entry)
    }

    fn first_for(&self, offer: &Offer, ahead: bool) -> Option<u64> {
        let suiting =
            self.offering.iter().filter(|((offered, is_ahead), _)| *is_ahead == ahead && offer.suits(offered));
        let avoided = |id: &u64| {
            let actions = self.waiting.get(id).and_then(|entry| entry.interest.actions.as_ref());
            actions.is_none_or(|actions| offer.avoid.contains(&actions.runner_uuid))
        };
        suiting.filter_map(|(_, ids)| ids.iter().find(|id| !avoided(id))).min().copied()
    }

    fn call(&mut self, found: Option<u64>, news: impl FnOnce() -> News) {
        if let Some(entry) = found.and_then(|id| self.remove(id)) {
            *entry.call.news() = Some(news());
            entry.call.wake.notify_one();
        }
    }
}

impl Waiting {
    /// Ends when there may be work; says what. From then on it is the caller who asks for it.
    pub async fn woken(&self) -> Option<News> {
        self.call.wake.notified().await;
        self.call.news().take()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiters.lock().remove(self.id);
        let unnoticed = self.call.news().take();
        if let Some(news) = unnoticed {
            self.waiters.wake_for(news);
        }
    }
}

impl Call {
    fn news(&self) -> std::sync::MutexGuard<'_, Option<News>> {
        self.news.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Whether a runner with `offered` labels can run what wants `wanted`; case does not matter.
pub fn serves(offered: &[String], wanted: &[String]) -> bool {
    wanted.iter().all(|want| offered.iter().any(|offer| offer.eq_ignore_ascii_case(want)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn jobs(words: &[&str]) -> Interest {
        Interest { labels: Some(labels(words)), actions: None }
    }

    fn actions(runner: &str, offered: &str, ahead: bool) -> Interest {
        let offered = Properties::checked([("os", offered)]).expect("good");
        Interest { labels: None, actions: Some(ActionInterest { runner_uuid: runner.into(), offered, ahead }) }
    }

    fn offer(os: &str, avoid: &[&str]) -> Offer {
        let requested = Properties::checked([("os", os)]).expect("good");
        Offer { platform: requested.clone(), requested, forced: false, avoid: labels(avoid) }
    }

    #[tokio::test]
    async fn a_job_wakes_the_first_runner_that_serves_it_and_no_other() {
        let waiters = Arc::new(Waiters::default());
        let windows = waiters.register(jobs(&["windows"]));
        let first = waiters.register(jobs(&["linux", "gpu"]));
        let second = waiters.register(jobs(&["linux"]));
        waiters.wake(&labels(&["Linux"]));
        first.woken().await;
        assert_eq!(waiters.count(), 2, "only the woken one has left");
        waiters.wake(&labels(&["linux"]));
        second.woken().await;
        drop(windows);
        assert_eq!(waiters.count(), 0);
    }

    #[tokio::test]
    async fn who_leaves_without_noticing_hands_the_news_on() {
        let waiters = Arc::new(Waiters::default());
        let leaving = waiters.register(jobs(&["linux"]));
        let staying = waiters.register(jobs(&["linux"]));
        waiters.wake(&labels(&["linux"]));
        drop(leaving);
        staying.woken().await;
        drop(staying);
        assert_eq!(waiters.count(), 0);
    }

    #[tokio::test]
    async fn an_action_wakes_who_has_a_free_slot_and_nobody_it_avoids() {
        let waiters = Arc::new(Waiters::default());
        let ahead = waiters.register(actions("a", "linux", true));
        let windows = waiters.register(actions("b", "windows", false));
        let avoided = waiters.register(actions("c", "linux", false));
        let free = waiters.register(actions("d", "linux", false));
        waiters.wake_for_action(&offer("linux", &["c"]));
        assert!(matches!(free.woken().await, Some(News::Action(_))));
        waiters.wake_for_action(&offer("linux", &["c"]));
        ahead.woken().await;
        waiters.wake_for_action(&offer("darwin", &[]));
        assert_eq!(waiters.count(), 2);
        drop((windows, avoided));
        assert_eq!(waiters.count(), 0);
        assert!(waiters.lock().offering.is_empty());
    }
}
