//! How much of a build is taken and shown. What is beyond the limits of a document is counted, cut or left out, and the
//! document says so; what is beyond those of a stream is refused.

/// The longest id of a build or an invocation, in bytes: it is part of a log's id.
pub const ID_MAX_BYTES: usize = 128;
/// The largest event, in bytes.
pub const EVENT_MAX_BYTES: usize = 16 * 1024 * 1024;
/// The most events that are stored together.
pub const PUBLICATION_MAX_EVENTS: usize = 512;
/// With this much gathered, events are stored, in bytes.
pub const PUBLICATION_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most events of an invocation.
pub const INVOCATION_EVENTS_MAX: i64 = 1_000_000;
/// The most bytes of an invocation's events together.
pub const INVOCATION_EVENTS_MAX_BYTES: i64 = 1024 * 1024 * 1024;
/// The most targets of an invocation that are listed; more are counted.
pub const INVOCATION_TARGETS_MAX: usize = 50_000;
/// The most bytes of what a build printed that are kept.
pub const CONSOLE_MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// The longest text of one field, in bytes.
pub(super) const TEXT_MAX_BYTES: usize = 4 * 1024;
/// The longest content of a file that an event carries, in bytes.
pub(super) const FILE_TEXT_MAX_BYTES: usize = 64 * 1024;
/// The most words of a command line.
pub(super) const WORDS_MAX: usize = 1_000;
/// The most target patterns.
pub(super) const PATTERNS_MAX: usize = 200;
/// The most lines of a workspace status, and of metadata.
pub(super) const PAIRS_MAX: usize = 200;
/// The most configurations.
pub(super) const CONFIGURATIONS_MAX: usize = 100;
/// The most failed actions.
pub(super) const FAILED_ACTIONS_MAX: usize = 100;
/// The most things that did not come.
pub(super) const ABORTED_MAX: usize = 100;
/// The most mnemonics.
pub(super) const MNEMONICS_MAX: usize = 100;
/// The most ways of running an action.
pub(super) const RUNNERS_MAX: usize = 50;
/// The most logs of the build tool.
pub(super) const TOOL_LOGS_MAX: usize = 50;
/// The most lifecycle events.
pub(super) const LIFECYCLE_MAX: usize = 50;
/// The most keywords.
pub(super) const KEYWORDS_MAX: usize = 50;
/// The most steps of a critical path.
pub(super) const CRITICAL_PATH_MAX: usize = 100;
/// The most outputs of a target.
pub(super) const TARGET_OUTPUTS_MAX: usize = 100;
/// The most tags of a target.
pub(super) const TAGS_MAX: usize = 50;
/// The most attempts at a test.
pub(super) const ATTEMPTS_MAX: usize = 200;
/// The most files of an attempt.
pub(super) const ATTEMPT_OUTPUTS_MAX: usize = 50;
/// The most files of an invocation that are remembered until a target names them.
pub(super) const SET_FILES_MAX: usize = 100_000;
/// The most sets of files that are looked into for one target.
pub(super) const SETS_VISITED_MAX: usize = 1_000;
/// The most notes on what was left out.
pub(super) const TRUNCATED_MAX: usize = 20;

/// What an operator, or a test, may set.
#[derive(Clone, Copy, Debug)]
pub struct InvocationLimits {
    /// So long after its last stream broke off an invocation counts as disconnected, in milliseconds.
    pub disconnected_after_ms: i64,
    /// Invocations are forgotten when nothing of them came for so long, in milliseconds.
    pub kept_ms: i64,
    /// The most invocations that are kept; the oldest are forgotten first.
    pub kept_max: u32,
}

impl Default for InvocationLimits {
    fn default() -> Self {
        Self { disconnected_after_ms: 60_000, kept_ms: 30 * 24 * 3_600_000, kept_max: 2_000 }
    }
}
