//! How long to wait before the next try: exponential, with jitter, so that a thousand runners do not come back in the
//! same moment. Knows nothing of what is tried.

use std::time::Duration;

/// The first wait.
pub const BACKOFF_FIRST_MS: u64 = 250;
/// The longest wait.
pub const BACKOFF_MAX_MS: u64 = 15_000;

/// A series of waits.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Forgets the failures so far.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// The next wait: between half and the whole of the exponential step.
    pub fn next_wait(&mut self) -> Duration {
        let step = BACKOFF_FIRST_MS.saturating_mul(1 << self.tries.min(16)).min(BACKOFF_MAX_MS);
        self.tries = self.tries.saturating_add(1);
        Duration::from_millis(rand::random_range(step / 2..=step))
    }

    /// Sleeps for the next wait.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_limit_and_starts_again() {
        let mut backoff = Backoff::default();
        let first = backoff.next_wait().as_millis() as u64;
        assert!((BACKOFF_FIRST_MS / 2..=BACKOFF_FIRST_MS).contains(&first));
        let last = (0..100).map(|_| backoff.next_wait().as_millis() as u64).last().expect("a wait");
        assert!((BACKOFF_MAX_MS / 2..=BACKOFF_MAX_MS).contains(&last));
        backoff.reset();
        assert!(backoff.next_wait().as_millis() as u64 <= BACKOFF_FIRST_MS);
    }
}
