//! What is said between the queue and its runners.

use bytes::Bytes;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::platform_properties::Properties;
use millrace_proto::reapi::ExecuteResponse;

use super::state::Stage;

/// A runner as the registry knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownRunner {
    /// Its identity.
    pub uuid: String,
    /// Its name, for people.
    pub name: String,
    /// What it offers.
    pub properties: Properties,
    /// Heard of lately.
    pub online: bool,
    /// Takes nothing new.
    pub draining: bool,
    /// How many tasks it takes at once.
    pub slots: u32,
}

/// A runner asks for an action.
#[derive(Clone, Debug, Default)]
pub struct ActionClaim {
    /// The runner.
    pub runner_uuid: String,
    /// Its name, for people.
    pub runner_name: String,
    /// What it offers.
    pub properties: Properties,
    /// Made by the agent for this request; empty: none. What was leased under it is given again.
    pub request_id: String,
    /// It fetches inputs ahead: it has no free slot yet.
    pub ahead: bool,
    /// It takes nothing new, only what was leased under the same request before.
    pub draining: bool,
}

/// An action in a runner's hands.
#[derive(Clone, Debug)]
pub struct ActionLease {
    /// The execution.
    pub execution_id: String,
    /// The lease.
    pub epoch: u64,
    /// How long the lease lasts without a word, in milliseconds.
    pub lease_ms: i64,
    /// The instance.
    pub instance: InstanceName,
    /// The digest of the Action.
    pub action: Digest,
    /// The Action message as it is in the CAS.
    pub action_bytes: Bytes,
    /// The Command message as it is in the CAS.
    pub command_bytes: Bytes,
    /// The platform's properties as they count.
    pub properties: Properties,
    /// How long the command may run, in milliseconds.
    pub timeout_ms: u64,
    /// When it was queued, Unix milliseconds.
    pub queued_ms: i64,
    /// The client's tool_invocation_id.
    pub invocation_id: String,
    /// The target or whatever the client says the action is of.
    pub label: String,
    /// The id of the stream of its standard output, below the instance.
    pub stdout_stream_id: String,
    /// The same of its standard error.
    pub stderr_stream_id: String,
    /// It had been given under the same request before.
    pub repeated: bool,
}

/// A runner's word about its action.
#[derive(Clone, Debug, Default)]
pub struct ActionReported {
    /// The execution.
    pub execution_id: String,
    /// The runner, when the caller is one; None: an administrator on an open server.
    pub runner_uuid: Option<String>,
    /// The lease it believes to have; None: not said.
    pub epoch: Option<u64>,
    /// What it is doing; None: a heartbeat.
    pub stage: Option<Stage>,
    /// The end.
    pub response: Option<ExecuteResponse>,
    /// With an end: another runner may try.
    pub give_back: bool,
    /// Bytes of inputs that came over the network; 0: not said.
    pub input_fetched_bytes: u64,
    /// Bytes of inputs that the runner had; 0: not said.
    pub input_cached_bytes: u64,
}

/// What the runner is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportAnswer {
    /// Nobody wants the result any more: the runner kills the command, and reports the end.
    pub cancelled: bool,
    /// The execution is not in this runner's hands any more: it is done, or was given back.
    pub ended: bool,
}
