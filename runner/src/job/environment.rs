//! The environment of a job's processes: from the machine only what is named here, then what the task brings. Knows
//! nothing of where a task's variables come from.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// What processes get of the runner's own environment, where it is set.
#[cfg(not(windows))]
pub const HOST_VARIABLES: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What processes get of the runner's own environment, where it is set.
#[cfg(windows)]
pub const HOST_VARIABLES: &[&str] = &[
    "PATH",
    "PATHEXT",
    "SystemRoot",
    "SystemDrive",
    "windir",
    "ComSpec",
    "TEMP",
    "TMP",
    "OS",
    "COMPUTERNAME",
    "USERNAME",
    "USERDOMAIN",
    "USERPROFILE",
    "HOMEDRIVE",
    "HOMEPATH",
    "APPDATA",
    "LOCALAPPDATA",
    "ALLUSERSPROFILE",
    "ProgramData",
    "ProgramFiles",
    "ProgramFiles(x86)",
    "ProgramW6432",
    "CommonProgramFiles",
    "CommonProgramFiles(x86)",
    "CommonProgramW6432",
    "PUBLIC",
    "PSModulePath",
    "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
    "PROCESSOR_IDENTIFIER",
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// What an action may not set for the actions after it: with these it would change what their programs are, not what
/// they work on.
pub const REFUSED_VARIABLES: &[&str] = &[
    "LD_PRELOAD",
    "LD_AUDIT",
    "DYLD_INSERT_LIBRARIES",
    "BASH_ENV",
    "ENV",
    "NODE_OPTIONS",
    crate::platform::MARK_VARIABLE,
];
/// Prefixes of variables that belong to the runner.
pub const REFUSED_PREFIXES: &[&str] = &["GITHUB_", "RUNNER_"];

/// Variables; on Windows their names differ only by more than case.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, (String, OsString)>,
}

impl Environment {
    /// What is passed on of the runner's own: [`HOST_VARIABLES`] and those named in the configuration.
    pub fn of_host(more: &[String]) -> Self {
        let mut environment = Self::default();
        for name in HOST_VARIABLES.iter().copied().chain(more.iter().map(String::as_str)) {
            if let Some(value) = std::env::var_os(name) {
                environment.set(name, value);
            }
        }
        environment
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.insert(key(name), (name.to_owned(), value.into()));
    }

    /// Its value.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(&key(name)).map(|(_, value)| value.as_os_str())
    }

    /// Puts folders before all others in PATH, the last one first.
    pub fn prepend_path(&mut self, folders: &[String]) {
        let old = self.get("PATH").map(OsStr::to_owned).unwrap_or_default();
        let folders = folders.iter().rev().map(std::path::PathBuf::from);
        // A folder with the separator in its name cannot be in a PATH; command_file refuses those.
        if let Ok(joined) = std::env::join_paths(folders.chain(std::env::split_paths(&old))) {
            let name = if cfg!(windows) { "Path" } else { "PATH" };
            self.set(name, joined);
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.variables.values().map(|(name, value)| (name.as_str(), value.as_os_str()))
    }
}

/// Why a variable cannot be: the system has no place for such a name or value.
pub fn impossible(name: &str, value: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("its name is empty")
    } else if name.contains('=') {
        Some("its name has a `=`")
    } else if name.contains('\0') || value.contains('\0') {
        Some("it has a NUL")
    } else {
        None
    }
}

/// Why an action may not set a variable for the actions after it.
pub fn refused(name: &str, value: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    if REFUSED_VARIABLES.contains(&upper.as_str()) {
        Some("it would change how later programs start; set it with `env:` in the workflow if it is meant")
    } else if REFUSED_PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) {
        Some("names that begin with GITHUB_ or RUNNER_ belong to the runner")
    } else {
        impossible(name, value)
    }
}

fn key(name: &str) -> String {
    if cfg!(windows) { name.to_uppercase() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_names_are_refused() {
        for name in ["LD_PRELOAD", "ld_preload", "BASH_ENV", "GITHUB_TOKEN", "RUNNER_TEMP", "a=b", "", "a\0"] {
            assert!(refused(name, "x").is_some(), "{name}");
        }
        assert!(refused("A", "x\0").is_some());
        for name in ["A", "MY_GITHUB_X", "PATH", "EDITOR"] {
            assert_eq!(refused(name, "x"), None, "{name}");
        }
    }

    #[test]
    fn the_last_folder_is_found_first() {
        let mut environment = Environment::default();
        let base = if cfg!(windows) { "C:\\base" } else { "/base" };
        environment.set("PATH", base);
        environment.prepend_path(&["one".to_owned(), "two".to_owned()]);
        let path = environment.get("PATH").expect("set").to_owned();
        let folders = std::env::split_paths(&path).collect::<Vec<_>>();
        assert_eq!(folders, ["two", "one", base].map(std::path::PathBuf::from));
    }
}
