//! What a client asks for with Execute.

use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;

use crate::actions::Inline;

/// One Execute.
#[derive(Clone, Debug)]
pub struct ExecuteAsk {
    /// The instance.
    pub instance: InstanceName,
    /// The digest of the Action.
    pub action: Digest,
    /// The action cache is not read.
    pub skip_cache_lookup: bool,
    /// `execution_policy.priority`: lower is more important.
    pub priority: i32,
    /// What the client would like to have in the response.
    pub inline: Inline,
    /// What it said about itself.
    pub metadata: ClientMetadata,
}

/// What a client says about a call (RequestMetadata).
#[derive(Clone, Debug, Default)]
pub struct ClientMetadata {
    /// `tool_invocation_id`: executions are fair among these.
    pub invocation_id: String,
    /// `target_id`.
    pub target: String,
    /// `action_mnemonic`.
    pub mnemonic: String,
    /// `tool_details`: name and version.
    pub tool: String,
}
