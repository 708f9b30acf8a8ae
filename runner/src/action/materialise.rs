//! A tree of Directory messages laid out as a folder: files are links into the cache, everything else is made. Nothing
//! is written through a symlink. Knows nothing of the network; runs on a thread that may block.

pub mod properties;

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use millrace_proto::reapi::Command;
use tokio_util::sync::CancellationToken;

use super::directories::{File, Folder, Link, Properties, Tree};
use super::error::{ActionError, Result};
use super::file_cache::{FileCache, Key, Linked};
use super::output_paths;

/// Why a tree is not there.
#[derive(Debug)]
pub enum Failed {
    /// A file is not in the cache any more: somebody cleans up there. Fetch it again.
    Vanished(Key),
    /// It will not be.
    Action(ActionError),
}

impl From<ActionError> for Failed {
    fn from(error: ActionError) -> Self {
        Self::Action(error)
    }
}

/// Lays a tree out in a folder, which is made if need be, and makes what the command expects beside its inputs: its
/// working directory, and the parents of its outputs.
pub fn lay(
    tree: &Tree,
    cache: &FileCache,
    command: &Command,
    into: &Path,
    cancel: &CancellationToken,
) -> std::result::Result<(), Failed> {
    let parents = parents(command)?;
    let open = || {
        std::fs::create_dir_all(into)?;
        Dir::open_ambient_dir(into, ambient_authority())
    };
    let root = open().map_err(ActionError::local(into.display()))?;
    let mut laying = Laying { tree, cache, into, cancel, folders: Vec::new() };
    laying.folder(tree.root(), &root, &mut String::new())?;
    for parent in parents {
        root.create_dir_all(&parent).map_err(|error| no_parent(&parent, &error))?;
    }
    // A folder's time changes with what is made in it, and its mode may forbid that: the inner ones first, at the end.
    for (path, properties) in laying.folders.iter().rev() {
        properties::apply(path, properties).map_err(ActionError::local(path.display()))?;
    }
    Ok(())
}

/// What has to be there for the command, from the input root.
fn parents(command: &Command) -> Result<HashSet<String>> {
    let mut parents = HashSet::from([output_paths::working_directory(command)?]);
    for output in output_paths::outputs(command)? {
        if let Some((parent, _)) = output.path.rsplit_once('/') {
            parents.insert(parent.to_owned());
        }
    }
    parents.remove("");
    Ok(parents)
}

fn no_parent(parent: &str, error: &io::Error) -> ActionError {
    let why = match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => "an input that is no directory stands there".into(),
        ErrorKind::PermissionDenied => format!("a symlink among the inputs leads out of the input root ({error})"),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => return ActionError::Local(format!("{parent}: {error}")),
        _ => error.to_string(),
    };
    ActionError::invalid("command", format!("the directory {parent:?} cannot be made: {why}"))
}

struct Laying<'a> {
    tree: &'a Tree,
    cache: &'a FileCache,
    into: &'a Path,
    cancel: &'a CancellationToken,
    /// Folders with properties, outer ones first.
    folders: Vec<(PathBuf, Properties)>,
}

impl Laying<'_> {
    /// `path` is where `into` is, from the root, with a slash at its end unless it is empty. The tree's depth is bounded.
    fn folder(&mut self, folder: &Folder, into: &Dir, path: &mut String) -> std::result::Result<(), Failed> {
        if self.cancel.is_cancelled() {
            return Err(ActionError::Cancelled.into());
        }
        if folder.properties != Properties::default() {
            self.folders.push((self.into.join(path.as_str()), folder.properties));
        }
        for file in &folder.files {
            self.file(file, into, path)?;
        }
        for link in &folder.links {
            self.link(link, into, path).map_err(|error| failed(path, &link.name, &error))?;
        }
        for (name, child) in &folder.folders {
            let made = into.create_dir(&**name).and_then(|()| into.open_dir(&**name));
            let inner = made.map_err(|error| failed(path, name, &error))?;
            let len = path.len();
            path.push_str(name);
            path.push('/');
            self.folder(self.tree.folder(child), &inner, path)?;
            path.truncate(len);
        }
        Ok(())
    }

    fn file(&self, file: &File, into: &Dir, path: &str) -> std::result::Result<(), Failed> {
        let plain = file.properties == Properties::default();
        if plain {
            match self.cache.link(&file.key, into, &file.name) {
                Ok(Linked::Done) => return Ok(()),
                Ok(Linked::Impossible) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(Failed::Vanished(file.key)),
                Err(error) => return Err(failed(path, &file.name, &error).into()),
            }
        }
        // A file with properties of its own cannot be a link: they would be those of all.
        let from = self.cache.path(&file.key);
        let to = self.into.join(path).join(&*file.name);
        match copy(&from, &to, &file.properties) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound && !from.exists() => Err(Failed::Vanished(file.key)),
            Err(error) => Err(failed(path, &file.name, &error).into()),
        }
    }

    fn link(&self, link: &Link, into: &Dir, path: &str) -> io::Result<()> {
        symlink(link, into)?;
        if link.properties != Properties::default() {
            properties::apply_to_link(&self.into.join(path).join(&*link.name), &link.properties)?;
        }
        Ok(())
    }
}

/// Shares the content where the file system can, until one of the two is written to.
fn copy(from: &Path, to: &Path, asked: &Properties) -> io::Result<()> {
    if to.try_exists()? {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let shared = reflink_copy::reflink(from, to);
    if shared.is_err() {
        std::fs::copy(from, to)?;
    } else {
        std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())?;
    }
    let mtime = asked.mtime.or_else(|| Some(super::file_cache::input_time()));
    properties::apply(to, &Properties { mtime, ..*asked })
}

#[cfg(unix)]
fn symlink(link: &Link, into: &Dir) -> io::Result<()> {
    into.symlink_contents(&*link.target, &*link.name)
}

/// Windows tells links to folders from links to files; what a target that is not there yet will be, nobody knows.
#[cfg(windows)]
fn symlink(link: &Link, into: &Dir) -> io::Result<()> {
    let target = link.target.replace('/', "\\");
    if into.is_dir(&*target) { into.symlink_dir(&target, &*link.name) } else { into.symlink_file(&target, &*link.name) }
}

fn failed(path: &str, name: &str, error: &io::Error) -> ActionError {
    match error.kind() {
        ErrorKind::AlreadyExists => {
            let message = format!("{path}{name}: another name in this directory is the same on this system");
            ActionError::invalid("input_root_digest", message)
        }
        ErrorKind::InvalidFilename | ErrorKind::InvalidInput => {
            ActionError::invalid("input_root_digest", format!("{path}{name}: not a name on this system: {error}"))
        }
        _ => ActionError::Local(format!("{path}{name}: {error}")),
    }
}
