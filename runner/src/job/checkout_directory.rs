//! The source is a folder on this machine: of a git work tree the files that git would not ignore, as they are now,
//! committed or not; of another folder all of it. No `.git` is made. Knows nothing of workflows.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;

use tokio::process::Command;

use super::action::{Performed, shown};
use super::checkout::Wanted;
use super::environment::Environment;
use super::run::Job;
use super::shell::find_program;
use super::stop::{Stop, StopSwitch};
use crate::logs::LogWriter;

/// The most files of one checkout.
pub const CHECKOUT_MAX_FILES: usize = 2_000_000;
/// How deep git repositories in git repositories are followed.
const NESTED_MAX: u32 = 8;

/// A list that may contain the lists of repositories within.
type Listing<'f> = Pin<Box<dyn Future<Output = Result<Option<Vec<PathBuf>>, String>> + Send + 'f>>;

/// Copies the folder.
pub async fn perform(
    job: &mut Job,
    wanted: &Wanted,
    from: &str,
    environment: &Environment,
    mut log: LogWriter,
) -> (LogWriter, Performed) {
    let from = match std::path::absolute(from) {
        Ok(from) if from.is_dir() => from,
        _ => return (log, Performed::failure(format!("the source `{from}` is not a folder on this runner's machine"))),
    };
    if !wanted.reference.is_empty() {
        log.warning("with: ref: a folder has no refs; its files are taken as they are").await;
    }
    let git = find_program("git", environment, &from);
    let copy = Copy {
        from: from.clone(),
        to: wanted.folder.clone(),
        // The runner's own folder may be in the source; a workspace must not be copied into itself.
        except: job.host.data.root().to_owned(),
        stop: job.stop.clone(),
    };
    let started = std::time::Instant::now();
    let listed = match &git {
        Some(git) => list(git, &from, environment, 0).await,
        None => Ok(None),
    };
    let is_git = matches!(listed, Ok(Some(_)));
    let result = match listed {
        Ok(files) => tokio::task::spawn_blocking(move || copy.run(files)).await,
        Err(error) => return (log, Performed::failure(error)),
    };
    match result {
        Ok(Ok((files, bytes))) => {
            let kind = if is_git { "git work tree" } else { "folder" };
            let (from, mib, time) = (from.display(), bytes as f64 / 1_048_576.0, started.elapsed());
            let time = shown(std::time::Duration::from_millis(time.as_millis() as u64));
            log.say(&format!("Copied {files} files ({mib:.1} MiB) of the {kind} {from} in {time}")).await;
            (log, Performed::success())
        }
        Ok(Err(_)) if job.stop.now() >= Stop::Kill => (log, Performed::cancelled("stopped while copying")),
        Ok(Err(error)) => (log, Performed::failure(format!("copying `{}`: {error}", from.display()))),
        Err(panic) => (log, Performed::failure(format!("copying `{}`: {panic}", from.display()))),
    }
}

/// The files that git knows or would add, relative to the folder; `None` when it is not in a work tree.
fn list<'f>(git: &'f Path, folder: &'f Path, environment: &'f Environment, depth: u32) -> Listing<'f> {
    Box::pin(list_one(git, folder, environment, depth))
}

async fn list_one(
    git: &Path,
    folder: &Path,
    environment: &Environment,
    depth: u32,
) -> Result<Option<Vec<PathBuf>>, String> {
    let inside = run_git(git, folder, environment, &["rev-parse", "--is-inside-work-tree"]).await?;
    if inside.as_deref().map(<[u8]>::trim_ascii) != Some(b"true") {
        return Ok(None);
    }
    let listed = run_git(git, folder, environment, &["ls-files", "-co", "--exclude-standard", "-z", "--", "."]).await?;
    let Some(listed) = listed else { return Err(format!("git ls-files failed in {}", folder.display())) };
    let mut files = Vec::new();
    for name in listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let path = path_of(name)?;
        let full = folder.join(&path);
        let is_folder = full.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        if !is_folder {
            files.push(path);
        } else if depth < NESTED_MAX {
            // A submodule, or a repository that was cloned here: git names its folder only.
            let nested = list(git, &full, environment, depth + 1).await?.unwrap_or_default();
            files.extend(nested.into_iter().map(|below| path.join(below)));
        }
        if files.len() > CHECKOUT_MAX_FILES {
            return Err(format!("more than {CHECKOUT_MAX_FILES} files in {}", folder.display()));
        }
    }
    // During a merge a file is listed once for each side.
    files.dedup();
    Ok(Some(files))
}

