//! The queue at a moment, for its page.

use millrace_proto::platform_properties::{Mismatch, Properties};

/// Everything that waits or runs.
#[derive(Clone, Debug, Default)]
pub struct QueueSnapshot {
    /// Unix milliseconds.
    pub time_ms: i64,
    /// In the order in which they are tried.
    pub platforms: Vec<PlatformSnapshot>,
    /// What no platform queue satisfies.
    pub unmatched: Vec<WaitingSnapshot>,
    /// How many wait.
    pub queued: u64,
    /// How many runners have.
    pub executing: u64,
    /// Finished within the last minute.
    pub finished_last_minute: u64,
    /// Answered from the action cache within the last minute.
    pub cached_last_minute: u64,
    /// How long an execution that nobody could run is kept, in milliseconds.
    pub unmatched_wait_ms: i64,
}

/// A platform queue.
#[derive(Clone, Debug, Default)]
pub struct PlatformSnapshot {
    /// Its name.
    pub name: String,
    /// What it offers.
    pub properties: Properties,
    /// Named by the configuration.
    pub configured: bool,
    /// Its runners.
    pub runners: Vec<RunnerSnapshot>,
    /// How many wait.
    pub queued: u64,
    /// How many its runners have.
    pub executing: u64,
    /// Since when the oldest waits, Unix milliseconds.
    pub oldest_queued_ms: Option<i64>,
    /// What waits, by what it asks for; at most [`super::WAITING_GROUPS_MAX`].
    pub waiting: Vec<WaitingSnapshot>,
}

/// A runner as the queue sees it.
#[derive(Clone, Debug, Default)]
pub struct RunnerSnapshot {
    /// The runner.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// Heard of lately.
    pub online: bool,
    /// Takes nothing new.
    pub draining: bool,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// How many executions it has.
    pub executing: u32,
}

/// Executions that ask for the same.
#[derive(Clone, Debug, Default)]
pub struct WaitingSnapshot {
    /// What they ask for.
    pub properties: Properties,
    /// How many wait.
    pub queued: u64,
    /// Since when the oldest waits, Unix milliseconds.
    pub oldest_queued_ms: Option<i64>,
    /// Of what no platform queue satisfies: what each is short of, the nearest first.
    pub mismatches: Vec<PlatformMismatch>,
}

/// Why a platform queue can't take something.
#[derive(Clone, Debug, Default)]
pub struct PlatformMismatch {
    /// The platform queue.
    pub platform: String,
    /// What doesn't fit.
    pub properties: Vec<Mismatch>,
}
