//! What passes through the cache: counts by instance and minute, and the latest actions. Counting costs a short lock and
//! no memory per call; what was counted goes to its store once a minute. Knows no SQL and no wire.

mod latest;
#[cfg(any(test, feature = "testing"))]
mod memory;
mod recorder;
mod store;
#[cfg(test)]
mod tests;
mod window;

pub use latest::{ActionEvent, LATEST_ACTIONS_MAX, SeenAction};
#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryActivity;
pub use recorder::{ACTIVITY_KEPT_MINUTES, CacheActivity, FLUSH_SECONDS, INSTANCES_PER_MINUTE_MAX};
pub use store::{ActivityCounts, ActivityMinute, ActivityStore};
pub use window::{ActivityStep, Window};

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;
