//! What an execution is of: fixed when it is made.

use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::platform_properties::Properties;

/// What an execution is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The instance.
    pub instance: InstanceName,
    /// The digest of the Action.
    pub action: Digest,
    /// The digest of the Command.
    pub command: Digest,
    /// What it asks for.
    pub properties: Properties,
    /// How long the command may run, in milliseconds.
    pub timeout_ms: u64,
    /// Neither cached nor merged.
    pub do_not_cache: bool,
    /// The first client's tool_invocation_id.
    pub invocation_id: String,
    /// The first client's target_id.
    pub target: String,
    /// The first client's action_mnemonic.
    pub mnemonic: String,
    /// The first words of the command, for people.
    pub command_line: String,
    /// When it was made, Unix milliseconds.
    pub queued_ms: i64,
}
