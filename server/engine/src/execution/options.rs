//! What an operator decides about remote execution.

use millrace_proto::platform_properties::Properties;

/// The longest a command may run when nothing else is configured, in milliseconds.
pub const TIMEOUT_MAX_MS: u64 = 3_600_000;
/// How long a command may run whose action says nothing, in milliseconds.
pub const TIMEOUT_DEFAULT_MS: u64 = 1_200_000;
/// How long an execution waits that no known runner could run, in milliseconds.
pub const UNMATCHED_WAIT_MS: i64 = 10_000;
/// How long an operation is kept that nobody watches any more, in milliseconds.
pub const CLIENT_GRACE_MS: i64 = 60_000;
/// How long a runner may be silent before its action is given to another, in milliseconds.
pub const LEASE_MS: i64 = 45_000;
/// How many runners may lose an execution before it fails.
pub const LOST_MAX: u32 = 3;
/// How many executions may be queued or running.
pub const EXECUTIONS_MAX: usize = 1_000_000;

/// The options, with defaults that suit most.
#[derive(Clone, Debug)]
pub struct ExecutionOptions {
    /// How long a command may run whose action says nothing, in milliseconds.
    pub timeout_default_ms: u64,
    /// The longest timeout an action may ask for, in milliseconds.
    pub timeout_max_ms: u64,
    /// How long an execution waits that no known runner could run, in milliseconds.
    pub unmatched_wait_ms: i64,
    /// How long an operation is kept that nobody watches any more, in milliseconds.
    pub client_grace_ms: i64,
    /// How long a runner may be silent, in milliseconds.
    pub lease_ms: i64,
    /// How many runners may lose an execution and it is given to another all the same.
    pub lost_max: u32,
    /// What becomes of properties that nobody offers in any value.
    pub unknown_properties: UnknownProperties,
    /// Platform queues that are there whether or not a runner is, in the order in which they are tried.
    pub platforms: Vec<ConfiguredPlatform>,
    /// How many executions may be queued or running.
    pub executions_max: usize,
}

/// What becomes of a property that an action asks for and that nobody offers in any value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownProperties {
    /// It is matched like all others: nobody can run the action.
    #[default]
    Reject,
    /// It is as if it was not asked for.
    Ignore,
}

/// A platform queue that an operator has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredPlatform {
    /// Its name.
    pub name: String,
    /// What it offers.
    pub properties: Properties,
}

impl Default for ExecutionOptions {
    fn default() -> Self {
        Self {
            timeout_default_ms: TIMEOUT_DEFAULT_MS,
            timeout_max_ms: TIMEOUT_MAX_MS,
            unmatched_wait_ms: UNMATCHED_WAIT_MS,
            client_grace_ms: CLIENT_GRACE_MS,
            lease_ms: LEASE_MS,
            lost_max: LOST_MAX,
            unknown_properties: UnknownProperties::default(),
            platforms: Vec::new(),
            executions_max: EXECUTIONS_MAX,
        }
    }
}
