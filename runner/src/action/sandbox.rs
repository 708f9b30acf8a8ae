//! Linux: commands in namespaces of their own, made by bubblewrap: a read-only system, a private /tmp, no network unless
//! it is asked for, nothing of the other processes. Knows nothing of inputs and outputs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{ActionError, Result};
use super::process::Launch;

/// The property that asks for the network: `on` or `off`.
pub const NETWORK_PROPERTY: &str = "network";
/// The property that makes the input root the root folder: `/`.
pub const INPUT_ROOT_PROPERTY: &str = "input-root";
/// The property that asks for the sandbox itself: `on` or `off`.
pub const SANDBOX_PROPERTY: &str = "sandbox";
/// Where the input root is in the sandbox.
pub const SANDBOX_ROOT: &str = "/build";
/// The name of the host in the sandbox.
pub const SANDBOX_HOST: &str = "millrace";

/// What of the system is there, where it is on the host.
const SYSTEM_FOLDERS: [&str; 10] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu"];
/// What of /etc is there: what programs need to run, to know users and to trust servers, and nothing that is secret.
const ETC_NEEDED: [&str; 19] = [
    "alternatives",
    "ca-certificates",
    "crypto-policies",
    "fonts",
    "gai.conf",
    "group",
    "host.conf",
    "hosts",
    "java",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "passwd",
    "pki",
    "protocols",
    "ssl",
];
/// What is there with the network.
const ETC_NETWORK: [&str; 2] = ["resolv.conf", "services"];
/// How long the trial at the start may take.
const TRIAL_MAX_SECONDS: u64 = 10;
#[cfg(target_os = "linux")]
const STATUS_FILE: &str = super::nursery::STATUS_FILE;
#[cfg(not(target_os = "linux"))]
const STATUS_FILE: &str = "";

/// Whether commands run in a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxMode {
    /// When there is one.
    #[default]
    Auto,
    /// Always; without one the runner does not start.
    On,
    /// Never.
    Off,
}

/// What an action asks of the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The network: on, off, or nothing said.
    pub network: Option<bool>,
    /// The input root is the root folder.
    pub root_is_input: bool,
    /// The sandbox: on, off, or nothing said.
    pub sandbox: Option<bool>,
}

/// Makes sandboxes.
#[derive(Clone, Debug)]
pub struct Sandbox {
    program: PathBuf,
    system: Vec<PathBuf>,
}

/// A command in a sandbox.
pub struct Sandboxed {
    /// What is to be started.
    pub launch: Launch,
    /// Folders that the sandbox makes in the input root, to be removed after it.
    pub makes: Vec<PathBuf>,
}

impl Ask {
    /// Of an action's properties.
    pub fn of<'a>(properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut ask = Self::default();
        let switch = |name: &str, value: &str| match value {
            "on" => Ok(Some(true)),
            "off" => Ok(Some(false)),
            _ => {
                Err(ActionError::invalid(format!("platform.properties[{name}]"), format!("{value:?}: it is on or off")))
            }
        };
        for (name, value) in properties {
            match name {
                NETWORK_PROPERTY => ask.network = switch(name, value)?,
                SANDBOX_PROPERTY => ask.sandbox = switch(name, value)?,
                INPUT_ROOT_PROPERTY if value == "/" => ask.root_is_input = true,
                INPUT_ROOT_PROPERTY => {
                    let text = format!("{value:?}: only / is known");
                    return Err(ActionError::invalid(format!("platform.properties[{name}]"), text));
                }
                _ => {}
            }
        }
        Ok(ask)
    }

    /// Whether a sandbox is to be used, given whether there is one and whether actions may do without.
    pub fn decide(self, has_sandbox: bool, may_do_without: bool) -> Result<bool> {
        let needs = |what: &str| Err(ActionError::Precondition(format!("{what}, and this runner has none")));
        match (has_sandbox, self.sandbox) {
            (false, _) if self.root_is_input => needs("input-root=/ needs a sandbox"),
            (false, Some(true)) => needs("sandbox=on needs a sandbox"),
            (false, _) if self.network == Some(false) => needs("network=off needs a sandbox"),
            (false, _) => Ok(false),
            (true, Some(false)) if !may_do_without => Err(ActionError::Precondition(
                "sandbox=off: this runner runs every action in its sandbox (--allow-sandbox-off lets actions choose)"
                    .into(),
            )),
            (true, Some(false)) if self.root_is_input => {
                Err(ActionError::Precondition("input-root=/ needs the sandbox, and sandbox=off turns it off".into()))
            }
            (true, asked) => Ok(asked != Some(false)),
        }
    }
}

impl Sandbox {
    /// The one of this machine; why there is none.
    pub async fn find() -> std::result::Result<Self, String> {
        if !cfg!(target_os = "linux") {
            return Err("there is none for this operating system".into());
        }
        let program = which::which("bwrap").map_err(|_| "bubblewrap (bwrap) is not installed".to_owned())?;
        let system = SYSTEM_FOLDERS.iter().map(PathBuf::from).filter(|folder| folder.symlink_metadata().is_ok());
        let sandbox = Self { program, system: system.collect() };
        sandbox.try_once().await.map_err(|error| format!("bubblewrap does not work here: {error}"))?;
        Ok(sandbox)
    }

