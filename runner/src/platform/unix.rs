//! Unix: a session and group of its own for each process that is started. Knows nothing of tasks.
//!
//! Killed for certain: all that stays in the group. On Linux also what left it, as long as it kept the mark in its
//! environment, stayed in the session, or, when the task is stopped, descends from a process that did. Not found,
//! without root: a process that cleared its environment, made a session of its own, and whose parents were gone before.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessSession};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{ChildStderr, ChildStdout, Command};

use super::Ended;

/// A started process and all that stays with it.
pub struct Group {
    child: Box<dyn ChildWrapper>,
    id: Pid,
    /// What descended from it when it was told to end.
    #[cfg(target_os = "linux")]
    strays: Vec<super::linux::Stray>,
}

impl Group {
    /// Starts it.
    pub fn spawn(command: Command) -> io::Result<Self> {
        let child = CommandWrap::from(command).wrap(ProcessSession).wrap(KillOnDrop).spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let id = id.ok_or_else(|| io::Error::other("the process has no id"))?;
        Ok(Self {
            child,
            id,
            #[cfg(target_os = "linux")]
            strays: Vec::new(),
        })
    }

    /// Its standard output and error, once.
    pub fn pipes(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout().take(), self.child.stderr().take())
    }

    /// Waits for the first process of the group.
    pub async fn wait(&mut self) -> io::Result<Ended> {
        // The inner child: the group's own wait would wait for what runs in the background, too.
        let status = self.child.inner_mut().wait().await?;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, signal) => Ended::Signal(signal.unwrap_or_default()),
        })
    }

    /// SIGTERM to the group.
    pub fn ask_to_end(&mut self) {
        #[cfg(target_os = "linux")]
        self.strays.extend(super::linux::find(&self.known()));
        // Whoever is gone already needs no signal.
        let _gone = kill_process_group(self.id, Signal::TERM);
    }

    /// SIGKILL to the group. Only while its first process has not been waited for: later the number may be another's.
    pub fn kill(&mut self) {
        #[cfg(target_os = "linux")]
        self.strays.extend(super::linux::kill(&self.known()));
        let _gone = kill_process_group(self.id, Signal::KILL);
    }

    #[cfg(target_os = "linux")]
    fn known(&self) -> super::linux::Known {
        super::linux::Known { groups: vec![self.id.as_raw_nonzero().get()], ..Default::default() }
    }
}

/// Kills whatever is left of a task; returns how many processes are still there.
#[cfg(target_os = "linux")]
pub async fn sweep(groups: Vec<Group>, mark: String) -> usize {
    let ids = groups.iter().map(|group| group.id.as_raw_nonzero().get()).collect();
    let strays = groups.into_iter().flat_map(|group| group.strays).collect();
    super::linux::sweep(super::linux::Known { groups: ids, mark, strays }).await
}

/// Kills whatever is left of a task; returns how many processes are still there.
#[cfg(not(target_os = "linux"))]
pub async fn sweep(groups: Vec<Group>, _mark: String) -> usize {
    use rustix::process::test_kill_process_group;
    const SWEEP_TRIES: u32 = 100;
    const SWEEP_PAUSE_MS: u64 = 20;
    let mut left = groups.iter().map(|group| group.id).collect::<Vec<_>>();
    for _ in 0..SWEEP_TRIES {
        left.retain(|id| test_kill_process_group(*id).is_ok() && kill_process_group(*id, Signal::KILL).is_ok());
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(SWEEP_PAUSE_MS)).await;
    }
    left.len()
}

/// A new, empty file that only its owner can read.
pub fn create_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // The mode above is not applied to a file that was there.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Makes a rename in the folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Gives the owner back the right to remove what is below.
pub fn make_removable(folder: &Path) {
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
        if entry.file_type().is_dir() {
            // What stays closed makes the removal fail, and that is reported.
            let _closed = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o700));
        }
    }
}