/// What git printed; `None` when it failed.
async fn run_git(
    git: &Path,
    folder: &Path,
    environment: &Environment,
    arguments: &[&str],
) -> Result<Option<Vec<u8>>, String> {
    let mut command = Command::new(git);
    // The folder may belong to another user: only file names are read, nothing of its configuration is run.
    command
        .args(["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.quotepath=false"])
        .args(arguments);
    command.current_dir(folder).env_clear().envs(environment.iter()).env("GIT_OPTIONAL_LOCKS", "0");
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| format!("git: {error}"))?;
    Ok(output.status.success().then_some(output.stdout))
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere a name can be none")]
fn path_of(name: &[u8]) -> Result<PathBuf, String> {
    use std::os::unix::ffi::OsStrExt;
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(name)))
}

#[cfg(not(unix))]
fn path_of(name: &[u8]) -> Result<PathBuf, String> {
    std::str::from_utf8(name).map(PathBuf::from).map_err(|_| "git ls-files: a name is not UTF-8".to_owned())
}

struct Copy {
    from: PathBuf,
    to: PathBuf,
    except: PathBuf,
    stop: StopSwitch,
}

impl Copy {
    fn run(&self, files: Option<Vec<PathBuf>>) -> io::Result<(u64, u64)> {
        let (mut count, mut bytes) = (0, 0);
        let mut copy = |relative: &Path| -> io::Result<()> {
            if self.stop.now() >= Stop::Kill {
                return Err(io::Error::other("stopped"));
            }
            if let Some(size) = self.one(relative)? {
                count += 1;
                bytes += size;
            }
            Ok(())
        };
        match files {
            Some(files) => files.iter().try_for_each(|file| copy(file))?,
            None => {
                let walk = walkdir::WalkDir::new(&self.from).into_iter();
                for entry in walk.filter_entry(|entry| entry.path() != self.except) {
                    let entry = entry?;
                    let relative = entry.path().strip_prefix(&self.from).map_err(io::Error::other)?;
                    if entry.file_type().is_dir() {
                        std::fs::create_dir_all(self.to.join(relative))?;
                    } else {
                        copy(relative)?;
                    }
                }
            }
        }
        Ok((count, bytes))
    }

    /// Copies one file or symlink; `None` for what is gone, special, or not to be copied.
    fn one(&self, relative: &Path) -> io::Result<Option<u64>> {
        let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        let (from, to) = (self.from.join(relative), self.to.join(relative));
        if !plain || from.starts_with(&self.except) {
            return Ok(None);
        }
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", relative.display()));
        let meta = match from.symlink_metadata() {
            Ok(meta) => meta,
            // Deleted in the work tree and not yet in the index.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(error)),
        };
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(named)?;
        }
        if meta.is_symlink() {
            let _replaced = std::fs::remove_file(&to);
            link(&std::fs::read_link(&from).map_err(named)?, &to).map_err(named)?;
            Ok(Some(0))
        } else if meta.is_file() {
            std::fs::copy(&from, &to).map(Some).map_err(named)
        } else {
            Ok(None)
        }
    }
}

#[cfg(unix)]
fn link(target: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(windows)]
fn link(target: &Path, at: &Path) -> io::Result<()> {
    let full = at.parent().map(|parent| parent.join(target)).unwrap_or_default();
    if full.is_dir() {
        std::os::windows::fs::symlink_dir(target, at)
    } else {
        std::os::windows::fs::symlink_file(target, at)
    }
}
