//! The action cache.

use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::ActionResult;

use super::activity::CacheActivity;
use crate::blobs::{BlobRoom, EntryStore};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The largest result, in bytes: it has to fit in a message of 4 MiB.
pub const ACTION_RESULT_MAX_BYTES: usize = 4 * 1024 * 1024 - 64 * 1024;

/// What an operator decides.
#[derive(Clone, Debug, Default)]
pub struct ActionCacheOptions {
    /// A result that names blobs which are not here is refused when it is stored, instead of being a miss later.
    pub check_outputs_on_update: bool,
}

/// Which contents a client would like to have in the answer.
#[derive(Clone, Debug, Default)]
pub struct Inline {
    /// The standard output.
    pub stdout: bool,
    /// The standard error.
    pub stderr: bool,
    /// Output files, by their paths in the result.
    pub output_files: Vec<String>,
}

/// What a client said about the call (RequestMetadata), for people.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// `action_mnemonic`.
    pub mnemonic: String,
    /// `target_id`.
    pub target: String,
}

/// Results of actions.
pub struct ActionCache {
    #[expect(dead_code)]
    entries: Arc<dyn EntryStore>,
}

impl ActionCache {
    /// A cache whose results are entries and whose outputs are in the room.
    pub fn new(
        entries: Arc<dyn EntryStore>,
        _room: Arc<BlobRoom>,
        _activity: Arc<CacheActivity>,
        _clock: Arc<dyn Clock>,
        _options: ActionCacheOptions,
    ) -> Self {
        Self { entries }
    }

    /// The result of an action, if it is known and all it names is here; that is a use of all of it. The size of the
    /// action's digest does not matter.
    pub async fn get(
        &self,
        _instance: &InstanceName,
        _action: &Digest,
        _inline: &Inline,
        _origin: Origin,
    ) -> Result<Option<ActionResult>> {
        Err(Error::Unavailable("the action cache is being built".into()))
    }

    /// The same as it was stored.
    pub async fn get_bytes(
        &self,
        _instance: &InstanceName,
        _action: &Digest,
        _origin: Origin,
    ) -> Result<Option<Bytes>> {
        Err(Error::Unavailable("the action cache is being built".into()))
    }

    /// Stores a result, durable when this returns; gives it back as a later `get` without anything inline would.
    pub async fn update(
        &self,
        _instance: &InstanceName,
        _action: &Digest,
        _result: ActionResult,
        _origin: Origin,
    ) -> Result<ActionResult> {
        Err(Error::Unavailable("the action cache is being built".into()))
    }

    /// The same for a result as bytes, which are kept as they are.
    pub async fn update_bytes(
        &self,
        _instance: &InstanceName,
        _action: &Digest,
        _result: Bytes,
        _origin: Origin,
    ) -> Result<()> {
        Err(Error::Unavailable("the action cache is being built".into()))
    }
}
