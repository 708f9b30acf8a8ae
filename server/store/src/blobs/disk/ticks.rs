//! Time in 32 bits: steps of 16 ms since the start, enough for two years without one. It begins behind the numbers that
//! what was there at the start has got, so that those give its order.

use std::time::Instant;

const TICK_MS: u64 = 16;

/// Counts.
pub struct Ticks {
    start: Instant,
    base: u32,
}

impl Ticks {
    /// Begins behind `base`.
    pub fn new(base: u32) -> Self {
        Self { start: Instant::now(), base }
    }

    /// Now.
    pub fn now(&self) -> u32 {
        self.base.saturating_add((self.start.elapsed().as_millis() as u64 / TICK_MS) as u32)
    }

    /// So many milliseconds, rounded up.
    pub fn count(ms: u64) -> u32 {
        u32::try_from(ms.div_ceil(TICK_MS)).unwrap_or(u32::MAX)
    }
}
