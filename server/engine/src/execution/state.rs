//! How executions and their operations stand, as doors show them.

use std::sync::Arc;

use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::platform_properties::Properties;
use millrace_proto::reapi::ExecuteResponse;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where an execution stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Waits for a runner.
    #[default]
    Queued,
    /// A runner fetches its inputs, or has them and waits for a free slot.
    InputFetch,
    /// Its command runs.
    Executing,
    /// Its outputs are being stored.
    OutputUpload,
    /// Done.
    Done,
}

/// One of the two outputs of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// An operation: one Execute's view of an execution.
#[derive(Clone, Debug)]
pub struct OperationState {
    /// The full name: `{instance}/operations/{id}`.
    pub name: String,
    /// The last segment of the name.
    pub id: String,
    /// The instance.
    pub instance: InstanceName,
    /// The digest of the Action.
    pub action: Digest,
    /// The execution behind it; empty: it was answered from the action cache.
    pub execution_id: String,
    /// Where it stands; done exactly when there is a response.
    pub stage: Stage,
    /// The read name of the stream of standard output; empty while no runner has it.
    pub stdout_stream_name: String,
    /// The same of standard error.
    pub stderr_stream_name: String,
    /// When it was queued, Unix milliseconds.
    pub queued_ms: i64,
    /// When a runner took it, Unix milliseconds.
    pub claimed_ms: Option<i64>,
    /// When its command started, Unix milliseconds.
    pub started_ms: Option<i64>,
    /// When it was done, Unix milliseconds.
    pub finished_ms: Option<i64>,
    /// Why it waits, for people.
    pub message: String,
    /// The end.
    pub response: Option<Arc<ExecuteResponse>>,
}

/// An execution, for administrators and pages.
#[derive(Clone, Debug, Default)]
pub struct ExecutionState {
    /// Its id; a UUID whose order is that of making.
    pub id: String,
    /// The instance.
    pub instance: InstanceName,
    /// The digest of the Action.
    pub action: Option<Digest>,
    /// Where it stands.
    pub stage: Stage,
    /// What it asks for.
    pub properties: Properties,
    /// The name of the platform queue it is in; empty: none satisfies it.
    pub platform: String,
    /// Lower is more important.
    pub priority: i32,
    /// The names of its operations.
    pub operations: Vec<String>,
    /// The first client's tool_invocation_id.
    pub invocation_id: String,
    /// The first client's target_id.
    pub target: String,
    /// The first client's action_mnemonic.
    pub mnemonic: String,
    /// The first words of the command.
    pub command: String,
    /// The runner that has it, or had it last.
    pub runner_uuid: String,
    /// Its name.
    pub runner_name: String,
    /// The runners that lost it.
    pub lost: u32,
    /// The lease; 0: no runner has had it.
    pub epoch: u64,
    /// When it was queued, Unix milliseconds.
    pub queued_ms: i64,
    /// When a runner took it, Unix milliseconds.
    pub claimed_ms: Option<i64>,
    /// When its command started, Unix milliseconds.
    pub started_ms: Option<i64>,
    /// When it was done, Unix milliseconds.
    pub finished_ms: Option<i64>,
    /// The google.rpc.Code of its end.
    pub status_code: i32,
    /// What went wrong, or why it waits.
    pub message: String,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// Neither cached nor merged.
    pub do_not_cache: bool,
    /// Bytes of inputs that the runner had to fetch.
    pub input_fetched_bytes: u64,
    /// Bytes of inputs that the runner had already.
    pub input_cached_bytes: u64,
    /// The end.
    pub response: Option<Arc<ExecuteResponse>>,
}

impl ExecutionState {
    /// The id of the log stream of an output, below the instance; None: no runner has had it.
    pub fn stream_id(&self, stream: Stream) -> Option<String> {
        (self.epoch > 0).then(|| stream_id(&self.id, self.epoch, stream))
    }
}

/// Which operations to list: newest first.
#[derive(Clone, Debug, Default)]
pub struct OperationQuery {
    /// Only of this instance; None: all.
    pub instance: Option<InstanceName>,
    /// Only those that are done, or that are not.
    pub done: Option<bool>,
    /// Only in these stages; empty: all.
    pub stages: Vec<Stage>,
    /// Only of this action, by its hash in hex; empty: all.
    pub action_hash: String,
    /// Only of this tool_invocation_id; empty: all.
    pub invocation_id: String,
    /// At most so many; 0: as many as a page may have.
    pub page_size: usize,
    /// From an earlier page; empty: the first.
    pub page_token: String,
}

/// Which executions to list: newest first.
#[derive(Clone, Debug, Default)]
pub struct ExecutionQuery {
    /// Only of this instance; None: all.
    pub instance: Option<InstanceName>,
    /// Only of this action, by its hash in hex; empty: all.
    pub action_hash: String,
    /// Only of this tool_invocation_id; empty: all.
    pub invocation_id: String,
    /// Only in these stages; empty: all.
    pub stages: Vec<Stage>,
    /// At most so many; 0: as many as a page may have.
    pub page_size: usize,
    /// From an earlier page; empty: the first.
    pub page_token: String,
}

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// Where the next one begins; empty: there is none.
    pub next_page_token: String,
}

/// `{instance}/operations/{id}`; an empty instance drops its slash.
pub fn operation_name(instance: &InstanceName, id: &str) -> String {
    below(instance, "operations", id)
}

/// The id of an execution's operation: a UUID, and for those who joined it a dot and their number. The execution is in
/// it, so that no table of operations is needed.
pub(super) fn operation_id(execution: Uuid, number: u32) -> String {
    if number == 0 { execution.to_string() } else { format!("{execution}.{number}") }
}

/// The execution and the number of an operation's id; None: that is no operation's id.
pub(super) fn parse_operation_id(id: &str) -> Option<(Uuid, u32)> {
    let (execution, number) = match id.split_once('.') {
        Some((execution, number)) => (execution, number.parse().ok().filter(|number| *number > 0)?),
        None => (id, 0),
    };
    // One spelling only.
    let parsed = Uuid::try_parse(execution).ok()?;
    (operation_id(parsed, number) == id).then_some((parsed, number))
}

/// `{instance}/logstreams/{id}`; an empty instance drops its slash.
pub(super) fn stream_name(instance: &InstanceName, id: &str) -> String {
    below(instance, "logstreams", id)
}

/// Each lease has streams of its own: what a lost runner wrote is not mixed with the next one's.
pub(super) fn stream_id(execution_id: &str, epoch: u64, stream: Stream) -> String {
    let name = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    format!("{execution_id}.{epoch}.{name}")
}

fn below(instance: &InstanceName, kind: &str, id: &str) -> String {
    if instance.is_empty() { format!("{kind}/{id}") } else { format!("{instance}/{kind}/{id}") }
}
