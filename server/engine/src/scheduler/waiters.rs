//! Runners that wait for work. A new job wakes one that can serve it, not all: a thousand idle runners cost nothing. A
//! wake-up is only a hint: who is woken asks the store, and everybody asks it now and then anyway.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

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
}

struct Entry {
    labels: Vec<String>,
    call: Arc<Call>,
}

/// The line to one who waits.
#[derive(Default)]
struct Call {
    wake: Notify,
    // What woke it, until it has noticed. Held for a take or a put only.
    news: Mutex<Option<Vec<String>>>,
}

/// A place among those who wait; leaves when it is dropped, and hands on what it was woken for and has not noticed.
pub struct Waiting {
    waiters: Arc<Waiters>,
    id: u64,
    call: Arc<Call>,
}

impl Waiters {
    /// Waits from now on. Register before asking the store: what is queued in between wakes too.
    pub fn register(self: &Arc<Self>, labels: &[String]) -> Waiting {
        let call = Arc::new(Call::default());
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        inner.waiting.insert(id, Entry { labels: labels.to_vec(), call: Arc::clone(&call) });
        drop(inner);
        Waiting { waiters: Arc::clone(self), id, call }
    }

    /// Wakes the first that serves all these labels; it waits no more until it registers again.
    pub fn wake(&self, labels: &[String]) {
        let mut inner = self.lock();
        let found = inner.waiting.iter().find(|(_, entry)| serves(&entry.labels, labels)).map(|(id, _)| *id);
        if let Some(entry) = found.and_then(|id| inner.waiting.remove(&id)) {
            *entry.call.news() = Some(labels.to_vec());
            entry.call.wake.notify_one();
        }
    }

    /// Wakes everybody: at shutdown.
    pub fn wake_all(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
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

impl Waiting {
    /// Ends when there may be work.
    pub async fn woken(&self) {
        self.call.wake.notified().await;
        // Noticed: from here on it is the caller who asks the store.
        self.call.news().take();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiters.lock().waiting.remove(&self.id);
        let unnoticed = self.call.news().take();
        if let Some(labels) = unnoticed {
            self.waiters.wake(&labels);
        }
    }
}

impl Call {
    fn news(&self) -> std::sync::MutexGuard<'_, Option<Vec<String>>> {
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

    #[tokio::test]
    async fn a_job_wakes_the_first_runner_that_serves_it_and_no_other() {
        let waiters = Arc::new(Waiters::default());
        let windows = waiters.register(&labels(&["windows"]));
        let first = waiters.register(&labels(&["linux", "gpu"]));
        let second = waiters.register(&labels(&["linux"]));
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
        let leaving = waiters.register(&labels(&["linux"]));
        let staying = waiters.register(&labels(&["linux"]));
        waiters.wake(&labels(&["linux"]));
        drop(leaving);
        staying.woken().await;
        drop(staying);
        assert_eq!(waiters.count(), 0);
    }
}
