//! The outputs of a command that has ended: found beneath the input root, hashed, stored in the CAS. Knows nothing of
//! processes.

mod content;
mod hash;
mod properties;
mod scan;
mod tree;
mod upload;

use std::path::Path;
use std::sync::Arc;

use millrace_proto::digest::DigestFunction;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::{ActionResult, Command};
use tokio_util::sync::CancellationToken;

use super::cas::{Cas, wire};
use super::error::{ActionError, Result};
use super::spool::Spool;
use content::{Content, Contents};
use scan::Scan;

/// The largest standard output or error that is carried in the result itself, in bytes.
pub const STDIO_INLINE_MAX_BYTES: usize = 1_024;

/// What stores outputs; shared by all slots. Cheap to clone.
#[derive(Clone)]
pub struct Outputs {
    cas: Cas,
}

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
    pub fn new(cas: Cas) -> Self {
        Self { cas }
    }

    /// Finds the outputs, stores them, and says what there is. Exit code and metadata are the caller's to add. A small
    /// stdout or stderr is in `stdout_raw` or `stderr_raw` and in no digest; a larger one is in the CAS.
    pub async fn store(&self, finished: Finished<'_>, cancel: &CancellationToken) -> Result<ActionResult> {
        let storing = cancel.run_until_cancelled(self.store_all(finished, cancel)).await;
        storing.unwrap_or(Err(ActionError::Cancelled))
    }

    async fn store_all(&self, finished: Finished<'_>, cancel: &CancellationToken) -> Result<ActionResult> {
        let function = finished.function;
        let (mut result, mut contents) = (ActionResult::default(), Contents::default());
        if Scan::has_outputs(finished.command) {
            let (root, command, cancel) = (finished.root.to_owned(), finished.command.clone(), cancel.clone());
            let scan = move || Scan::new(&root, &command, function, cancel)?.all();
            (result, contents) = blocking(scan).await?;
        }
        match printed(finished.stdout, function).await? {
            Printed::Nothing => {}
            Printed::Little(bytes) => result.stdout_raw = bytes,
            Printed::Much(digest, content) => {
                result.stdout_digest = wire(&digest).into();
                contents.add(digest, content);
            }
        }
        match printed(finished.stderr, function).await? {
            Printed::Nothing => {}
            Printed::Little(bytes) => result.stderr_raw = bytes,
            Printed::Much(digest, content) => {
                result.stderr_digest = wire(&digest).into();
                contents.add(digest, content);
            }
        }
        upload::upload(&self.cas, finished.instance, contents).await?;
        Ok(result)
    }
}

enum Printed {
    Nothing,
    Little(bytes::Bytes),
    Much(millrace_proto::digest::Digest, Content),
}

async fn printed(spool: &Spool, function: DigestFunction) -> Result<Printed> {
    match spool.in_memory() {
        Some(bytes) if bytes.is_empty() => Ok(Printed::Nothing),
        Some(bytes) if bytes.len() <= STDIO_INLINE_MAX_BYTES => Ok(Printed::Little(bytes)),
        Some(bytes) => {
            let digest = millrace_proto::digest::Digest::of(function, &bytes);
            Ok(Printed::Much(digest, Content::Bytes(bytes)))
        }
        None => {
            let path = spool.path().ok_or_else(|| ActionError::Local("what was printed is gone".into()))?.to_owned();
            blocking(move || {
                let hash = || {
                    let file = std::fs::File::open(&path)?;
                    let digest = hash::hash(&file, function)?;
                    Ok(Printed::Much(digest, Content::Open(Arc::new(file))))
                };
                hash().map_err(ActionError::local(path.display()))
            })
            .await
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ActionError::Local(error.to_string()))?
}
