//! Inputs and outputs of actions against a CAS in memory, on a real disk.

mod cache;
#[path = "../../tests/it/fake_cas.rs"]
mod fake_cas;
mod inputs;
mod outputs;
mod transfer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use buffa::Message as _;
use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::{ActionResult, Command, Directory, DirectoryNode, FileNode, SymlinkNode};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use self::fake_cas::FakeCas;
use super::cas::{Cas, wire};
use super::error::{ActionError, Result};
use super::inputs::{Inputs, Laid};
use super::outputs::{Finished, Outputs};
use super::spool::Spool;
use crate::transport::Transport;

const CACHE_MAX_BYTES: u64 = 100 * 1024 * 1024;
const SHA256: DigestFunction = DigestFunction::Sha256;

/// A CAS and a runner's disk.
struct Room {
    server: FakeCas,
    disk: TempDir,
    cas: Cas,
    inputs: Inputs,
    function: DigestFunction,
}

impl Room {
    async fn new() -> Self {
        Self::with(SHA256, CACHE_MAX_BYTES).await
    }

    async fn with(function: DigestFunction, max_bytes: u64) -> Self {
        let server = FakeCas::start().await;
        let disk = tempfile::tempdir().expect("a folder");
        let cas = Cas::new(server.url(), Transport::new().expect("a client"), "token").expect("a CAS");
        let cas = cas.with_patience(Duration::from_secs(10));
        let inputs = Inputs::open(&disk.path().join("cache"), max_bytes, cas.clone()).await.expect("a cache");
        Self { server, disk, cas, inputs, function }
    }

    /// The same disk after the runner has ended and begun again.
    async fn restart(&mut self, clean: bool) {
        let other = self.disk.path().join("other");
        self.inputs = Inputs::open(&other, 0, self.cas.clone()).await.expect("another cache");
        let cache = self.disk.path().join("cache");
        if !clean {
            std::fs::remove_file(cache.join("clean")).expect("noted a clean end");
        }
        self.inputs = Inputs::open(&cache, CACHE_MAX_BYTES, self.cas.clone()).await.expect("a cache");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    fn blob(&self, content: impl Into<Bytes>) -> Digest {
        self.server.put(self.function, content)
    }

    fn file(&self, name: &str, content: impl Into<Bytes>) -> FileNode {
        FileNode { name: name.into(), digest: wire(&self.blob(content)).into(), ..Default::default() }
    }

    fn directory(&self, directory: &Directory) -> Digest {
        self.blob(directory.encode_to_vec())
    }

    /// A folder of these files alone.
    fn files(&self, files: &[(&str, &str)]) -> Digest {
        let files = files.iter().map(|(name, content)| self.file(name, content.as_bytes().to_vec())).collect();
        self.directory(&Directory { files, ..Default::default() })
    }

    async fn lay(&self, root: Digest, into: &str) -> Result<Laid> {
        self.lay_for(root, &Command::default(), into).await
    }

    async fn lay_for(&self, root: Digest, command: &Command, into: &str) -> Result<Laid> {
        let (instance, cancel) = (InstanceName::default(), CancellationToken::new());
        self.inputs.materialise(&instance, root, command, &self.path(into), &cancel).await
    }

    /// Stores what is in the folder `out`.
    async fn store(&self, command: &Command) -> Result<ActionResult> {
        self.store_printed(command, b"", b"").await
    }

    async fn store_printed(&self, command: &Command, out: &[u8], error: &[u8]) -> Result<ActionResult> {
        let (stdout, stderr) = (Spool::new(self.path("stdout")), Spool::new(self.path("stderr")));
        stdout.push(out).await.expect("is kept");
        stderr.push(error).await.expect("is kept");
        let root = self.path("out");
        let finished = Finished {
            root: &root,
            command,
            instance: &InstanceName::parse("some/project").expect("a name"),
            function: self.function,
            stdout: &stdout,
            stderr: &stderr,
        };
        Outputs::new(self.cas.clone()).store(finished, &CancellationToken::new()).await
    }
}

fn link(name: &str, target: &str) -> SymlinkNode {
    SymlinkNode { name: name.into(), target: target.into(), ..Default::default() }
}

fn child(name: &str, digest: &Digest) -> DirectoryNode {
    DirectoryNode { name: name.into(), digest: wire(digest).into(), ..Default::default() }
}

fn command(paths: &[&str]) -> Command {
    Command { output_paths: paths.iter().map(ToString::to_string).collect(), ..Default::default() }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("can be read")
}

/// What a message says, of one of these errors.
fn invalid<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    match outcome {
        Err(error @ ActionError::Invalid { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}
