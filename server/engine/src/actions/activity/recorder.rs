//! Counts what happens in each instance, minute by minute, and brings the counts to their store. Whoever counts waits
//! for nothing but a short lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_proto::instance_name::InstanceName;

use super::MINUTE_MS;
use super::latest::{ActionEvent, Latest, SeenAction};
use super::store::{ActivityCounts, ActivityMinute, ActivityStore};
use super::window::{ActivityStep, Window};
use crate::blobs::BlobTraffic;
use crate::clock::Clock;
use crate::error::Result;

/// How often counts go to their store, in seconds.
pub const FLUSH_SECONDS: u64 = 60;
/// How long counts are kept, in minutes.
pub const ACTIVITY_KEPT_MINUTES: i64 = 366 * 24 * 60;
/// How many instances are counted between two flushes; of further ones nothing is. Names are the clients' to make up.
pub const INSTANCES_PER_MINUTE_MAX: usize = 1_000;
/// How many minutes of instances wait for a store that fails; then the oldest go.
const UNSTORED_MAX: usize = 10_000;
/// How many instances are listed.
const INSTANCES_LISTED_MAX: u32 = 1_000;
/// How often the store is tidied, in flushes.
const PRUNE_EVERY_FLUSHES: u64 = 60;

/// Counts of the cache's use.
pub struct CacheActivity {
    store: Arc<dyn ActivityStore>,
    clock: Arc<dyn Clock>,
    /// Held for a few additions.
    counted: Mutex<Counted>,
    /// Held for one insertion, or a copy of what is listed.
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Counted {
    /// The minute that each instance is in.
    open: HashMap<InstanceName, (i64, ActivityCounts)>,
    /// Minutes that are over, or are on their way to the store.
    unstored: Vec<ActivityMinute>,
    /// How many of `unstored`, from the first on, a flush has in its hands.
    in_flight: usize,
}

impl CacheActivity {
    /// Counts by this clock, for this store.
    pub fn new(store: Arc<dyn ActivityStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, counted: Mutex::default(), latest: Mutex::new(Latest::new()) }
    }

