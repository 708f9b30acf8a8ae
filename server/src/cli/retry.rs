//! When to try a broken stream again, how long to wait, and when to give up.

use std::time::{Duration, Instant};

use connectrpc::{ConnectError, ErrorCode};

/// The first wait.
const WAIT_FIRST: Duration = Duration::from_millis(200);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// A server away for longer than this is given up.
pub const AWAY_MAX: Duration = Duration::from_mins(10);
/// A stream that says nothing for longer than this is broken: the server sends a heartbeat every 15 s.
pub const SILENCE_MAX: Duration = Duration::from_secs(50);

/// Whether the same call may do better later.
pub fn may_pass(error: &ConnectError) -> bool {
    match error.code {
        ErrorCode::Unauthenticated
        | ErrorCode::PermissionDenied
        | ErrorCode::NotFound
        | ErrorCode::InvalidArgument
        | ErrorCode::Unimplemented
        | ErrorCode::FailedPrecondition
        | ErrorCode::OutOfRange
        | ErrorCode::DataLoss => false,
        // A stream cut in the middle reads as internal or unknown.
        _ => true,
    }
}

/// Counts failures in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
    since: Option<Instant>,
}

impl Backoff {
    /// All is well again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// After one more failure: how long to wait, or nothing when it is time to give up.
    pub fn failed(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        if now.duration_since(since) > AWAY_MAX {
            return None;
        }
        let wait = WAIT_FIRST.saturating_mul(1 << self.failures.min(10)).min(WAIT_MAX);
        self.failures += 1;
        Some(wait)
    }

    /// Whether the last call failed.
    pub fn is_away(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_begin_anew() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let waits: Vec<_> = (0..8).filter_map(|_| backoff.failed(now)).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert!(backoff.is_away());
        backoff.reset();
        assert!(!backoff.is_away());
        assert_eq!(backoff.failed(now), Some(WAIT_FIRST));
    }

    #[test]
    fn a_server_away_for_long_is_given_up() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        assert!(backoff.failed(now).is_some());
        assert!(backoff.failed(now + AWAY_MAX).is_some());
        assert!(backoff.failed(now + AWAY_MAX + Duration::from_secs(1)).is_none());
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(may_pass(&ConnectError::unavailable("")));
        assert!(may_pass(&ConnectError::internal("cut")));
        assert!(!may_pass(&ConnectError::unauthenticated("")));
        assert!(!may_pass(&ConnectError::not_found("")));
    }
}
