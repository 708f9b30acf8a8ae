//! When a stream that shows how things are looks again: after a change, but no oftener than an eye can follow, and now
//! and then without one, to say that it lives. Knows nothing of what is shown.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

/// How far apart two looks are at least, in milliseconds.
const APART_MIN_MS: u64 = 250;

/// The pace of one stream.
pub struct Pace {
    heartbeat: Duration,
    last: Instant,
}

impl Pace {
    /// A look that is taken now is the first; `heartbeat_ms` is the longest between two.
    pub fn new(heartbeat_ms: u64) -> Self {
        Self { heartbeat: Duration::from_millis(heartbeat_ms), last: Instant::now() }
    }

    /// A look is about to be taken.
    pub fn looked(&mut self) {
        self.last = Instant::now();
    }

    /// Ends some time after `change`, when a look may be taken; or when it is time for a heartbeat: true.
    pub async fn next(&self, change: impl Future<Output = impl Sized>) -> bool {
        let changed = timeout(self.heartbeat, change).await;
        sleep_until(self.last + Duration::from_millis(APART_MIN_MS)).await;
        changed.is_err()
    }
}
