//! Finds the outputs of a command and hashes them, all beneath the input root. Runs on a thread that may block; knows
//! nothing of the network.

use std::io::{self, ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::reapi::command::OutputDirectoryFormat;
use millrace_proto::reapi::{ActionResult, Command, NodeProperties, OutputDirectory, OutputFile, OutputSymlink};
use tokio_util::sync::CancellationToken;

use super::content::{Content, Contents, Output};
use super::properties::{self, Wanted};
use super::{hash, tree};
use crate::action::cas::wire;
use crate::action::error::{ActionError, Result};
use crate::action::output_paths::{self, OutputPath};

/// Files up to this are kept in memory from when they are hashed until they are uploaded.
const HELD_FILE_MAX_BYTES: u64 = 512 * 1024;
/// How much of one action's outputs is kept so.
const HELD_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// A search for outputs.
pub struct Scan {
    root: Arc<Dir>,
    outputs: Vec<OutputPath>,
    format: OutputDirectoryFormat,
    /// The function of all digests.
    pub function: DigestFunction,
    /// Which properties are asked for.
    pub wanted: Wanted,
    /// Nobody wants the outputs any more.
    pub cancel: CancellationToken,
    /// What was found so far.
    pub contents: Contents,
    held_bytes: u64,
}

/// A file that was hashed.
pub struct Hashed {
    /// Its content.
    pub digest: Digest,
    /// Whether it can be run.
    pub is_executable: bool,
    /// What else is asked for.
    pub properties: Option<NodeProperties>,
}

impl Scan {
    /// Whether a command names any outputs.
    pub fn has_outputs(command: &Command) -> bool {
        !(command.output_paths.is_empty() && command.output_files.is_empty() && command.output_directories.is_empty())
    }

    /// A search beneath the input root.
    pub fn new(root: &Path, command: &Command, function: DigestFunction, cancel: CancellationToken) -> Result<Self> {
        let opened = Dir::open_ambient_dir(root, ambient_authority()).map_err(ActionError::local(root.display()))?;
        let format = command.output_directory_format.to_i32();
        let format = [
            OutputDirectoryFormat::TREE_ONLY,
            OutputDirectoryFormat::DIRECTORY_ONLY,
            OutputDirectoryFormat::TREE_AND_DIRECTORY,
        ]
        .into_iter()
        .find(|known| *known as i32 == format)
        .ok_or_else(|| ActionError::invalid("command.output_directory_format", format!("{format} is not known")))?;
        Ok(Self {
            root: Arc::new(opened),
            outputs: output_paths::outputs(command)?,
            format,
            function,
            wanted: Wanted::of(command),
            cancel,
            contents: Contents::default(),
            held_bytes: 0,
        })
    }

    /// Looks for all outputs.
    pub fn all(mut self) -> Result<(ActionResult, Contents)> {
        let mut result = ActionResult::default();
        for output in std::mem::take(&mut self.outputs) {
            self.output(output, &mut result)?;
        }
        Ok((result, self.contents))
    }

    /// Hashes a file of a folder; `path` is where it is beneath the root.
    pub fn file(&mut self, folder: &Dir, name: &str, path: &str) -> Result<Hashed> {
        if self.cancel.is_cancelled() {
            return Err(ActionError::Cancelled);
        }
        let refused = |error: io::Error| refused(path, &error);
        let (file, before) = hash::open(folder, name).map_err(refused)?;
        let file = cap_std::fs::File::from_std(file);
        let metadata = file.metadata().map_err(refused)?;
        let len = metadata.len();
        let digest = if len <= HELD_FILE_MAX_BYTES && self.held_bytes + len <= HELD_MAX_BYTES {
            let mut content = Vec::with_capacity(len as usize + 1);
            (&file).take(len + 1).read_to_end(&mut content).map_err(refused)?;
            let digest = Digest::of(self.function, &content);
            self.held_bytes += len;
            self.contents.add(digest, Content::Bytes(Bytes::from(content)));
            digest
        } else {
            let std_file = file.try_clone().map_err(refused)?.into_std();
            let digest = hash::hash(&std_file, self.function).map_err(refused)?;
            let output = Output { root: Arc::clone(&self.root), path: path.to_owned(), stamp: before };
            self.contents.add(digest, Content::Output(Arc::new(output)));
            digest
        };
        let after = file.metadata().map_err(refused)?;
        if digest.size() != len || super::content::Stamp::of(&after) != before {
            return Err(ActionError::OutputChanged { path: path.to_owned() });
        }
        let is_executable = properties::is_executable(&metadata, name);
        Ok(Hashed { digest, is_executable, properties: self.wanted.read(&metadata) })
    }

    fn output(&mut self, output: OutputPath, result: &mut ActionResult) -> Result<()> {
        let root = Arc::clone(&self.root);
        if output.path.is_empty() {
            return self.directory(output, result);
        }
        let metadata = match root.symlink_metadata(&output.path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
            Err(error) => return Err(refused(&output.path, &error)),
        };
        let kind = metadata.file_type();
        if kind.is_dir() {
            self.directory(output, result)
        } else if kind.is_symlink() {
            self.symlink(output, &metadata, result)
        } else if kind.is_file() {
            let hashed = self.file(&root, &output.path, &output.path)?;
            result.output_files.push(OutputFile {
                path: output.asked,
                digest: wire(&hashed.digest).into(),
                is_executable: hashed.is_executable,
                node_properties: hashed.properties.into(),
                ..Default::default()
            });
            Ok(())
        } else {
            Err(special(&output.path, &metadata))
        }
    }

    /// In the field for all symlinks, and in the older one for its kind.
    fn symlink(&mut self, output: OutputPath, metadata: &Metadata, result: &mut ActionResult) -> Result<()> {
        let target = link_target(&self.root, &output.path, &output.path)?;
        let to_directory = match self.root.metadata(&output.path) {
            Ok(target) => target.is_dir(),
            // It points to nothing, or out of the input root.
            Err(_) => output.directory,
        };
        let node_properties = self.wanted.read(metadata).into();
        let link = OutputSymlink { path: output.asked, target, node_properties, ..Default::default() };
        let older = if to_directory { &mut result.output_directory_symlinks } else { &mut result.output_file_symlinks };
        older.push(link.clone());
        result.output_symlinks.push(link);
        Ok(())
    }

    fn directory(&mut self, output: OutputPath, result: &mut ActionResult) -> Result<()> {
        let place = if output.path.is_empty() { "." } else { &output.path };
        let folder = self.root.open_dir(place).map_err(|error| refused(place, &error))?;
        let found = tree::scan(self, &folder, &output.path)?;
        let mut directory =
            OutputDirectory { path: output.asked, is_topologically_sorted: true, ..OutputDirectory::default() };
        if self.format != OutputDirectoryFormat::DIRECTORY_ONLY {
            let message = found.tree(&output.path)?;
            let digest = Digest::of(self.function, &message);
            self.contents.add(digest, Content::Bytes(message));
            directory.tree_digest = wire(&digest).into();
        }
        if self.format != OutputDirectoryFormat::TREE_ONLY {
            directory.root_directory_digest = wire(&found.root).into();
            for (digest, message) in found.messages {
                self.contents.add(digest, Content::Bytes(message));
            }
        }
        result.output_directories.push(directory);
        Ok(())
    }
}

/// Where a symlink points, with slashes.
pub fn link_target(folder: &Dir, name: &str, path: &str) -> Result<String> {
    let target = folder.read_link_contents(name).map_err(|error| refused(path, &error))?;
    let target = target.into_os_string().into_string().map_err(|_| ActionError::OutputRefused {
        path: path.to_owned(),
        message: "the symlink's target is not UTF-8".into(),
    })?;
    Ok(if cfg!(windows) { target.replace('\\', "/") } else { target })
}

/// A pipe, socket or device.
pub fn special(path: &str, metadata: &Metadata) -> ActionError {
    let message = format!("{}; outputs are files, directories and symlinks", kind(metadata));
    ActionError::OutputRefused { path: path.to_owned(), message }
}

/// An output that cannot be read.
pub fn refused(path: &str, error: &io::Error) -> ActionError {
    let refuse = |message: String| ActionError::OutputRefused { path: path.to_owned(), message };
    match error.kind() {
        // It was there a moment ago.
        ErrorKind::NotFound => ActionError::OutputChanged { path: path.to_owned() },
        // Not the system's word, but that of who keeps to the input root.
        ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
            refuse("a symlink on the way to this output leads out of the input root".into())
        }
        ErrorKind::PermissionDenied | ErrorKind::NotADirectory => {
            refuse(format!("this output cannot be read: {error}"))
        }
        _ if error.raw_os_error().is_none() || is_loop(error) => refuse(format!("this output cannot be read: {error}")),
        // This machine's fault: a bad disk, too many open files.
        _ => ActionError::Local(format!("{path}: {error}")),
    }
}

/// Whether symlinks lead in a circle, or one stands where a file was.
#[cfg(unix)]
fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// Windows has no error for that alone.
#[cfg(windows)]
fn is_loop(_error: &io::Error) -> bool {
    false
}

#[cfg(unix)]
fn kind(metadata: &Metadata) -> &'static str {
    use cap_std::fs::FileTypeExt as _;
    let kind = metadata.file_type();
    if kind.is_fifo() {
        "it is a pipe"
    } else if kind.is_socket() {
        "it is a socket"
    } else {
        "it is a device"
    }
}

#[cfg(windows)]
fn kind(_metadata: &Metadata) -> &'static str {
    "it is neither a file nor a directory nor a symlink"
}
