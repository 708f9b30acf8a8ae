//! The inputs of actions: a folder laid out as the input root says. Knows nothing of processes.

use std::path::Path;

use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::Command;
use tokio_util::sync::CancellationToken;

use super::cas::Cas;
use super::error::{ActionError, Result};

/// What lays out inputs; shared by all slots. Cheap to clone.
#[derive(Clone)]
pub struct Inputs;

/// Inputs that are laid out. The files' cached copies stay while this lives: keep it until the command has ended and
/// [`Inputs::check_untouched`] has looked.
#[derive(Debug, Default)]
pub struct Laid {
    /// Bytes of inputs that came over the network.
    pub fetched_bytes: u64,
    /// Bytes of inputs that were here.
    pub cached_bytes: u64,
}

impl Inputs {
    /// Opens the cache of input files in a folder of its own; at most `max_bytes` are kept there.
    pub async fn open(_folder: &Path, _max_bytes: u64, _cas: Cas) -> Result<Self> {
        Ok(Self)
    }

    /// Lays the tree of `root` out in the folder `into`, which is made if it is not there, and the parents of the
    /// command's outputs and its working directory.
    pub async fn materialise(
        &self,
        _instance: &InstanceName,
        _root: Digest,
        _command: &Command,
        _into: &Path,
        _cancel: &CancellationToken,
    ) -> Result<Laid> {
        Err(ActionError::Local("inputs cannot be laid out yet".into()))
    }

    /// Whether the command left its inputs as they were. Whatever it changed is not used for another action.
    pub async fn check_untouched(&self, _laid: &Laid) -> Result<()> {
        Ok(())
    }
}
