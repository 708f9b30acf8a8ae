//! The runner's data folder: one runner at a time, a workspace and a temporary folder a task, leftovers removed.
//! Knows nothing of what happens in a workspace.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;

/// The longest name of a workspace.
pub const WORKSPACE_NAME_MAX_BYTES: usize = 128;
/// How often removing a folder is tried: on Windows a file of a killed process stays open for a moment.
const REMOVE_TRIES: u32 = 20;
const REMOVE_RETRY_MS: u64 = 100;

const LOCK_FILE: &str = "lock";
const WORK: &str = "work";
const TEMP: &str = "temp";

/// The data folder, held by this runner alone.
#[derive(Clone)]
pub struct DataFolder {
    root: PathBuf,
    _lock: Arc<Lock>,
    // Held for single set operations only.
    in_use: Arc<Mutex<HashSet<String>>>,
}

/// The folders of one task; removed by [`TaskFolders::remove`].
pub struct TaskFolders {
    /// Where the actions work.
    pub workspace: PathBuf,
    /// Scripts and command files, outside the workspace.
    pub temp: PathBuf,
    /// RUNNER_TEMP: below the above, for the actions themselves.
    pub runner_temp: PathBuf,
    name: String,
    in_use: Arc<Mutex<HashSet<String>>>,
}

impl DataFolder {
    /// Makes the folder, takes it, and removes what a killed runner left there.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let named = |what: &str, path: &Path| Error::local(format!("{what} {}", path.display()));
        std::fs::create_dir_all(root).map_err(named("making", root))?;
        // Workspaces are given to programs as absolute paths, without Windows' `\\?\` that many cannot read.
        let root = std::path::absolute(root).map_err(named("finding", root))?;
        let path = root.join(LOCK_FILE);
        let lock = File::create(&path).map_err(named("making", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::DataInUse(root)),
            Err(TryLockError::Error(error)) => return Err(named("locking", &path)(error)),
        }
        for folder in [root.join(WORK), root.join(TEMP)] {
            remove_folder(&folder).map_err(named("removing", &folder))?;
            std::fs::create_dir_all(&folder).map_err(named("making", &folder))?;
        }
        Ok(Self { root, _lock: Arc::new(Lock(lock)), in_use: Arc::default() })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where workspaces are.
    pub fn work(&self) -> PathBuf {
        self.root.join(WORK)
    }

    /// Where temporary files are.
    pub fn temp(&self) -> PathBuf {
        self.root.join(TEMP)
    }

    /// Fresh folders for a task. `name` is the server's wish; `fallback` is taken when it cannot be a folder's name.
    pub fn task(&self, name: &str, fallback: &str) -> std::io::Result<TaskFolders> {
        let wish = if is_workspace_name(name) { name } else { fallback };
        let name = {
            let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
            let mut name = wish.to_owned();
            while !in_use.insert(name.clone()) {
                name = format!("{fallback}-{}", uuid::Uuid::new_v4().simple());
            }
            name
        };
        let temp = self.root.join(TEMP).join(&name);
        let folders = TaskFolders {
            workspace: self.root.join(WORK).join(&name),
            runner_temp: temp.join(TEMP),
            temp,
            name,
            in_use: Arc::clone(&self.in_use),
        };
        for folder in [&folders.workspace, &folders.temp] {
            remove_folder(folder)?;
            std::fs::create_dir_all(folder)?;
        }
        std::fs::create_dir(&folders.runner_temp)?;
        Ok(folders)
    }
}

impl TaskFolders {
    /// Removes both.
    pub async fn remove(self) {
        for folder in [self.workspace.clone(), self.temp.clone()] {
            for tries in 1..=REMOVE_TRIES {
                let path = folder.clone();
                let removed = tokio::task::spawn_blocking(move || remove_folder(&path)).await;
                match removed {
                    Ok(Ok(())) => break,
                    Ok(Err(error)) if tries == REMOVE_TRIES => {
                        tracing::warn!("{}: could not be removed: {error}", folder.display());
                    }
                    _ => tokio::time::sleep(Duration::from_millis(REMOVE_RETRY_MS)).await,
                }
            }
        }
    }
}

impl Drop for TaskFolders {
    fn drop(&mut self) {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that is just being started holds a copy of the file for a moment.
        let _unlocked = self.0.unlock();
    }
}

/// A plain name that means the same on every system, and never another folder.
fn is_workspace_name(name: &str) -> bool {
    (1..=WORKSPACE_NAME_MAX_BYTES).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && !name.ends_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Removes a folder with all that is in it; one that is not there is fine.
pub(crate) fn remove_folder(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // Build tools make folders read-only (Go's module cache, for one): open them up and try once more.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            crate::platform::make_removable(folder);
            std::fs::remove_dir_all(folder)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_runner_is_refused() {
        let data = tempfile::tempdir().expect("a folder");
        let first = DataFolder::open(data.path()).expect("opens");
        assert!(matches!(DataFolder::open(data.path()), Err(Error::DataInUse(_))));
        drop(first);
        DataFolder::open(data.path()).expect("opens again");
    }

    #[tokio::test]
    async fn leftovers_go_and_names_stay_inside() {
        let data = tempfile::tempdir().expect("a folder");
        let old = data.path().join("work/old/deep");
        std::fs::create_dir_all(&old).expect("makes");
        let folder = DataFolder::open(data.path()).expect("opens");
        assert!(!old.exists());
        for name in ["", "..", ".git", "a/b", "a\\b", "-x", "c:", &"x".repeat(WORKSPACE_NAME_MAX_BYTES + 1)] {
            let task = folder.task(name, "fallback").expect("makes");
            assert!(task.workspace.ends_with("work/fallback"), "{name}");
            task.remove().await;
        }
        let first = folder.task("same", "f").expect("makes");
        let second = folder.task("same", "f").expect("makes");
        assert_ne!(first.workspace, second.workspace);
        second.remove().await;
        first.remove().await;
        assert_eq!(std::fs::read_dir(data.path().join("work")).expect("there").count(), 0);
        assert_eq!(std::fs::read_dir(data.path().join("temp")).expect("there").count(), 0);
    }
}
