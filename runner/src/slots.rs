//! How much runs at once: a place for each job and each action, and what they wait for. Knows nothing of the server.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::action::Berth;

/// Actions that are shorter than this on average make it worth to hold more of them ready.
const AHEAD_WORTH_MICROSECONDS: u64 = 40_000;
/// The most actions that are held ready beyond the slots, however short they are.
pub const AHEAD_MAX: u32 = 16;
/// How much of the average the last action is, as a divisor.
const PACE_SHARE: u64 = 8;

/// The slots of a runner. Cheap to clone.
#[derive(Clone)]
pub struct Slots {
    inner: Arc<Inner>,
}

struct Inner {
    free: Arc<Semaphore>,
    count: u32,
    /// How many jobs hold a slot, and how many slots nobody holds.
    usage: watch::Sender<Usage>,
    /// Polls that may bring a job.
    promised: AtomicU32,
    /// How long actions run, on average.
    pace_microseconds: AtomicU64,
    // Held to take or put back only. As many as slots: whoever holds a slot finds one.
    berths: Mutex<Vec<Berth>>,
}

/// What the slots are held by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Slots that nobody holds.
    pub free: u32,
    /// Slots that jobs hold.
    pub jobs: u32,
}

/// A slot that a job holds.
pub struct JobSlot {
    slots: Slots,
    permit: Option<OwnedSemaphorePermit>,
}

/// A slot that an action holds, with the place where its command runs.
pub struct ActionSlot {
    slots: Slots,
    permit: Option<OwnedSemaphorePermit>,
    berth: Option<Berth>,
}

/// A poll that may bring a job: the slot it would take is not promised to another.
pub struct Promise(Slots);

impl Slots {
    /// As many slots as berths.
    pub fn new(berths: Vec<Berth>) -> Self {
        let count = berths.len() as u32;
        let inner = Inner {
            free: Arc::new(Semaphore::new(berths.len())),
            count,
            usage: watch::Sender::new(Usage { free: count, jobs: 0 }),
            promised: AtomicU32::new(0),
            // Long, until it is known.
            pace_microseconds: AtomicU64::new(AHEAD_WORTH_MICROSECONDS * u64::from(AHEAD_MAX)),
            berths: Mutex::new(berths),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Waits for a slot for a job.
    pub async fn job(&self) -> JobSlot {
        let permit = self.permit().await;
        self.inner.usage.send_modify(|usage| {
            usage.free -= 1;
            usage.jobs += 1;
        });
        JobSlot { slots: self.clone(), permit }
    }

    /// Waits for a slot for an action.
    pub async fn action(&self) -> ActionSlot {
        let permit = self.permit().await;
        let berth = self.inner.berths.lock().unwrap_or_else(PoisonError::into_inner).pop();
        self.inner.usage.send_modify(|usage| usage.free -= 1);
        ActionSlot { slots: self.clone(), permit, berth }
    }

    /// Promises a free slot to a poll, if there is one that is not promised yet.
    pub fn promise(&self) -> Option<Promise> {
        let free = self.inner.usage.borrow().free;
        let promised = self
            .inner
            .promised
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |promised| (promised < free).then_some(promised + 1));
        promised.ok().map(|_| Promise(self.clone()))
    }

    /// Waits until a slot has been free and not promised for some time.
    pub async fn idle_for(&self, time: Duration) {
        let mut usage = self.inner.usage.subscribe();
        let is_idle = |usage: &Usage| usage.free > self.inner.promised.load(Ordering::Acquire);
        loop {
            // The sender is in `self`: it does not go.
            drop(usage.wait_for(is_idle).await);
            tokio::time::sleep(time).await;
            if is_idle(&usage.borrow_and_update()) {
                return;
            }
        }
    }

    /// Waits until it makes sense that one more action, the `number`-th beyond the slots, is held ready.
    pub async fn worth_ahead(&self, number: u32, prefetch: u32) {
        let mut usage = self.inner.usage.subscribe();
        // The sender is in `self`: it does not go.
        drop(usage.wait_for(|usage| self.is_worth(*usage, number, prefetch)).await);
    }

    /// Whether it makes sense now.
    pub fn is_worth_ahead(&self, number: u32, prefetch: u32) -> bool {
        self.is_worth(*self.inner.usage.borrow(), number, prefetch)
    }

    fn is_worth(&self, usage: Usage, number: u32, prefetch: u32) -> bool {
        // Jobs last: what waits for them could run elsewhere.
        usage.jobs < self.inner.count && (number < prefetch || number < self.ahead())
    }

    /// Ends what the berths have. Nobody may hold a slot any more.
    pub async fn end(&self) {
        let berths = std::mem::take(&mut *self.inner.berths.lock().unwrap_or_else(PoisonError::into_inner));
        futures::future::join_all(berths.into_iter().map(Berth::end)).await;
    }

    /// How many short actions are to be held ready.
    fn ahead(&self) -> u32 {
        let pace = self.inner.pace_microseconds.load(Ordering::Relaxed).max(1);
        let worth = AHEAD_WORTH_MICROSECONDS.saturating_mul(u64::from(self.inner.count)) / pace;
        u32::try_from(worth).unwrap_or(AHEAD_MAX).min(AHEAD_MAX)
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed: there is always one.
        Arc::clone(&self.inner.free).acquire_owned().await.ok()
    }
}

impl ActionSlot {
    /// Where the command runs.
    pub fn berth(&mut self) -> Option<&mut Berth> {
        self.berth.as_mut()
    }

    /// Tells how long the command ran.
    pub fn took(&self, time: Duration) {
        let took = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        let pace = &self.slots.inner.pace_microseconds;
        // Two at once may lose one of them: it is an average.
        let old = pace.load(Ordering::Relaxed);
        pace.store(old - old / PACE_SHARE + took / PACE_SHARE, Ordering::Relaxed);
    }
}

impl Drop for ActionSlot {
    fn drop(&mut self) {
        let inner = &self.slots.inner;
        inner.berths.lock().unwrap_or_else(PoisonError::into_inner).extend(self.berth.take());
        drop(self.permit.take());
        inner.usage.send_modify(|usage| usage.free += 1);
    }
}

impl Drop for JobSlot {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.slots.inner.usage.send_modify(|usage| {
            usage.free += 1;
            usage.jobs -= 1;
        });
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.inner.promised.fetch_sub(1, Ordering::AcqRel);
        // Who waits for a slot that is not promised looks again.
        self.0.inner.usage.send_modify(|_| {});
    }
}
