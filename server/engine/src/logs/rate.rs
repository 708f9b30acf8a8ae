//! How fast a log may grow: a bucket of bytes for each log that is being written. What comes faster waits before it is
//! written, and so its acknowledgement does; nothing is lost. It knows no log's content.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;

use super::LogId;
use crate::clock::Clock;

/// A log grows by so many bytes a second when nothing else is set.
pub const LOG_RATE_BYTES: u64 = 64 * 1024 * 1024;
/// So many bytes may come faster than that when nothing else is set.
pub const LOG_RATE_BURST_BYTES: u64 = 256 * 1024 * 1024;

/// So many logs are remembered; the one that was written to the longest ago is forgotten and has a full bucket again.
const BUCKETS_MAX: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// The rates of all logs.
pub(super) struct LogRates {
    clock: Arc<dyn Clock>,
    /// Zero: no limit.
    bytes_per_second: u64,
    burst_bytes: u64,
    /// Held for a look-up only.
    buckets: Mutex<LruCache<LogId, Bucket>>,
}

/// What a log has used of its burst and not yet got back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bucket {
    used_bytes: u64,
    at_ms: i64,
}

impl LogRates {
    pub fn new(clock: Arc<dyn Clock>, bytes_per_second: u64, burst_bytes: u64) -> Self {
        Self { clock, bytes_per_second, burst_bytes, buckets: Mutex::new(LruCache::new(BUCKETS_MAX)) }
    }

    /// Comes back when the log may be written to. To be called before a write, and not in the log's turn.
    pub async fn admit(&self, id: &LogId) {
        loop {
            let wait_ms = self.wait_ms(id);
            if wait_ms == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
    }

    /// So many bytes were written: those who come after wait for them.
    pub fn charge(&self, id: &LogId, bytes: u64) {
        if self.bytes_per_second == 0 || bytes == 0 {
            return;
        }
        let now_ms = self.clock.now_ms();
        let mut buckets = self.buckets();
        let bucket = buckets.get_or_insert_mut_ref(id, Bucket::default);
        *bucket = bucket.at(now_ms, self.bytes_per_second);
        bucket.used_bytes = bucket.used_bytes.saturating_add(bytes);
    }

    fn wait_ms(&self, id: &LogId) -> u64 {
        if self.bytes_per_second == 0 {
            return 0;
        }
        let now_ms = self.clock.now_ms();
        let bucket = self.buckets().get(id).copied().unwrap_or_default().at(now_ms, self.bytes_per_second);
        let over = bucket.used_bytes.saturating_sub(self.burst_bytes);
        millis(over, self.bytes_per_second)
    }

    fn buckets(&self) -> MutexGuard<'_, LruCache<LogId, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    /// How it is at a time. A clock that was set back gives nothing back.
    fn at(self, now_ms: i64, bytes_per_second: u64) -> Self {
        let passed_ms = now_ms.saturating_sub(self.at_ms).max(0) as u64;
        let back = u128::from(passed_ms) * u128::from(bytes_per_second) / 1_000;
        let back = u64::try_from(back).unwrap_or(u64::MAX);
        Self { used_bytes: self.used_bytes.saturating_sub(back), at_ms: now_ms }
    }
}

/// How long so many bytes take, rounded up.
fn millis(bytes: u64, bytes_per_second: u64) -> u64 {
    let ms = (u128::from(bytes) * 1_000).div_ceil(u128::from(bytes_per_second));
    u64::try_from(ms).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn rates(bytes_per_second: u64, burst_bytes: u64) -> (Arc<Hand>, LogRates) {
        let hand = Arc::new(Hand::default());
        (hand.clone(), LogRates::new(hand, bytes_per_second, burst_bytes))
    }

    fn id(text: &str) -> LogId {
        LogId::parse(text).unwrap()
    }

    #[test]
    fn a_burst_is_free_and_what_follows_waits() {
        let (hand, rates) = rates(1_000, 5_000);
        let (a, b) = (id("a"), id("b"));
        rates.charge(&a, 5_000);
        assert_eq!(rates.wait_ms(&a), 0, "the burst");
        rates.charge(&a, 1_500);
        assert_eq!((rates.wait_ms(&a), rates.wait_ms(&b)), (1_500, 0), "each log for itself");
        hand.0.store(1_000, Ordering::Relaxed);
        assert_eq!(rates.wait_ms(&a), 500);
        hand.0.store(-9_000, Ordering::Relaxed);
        rates.charge(&a, 1);
        assert_eq!(rates.wait_ms(&a), 1_501, "a clock that was set back gives nothing back, and goes on from there");
        hand.0.store(100_000, Ordering::Relaxed);
        rates.charge(&a, 5_000);
        assert_eq!(rates.wait_ms(&a), 0, "all of the burst is there again, and no more");
        rates.charge(&a, 1);
        assert_eq!(rates.wait_ms(&a), 1);
    }

    #[test]
    fn no_limit_is_no_limit() {
        let (_, rates) = rates(0, 1);
        rates.charge(&id("a"), u64::MAX);
        assert_eq!((rates.wait_ms(&id("a")), rates.buckets().len()), (0, 0));
    }

    #[test]
    fn no_more_logs_are_remembered_than_there_are_buckets() {
        let (_, rates) = rates(1, 1);
        for log in 0..BUCKETS_MAX.get() + 10 {
            rates.charge(&id(&log.to_string()), 10);
        }
        assert_eq!(rates.buckets().len(), BUCKETS_MAX.get());
        assert_eq!((rates.wait_ms(&id("0")), rates.wait_ms(&id("16384"))), (0, 9_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// Who waits as told never gets more through than the burst, one write, and the rate since the beginning; and
        /// nobody waits longer than that takes.
        #[test]
        fn the_rate_holds(rate in 1..5_000_u64, burst in 1..10_000_u64, writes in proptest::collection::vec(1..20_000_u64, 1..50)) {
            let (hand, rates) = rates(rate, burst);
            let a = id("a");
            let (mut through, mut now) = (0_u64, 0_i64);
            for bytes in writes {
                now += rates.wait_ms(&a) as i64;
                hand.0.store(now, Ordering::Relaxed);
                prop_assert_eq!(rates.wait_ms(&a), 0, "one wait is enough");
                let allowed = burst + rate * now as u64 / 1_000;
                prop_assert!(through <= allowed + 50, "{} of {}", through, allowed);
                rates.charge(&a, bytes);
                through += bytes;
            }
        }
    }
}
