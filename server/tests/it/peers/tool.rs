//! Finding and running a program of somebody else. Knows nothing of what it is asked to do.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// The longest any one command may take, in seconds: a busy machine is no failure, a hang is.
const COMMAND_MAX_SECONDS: u64 = 300;

/// How a command ended, and what it said.
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Said {
    /// Both outputs, for messages.
    pub fn all(&self) -> String {
        format!("exit code {}\n{}\n{}", self.code, self.out, self.err)
    }
}

/// A program that is on the PATH.
pub fn on_path(name: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} was not found; scripts/setup.sh installs it"))
}

/// A program that `scripts/peers-tools.sh` installed, by its path there.
pub fn installed(path: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").expect("HOME")).join(".cache"));
    let path = cache.join("millrace-tools").join(path);
    assert!(path.exists(), "{} was not found; scripts/setup.sh installs it", path.display());
    path
}

/// A file or folder beside this one.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/peers").join(name)
}

/// A command that talks to this machine directly, whatever the environment says of proxies.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub async fn said(command: &mut Command) -> Said {
    let what = format!("{:?}", command.as_std());
    let ended = tokio::time::timeout(Duration::from_secs(COMMAND_MAX_SECONDS), command.output()).await;
    let output = ended.unwrap_or_else(|_| panic!("waited {COMMAND_MAX_SECONDS} s for: {what}"));
    let output = output.unwrap_or_else(|error| panic!("{error}: {what}"));
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a command that has to succeed.
pub async fn succeeded(command: &mut Command) -> Said {
    let said = said(command).await;
    assert_eq!(said.code, 0, "{:?}: {}", command.as_std(), said.all());
    said
}

/// Copies a folder with all below it; executable files stay so.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