    /// The same command in a sandbox whose root or /build is `root`.
    pub fn wrap(&self, launch: Launch, root: &Path, working_directory: &str, ask: Ask) -> Sandboxed {
        let mut arguments = vec!["bwrap".to_owned()];
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        add(&["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]);
        let network = ask.network == Some(true);
        if !network {
            add(&["--unshare-net"]);
        }
        add(&["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", SANDBOX_HOST]);
        let mut makes = Vec::new();
        let root_text = root.to_string_lossy();
        if ask.root_is_input {
            add(&["--bind", &root_text, "/"]);
            let is_whole =
                ["usr", "bin", "lib", "nix", "gnu"].iter().any(|name| root.join(name).symlink_metadata().is_ok());
            if !is_whole {
                self.add_system(&mut add, network);
            }
            makes = self.made_in(root, is_whole);
        } else {
            self.add_system(&mut add, network);
            add(&["--tmpfs", "/var/tmp", "--bind", &root_text, SANDBOX_ROOT]);
        }
        add(&["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
        let base = if ask.root_is_input { "/" } else { SANDBOX_ROOT };
        // Its parts, so that nothing at all makes no slash at the end.
        let folder = Path::new(base).components().chain(Path::new(working_directory).components()).collect::<PathBuf>();
        add(&["--chdir", &folder.to_string_lossy(), "--clearenv"]);
        for (name, value) in &launch.environment {
            add(&["--setenv", name, value]);
        }
        add(&["--json-status-fd", STATUS_FILE, "--"]);
        arguments.extend(launch.arguments);
        // Nothing of the command's environment reaches bubblewrap itself, which runs outside.
        let launch = Launch {
            program: self.program.clone(),
            arguments,
            environment: Vec::new(),
            folder: PathBuf::from("/"),
            has_status: true,
        };
        Sandboxed { launch, makes }
    }

    fn add_system(&self, add: &mut impl FnMut(&[&str]), network: bool) {
        for folder in &self.system {
            let text = folder.to_string_lossy();
            match std::fs::read_link(folder) {
                Ok(target) => add(&["--symlink", &target.to_string_lossy(), &text]),
                Err(_) => add(&["--ro-bind", &text, &text]),
            }
        }
        add(&["--tmpfs", "/etc"]);
        let more: &[&str] = if network { &ETC_NETWORK } else { &[] };
        for name in ETC_NEEDED.iter().chain(more) {
            let path = format!("/etc/{name}");
            add(&["--ro-bind-try", &path, &path]);
        }
        add(&["--remount-ro", "/etc"]);
    }

    /// Which of the places for mounts are not in the input root yet.
    fn made_in(&self, root: &Path, is_whole: bool) -> Vec<PathBuf> {
        let mut names = vec!["proc", "dev", "tmp"];
        if !is_whole {
            names.push("etc");
            names.extend(self.system.iter().filter_map(|folder| folder.strip_prefix("/").ok()?.to_str()));
        }
        names.into_iter().map(|name| root.join(name)).filter(|path| path.symlink_metadata().is_err()).collect()
    }

    async fn try_once(&self) -> std::result::Result<(), String> {
        let launch = Launch {
            program: PathBuf::new(),
            arguments: vec!["true".to_owned()],
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            folder: PathBuf::new(),
            has_status: false,
        };
        let folder = std::env::temp_dir();
        let sandboxed = self.wrap(launch, &folder, "", Ask::default()).launch;
        let arguments = sandboxed.arguments.iter().skip(1).map(|word| if word == STATUS_FILE { "2" } else { word });
        let mut command = tokio::process::Command::new(&sandboxed.program);
        command.args(arguments).env_clear().stdin(std::process::Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(TRIAL_MAX_SECONDS), command.output()).await;
        match output {
            Err(_) => Err(format!("no answer in {TRIAL_MAX_SECONDS} s")),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

impl Sandboxed {
    /// Removes what the sandbox made in the input root.
    pub fn tidy(makes: &[PathBuf]) {
        for path in makes {
            // A folder has nothing in it: what was in it was on a file system of the sandbox.
            if std::fs::remove_dir(path).is_err() && path.is_symlink() {
                let _gone = std::fs::remove_file(path);
            }
        }
    }

    /// Whether bubblewrap came so far as to start the command.
    pub fn has_started(status: &[u8]) -> bool {
        String::from_utf8_lossy(status).contains("\"exit-code\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_and_decided_on() {
        let ask = Ask::of([("network", "on"), ("input-root", "/"), ("OSFamily", "linux")]).expect("reads");
        assert_eq!(ask, Ask { network: Some(true), root_is_input: true, sandbox: None });
        for wrong in [("network", "yes"), ("input-root", "/x"), ("sandbox", "")] {
            assert!(matches!(Ask::of([wrong]), Err(ActionError::Invalid { .. })), "{wrong:?}");
        }
        assert!(matches!(ask.decide(false, true), Err(ActionError::Precondition(_))));
        assert_eq!(ask.decide(true, false), Ok(true));
        let without = Ask { sandbox: Some(false), ..Ask::default() };
        assert!(without.decide(true, false).is_err());
        assert_eq!(without.decide(true, true), Ok(false));
        assert_eq!(without.decide(false, false), Ok(false));
        assert!(Ask { sandbox: Some(true), ..Ask::default() }.decide(false, true).is_err());
        assert!(Ask { network: Some(false), ..Ask::default() }.decide(false, true).is_err());
        assert_eq!(Ask::default().decide(false, false), Ok(false));
        assert_eq!(Ask::default().decide(true, true), Ok(true));
        assert!(Ask { root_is_input: true, ..without }.decide(true, true).is_err());
    }
}