    /// An action was asked for or stored.
    pub fn action(&self, action: SeenAction) {
        self.count(&action.instance, |counts| match action.event {
            ActionEvent::Hit => {
                counts.action_hits += 1;
                counts.saved_ms += action.executed_ms;
            }
            ActionEvent::Miss => counts.action_misses += 1,
            ActionEvent::Stored => counts.action_updates += 1,
        });
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).see(action);
    }

    /// FindMissingBlobs was asked: so many blobs were here, so many were not.
    pub fn blobs_asked(&self, instance: &InstanceName, present: u64, missing: u64) {
        self.count(instance, |counts| {
            counts.blobs_present += present;
            counts.blobs_missing += missing;
        });
    }

    /// The key of an HTTP cache was asked for.
    pub fn key_asked(&self, instance: &InstanceName, found: bool) {
        self.count(instance, |counts| if found { counts.key_hits += 1 } else { counts.key_misses += 1 });
    }

    /// What happened in a window that ends now, of one instance or of all, in equal steps.
    pub async fn steps(&self, instance: Option<&str>, window_seconds: i64, steps: i32) -> Result<Vec<ActivityStep>> {
        let window = Window::back_from(self.clock.now_ms(), window_seconds, steps)?;
        let Window { first_minute, step_minutes, .. } = window;
        let stored = self.store.sums(instance, first_minute, window.end_minute(), step_minutes).await?;
        let mut steps = window.empty();
        for (index, counts) in stored {
            if let Some(step) = usize::try_from(index).ok().and_then(|index| steps.get_mut(index)) {
                step.counts.add(&counts);
            }
        }
        // What a flush is about to commit may be in both for a moment; the next answer is right again.
        for minute in self.unstored().iter().filter(|minute| instance.is_none_or(|name| name == minute.instance)) {
            if let Some(index) = window.step_of(minute.minute) {
                steps[index].counts.add(&minute.counts);
            }
        }
        Ok(steps)
    }

    /// The actions that were asked for or stored last, the latest first, of the instances that may be shown.
    pub fn latest(&self, shown: impl Fn(&InstanceName) -> bool, limit: usize) -> Vec<SeenAction> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).list(shown, limit)
    }

    /// The names of the instances that have been used, in order.
    pub async fn instances(&self) -> Result<Vec<String>> {
        let mut names = self.store.instances(INSTANCES_LISTED_MAX).await?;
        names.extend(self.unstored().into_iter().map(|minute| minute.instance));
        names.sort();
        names.dedup();
        names.truncate(INSTANCES_LISTED_MAX as usize);
        Ok(names)
    }

    /// Brings what was counted to the store. On an error it is kept for the next time.
    pub async fn flush(&self) -> Result<()> {
        let Some(minutes) = self.counted().take() else { return Ok(()) };
        let flight = Flight { counted: &self.counted, stored: false };
        self.store.add(minutes).await?;
        flight.landed();
        Ok(())
    }

    /// Flushes every minute and once more when `stop` is over.
    pub async fn keep_flushing(&self, stop: impl Future<Output = ()> + Send) {
        let mut every = tokio::time::interval(Duration::from_secs(FLUSH_SECONDS));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(stop);
        let mut flushes: u64 = 0;
        loop {
            let stopping = tokio::select! {
                _ = every.tick() => false,
                () = &mut stop => true,
            };
            if let Err(error) = self.flush().await {
                tracing::warn!(%error, "the cache's activity could not be stored; it is kept for the next time");
            }
            if stopping {
                return;
            }
            if flushes.is_multiple_of(PRUNE_EVERY_FLUSHES) {
                let before = self.clock.now_ms().div_euclid(MINUTE_MS) - ACTIVITY_KEPT_MINUTES;
                if let Err(error) = self.store.prune(before).await {
                    tracing::warn!(%error, "old activity of the cache could not be forgotten; trying again");
                }
            }
            flushes += 1;
        }
    }

    fn count(&self, instance: &InstanceName, add: impl FnOnce(&mut ActivityCounts)) {
        let minute = self.clock.now_ms().div_euclid(MINUTE_MS);
        self.counted().count(instance, minute, add);
    }

    /// A copy of all that the store may not have yet.
    fn unstored(&self) -> Vec<ActivityMinute> {
        let counted = self.counted();
        let open = counted.open.iter().map(|(instance, (minute, counts))| row(instance, *minute, counts));
        counted.unstored.iter().cloned().chain(open).collect()
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn count(&mut self, instance: &InstanceName, now: i64, add: impl FnOnce(&mut ActivityCounts)) {
        if let Some((minute, counts)) = self.open.get_mut(instance) {
            if *minute != now {
                self.unstored.push(row(instance, *minute, counts));
                (*minute, *counts) = (now, ActivityCounts::default());
            }
            add(counts);
        } else if self.open.len() < INSTANCES_PER_MINUTE_MAX {
            let mut counts = ActivityCounts::default();
            add(&mut counts);
            self.open.insert(instance.clone(), (now, counts));
        }
    }

    /// All that is to be stored; None: nothing, or a flush is on its way.
    fn take(&mut self) -> Option<Vec<ActivityMinute>> {
        if self.in_flight > 0 {
            return None;
        }
        self.unstored.extend(self.open.drain().map(|(instance, (minute, counts))| row(&instance, minute, &counts)));
        let excess = self.unstored.len().saturating_sub(UNSTORED_MAX);
        self.unstored.drain(..excess);
        self.in_flight = self.unstored.len();
        (self.in_flight > 0).then(|| self.unstored.clone())
    }
}

/// A flush in the hands of the store; dropped before it has landed (an error, or nobody waits any more), it is to be done
/// again.
struct Flight<'a> {
    counted: &'a Mutex<Counted>,
    stored: bool,
}

impl Flight<'_> {
    fn landed(mut self) {
        self.stored = true;
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let landed = std::mem::take(&mut counted.in_flight);
        if self.stored {
            counted.unstored.drain(..landed);
        }
    }
}

fn row(instance: &InstanceName, minute: i64, counts: &ActivityCounts) -> ActivityMinute {
    ActivityMinute { instance: instance.as_str().to_owned(), minute, counts: *counts }
}

/// Blobs on their way to clients and from them. What is looked into for completeness counts, too; that is little.
impl BlobTraffic for CacheActivity {
    fn read(&self, instance: &InstanceName, bytes: u64) {
        self.count(instance, |counts| counts.bytes_read += bytes);
    }

    fn written(&self, instance: &InstanceName, bytes: u64) {
        self.count(instance, |counts| counts.bytes_written += bytes);
    }
}
