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
    wake: Arc<Notify>,
}

/// A place among those who wait; leaves when it is dropped.
pub struct Waiting {
    waiters: Arc<Waiters>,
    id: u64,
    wake: Arc<Notify>,
}

impl Waiters {
    /// Waits from now on. Register before asking the store: what is queued in between wakes too.
    pub fn register(self: &Arc<Self>, labels: &[String]) -> Waiting {
        let wake = Arc::new(Notify::new());
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        inner.waiting.insert(id, Entry { labels: labels.to_vec(), wake: Arc::clone(&wake) });
        drop(inner);
        Waiting { waiters: Arc::clone(self), id, wake }
    }

    /// Wakes the first that serves all these labels; it waits no more until it registers again.
    pub fn wake(&self, labels: &[String]) {
        let mut inner = self.lock();
        let found = inner.waiting.iter().find(|(_, entry)| serves(&entry.labels, labels)).map(|(id, _)| *id);
        if let Some(entry) = found.and_then(|id| inner.waiting.remove(&id)) {
            entry.wake.notify_one();
        }
    }

    /// Wakes everybody: at shutdown.
    pub fn wake_all(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        for entry in waiting.into_values() {
            entry.wake.notify_one();
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
        self.wake.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiters.lock().waiting.remove(&self.id);
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
}
