//! Windows: a job object for each process that is started; all it starts is in it, and none can leave. Closing the
//! job kills what is in it, so that nothing outlives even a killed runner. Knows nothing of tasks.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use ::windows::Win32::System::Threading::CREATE_NEW_PROCESS_GROUP;
use process_wrap::tokio::{ChildWrapper, CommandWrap, CreationFlags, JobObject, KillOnDrop};
use tokio::process::{ChildStderr, ChildStdout, Command};

use super::Ended;

/// A started process and its job object.
pub struct Group {
    child: Box<dyn ChildWrapper>,
    id: u32,
}

impl Group {
    /// Starts it.
    pub fn spawn(command: Command) -> io::Result<Self> {
        let child = CommandWrap::from(command)
            .wrap(KillOnDrop)
            .wrap(CreationFlags(CREATE_NEW_PROCESS_GROUP))
            .wrap(JobObject)
            .spawn()?;
        let id = child.id().ok_or_else(|| io::Error::other("the process has no id"))?;
        Ok(Self { child, id })
    }

    /// Its standard output and error, once.
    pub fn pipes(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout().take(), self.child.stderr().take())
    }

    /// Waits for the first process of the job.
    pub async fn wait(&mut self) -> io::Result<Ended> {
        // The inner child: the job's own wait would wait for what runs in the background, too.
        let status = self.child.inner_mut().wait().await?;
        Ok(Ended::Code(status.code().unwrap_or_default()))
    }

    /// CTRL_BREAK to the process group.
    pub fn ask_to_end(&mut self) {
        if let Err(error) = winconsole::console::generate_ctrl_event(true, Some(self.id)) {
            tracing::debug!("CTRL_BREAK to {}: {error}", self.id);
        }
    }

    /// Ends every process in the job.
    pub fn kill(&mut self) {
        if let Err(error) = self.child.start_kill() {
            tracing::warn!("ending job object of {}: {error}", self.id);
        }
    }
}

/// Ends whatever is left of a task. The system ends all processes of a job at once: none is left.
pub async fn sweep(mut groups: Vec<Group>, _mark: String) -> usize {
    for group in &mut groups {
        group.kill();
    }
    0
}

/// A new, empty file. Who can read it follows from the folder: below a user's profile, that user and administrators.
pub fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).open(path)
}

/// Renames are durable without it.
#[expect(clippy::unnecessary_wraps, reason = "as on Unix, where it can fail")]
pub fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Takes the read-only mark off what is below.
#[expect(clippy::permissions_set_readonly_false, reason = "on Windows it means what it says")]
pub fn make_removable(folder: &Path) {
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
        if let Ok(meta) = entry.metadata()
            && meta.permissions().readonly()
        {
            let mut permissions = meta.permissions();
            permissions.set_readonly(false);
            // What stays closed makes the removal fail, and that is reported.
            let _closed = std::fs::set_permissions(entry.path(), permissions);
        }
    }
}
