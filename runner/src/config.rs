//! What a runner is told at its start, and the limits of it. Knows nothing of the command line.

use std::path::PathBuf;

use millrace_proto::platform_properties::Properties;
use millrace_proto::runner_v1::Property;

use crate::action::{ACTION_DISK_MAX_BYTES, SandboxMode};
use crate::error::Error;
use crate::slots::AHEAD_MAX;

/// The most tasks at once.
pub const SLOTS_MAX: u32 = 256;
/// The most labels, the protocol's limit.
pub const LABELS_MAX: usize = 64;
/// The longest name, the protocol's limit.
pub const NAME_MAX_CHARS: usize = 128;

/// How much is kept of inputs.
pub const INPUT_CACHE_MAX_BYTES: u64 = 10 * 1024 * 1024 * 1024;
/// The property by which labels are offered to actions.
pub const LABEL_PROPERTY: &str = "label";

/// The configuration of a runner.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's address: `http://host:port` or `https://host`, with a path when it is mounted under one.
    pub server: String,
    /// A registration token; needed only while there is no identity in the data folder.
    pub token: Option<String>,
    /// The runner's name, for people.
    pub name: String,
    /// Labels beyond the machine's own.
    pub labels: Vec<String>,
    /// How many tasks run at once.
    pub slots: u32,
    /// Where identity, workspaces and temporary files are.
    pub data: PathBuf,
    /// Leave for good after one task.
    pub ephemeral: bool,
    /// Names of environment variables that jobs get from the runner's own environment beyond the usual ones.
    pub pass_env: Vec<String>,
    /// Actions of remote execution.
    pub actions: ActionConfig,
}

/// What a runner does with actions of remote execution.
#[derive(Clone, Debug)]
pub struct ActionConfig {
    /// It runs them at all.
    pub enabled: bool,
    /// How many actions have their inputs fetched while every slot is busy; more, where actions are short.
    pub prefetch: u32,
    /// What is offered beyond the machine's own properties and the labels, or instead of those of the same name.
    pub properties: Vec<(String, String)>,
    /// Whether commands run in a sandbox.
    pub sandbox: SandboxMode,
    /// Whether an action may do without one.
    pub allow_sandbox_off: bool,
    /// What an action may take of the disk, outputs and prints together.
    pub disk_max_bytes: u64,
    /// What the processes of an action may take of memory, where the system's control groups are delegated; 0: no limit.
    pub memory_max_bytes: u64,
    /// How many processes and threads an action may have, likewise; 0: no limit.
    pub pids_max: u64,
    /// Where inputs are kept between actions; in the data folder by default. Best on the same file system as that.
    pub input_cache: Option<PathBuf>,
    /// How much of them is kept.
    pub input_cache_max_bytes: u64,
    /// The program whose hidden subcommand is the nursery of a slot (Linux); the running one by default. It must
    /// call [`crate::nursery_if_asked`].
    pub program: Option<PathBuf>,
}

impl Default for ActionConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            prefetch: 1,
            properties: Vec::new(),
            sandbox: SandboxMode::Auto,
            allow_sandbox_off: false,
            disk_max_bytes: ACTION_DISK_MAX_BYTES,
            memory_max_bytes: 0,
            pids_max: 0,
            input_cache: None,
            input_cache_max_bytes: INPUT_CACHE_MAX_BYTES,
            program: None,
        }
    }
}

impl ActionConfig {
    /// Every property that is offered: the machine's own, the labels as `label`, and the configured ones, which take the
    /// place of others of the same name.
    pub fn offered(&self, labels: &[String]) -> Vec<Property> {
        if !self.enabled {
            return Vec::new();
        }
        let own = crate::machine::properties().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let own = own.chain(labels.iter().map(|label| (LABEL_PROPERTY.to_owned(), label.clone())));
        let own = own.filter(|(name, _)| self.properties.iter().all(|(configured, _)| configured != name));
        let all = own.chain(self.properties.iter().cloned());
        all.map(|(name, value)| Property { name, value, ..Default::default() }).collect()
    }

    fn check(&self, labels: &[String]) -> Result<(), Error> {
        let invalid = |text: String| Err(Error::Usage(text));
        let offered = self.offered(labels);
        if let Err(error) = Properties::checked(offered.into_iter().map(|property| (property.name, property.value))) {
            return invalid(format!("property: {error}"));
        }
        if self.prefetch > AHEAD_MAX {
            return invalid(format!("prefetch: {} is over the limit of {AHEAD_MAX}", self.prefetch));
        }
        if self.disk_max_bytes == 0 {
            return invalid("action-disk-max: 0 would leave nothing to write".to_owned());
        }
        Ok(())
    }
}

impl Config {
    /// One slot, the machine's name and labels.
    pub fn new(server: impl Into<String>, data: impl Into<PathBuf>) -> Self {
        Self {
            server: server.into(),
            token: None,
            name: crate::machine::hostname(),
            labels: Vec::new(),
            slots: 1,
            data: data.into(),
            ephemeral: false,
            pass_env: Vec::new(),
            actions: ActionConfig::default(),
        }
    }

    /// Every label the runner serves: the machine's own, then the configured ones.
    pub fn all_labels(&self) -> Vec<String> {
        let mut labels = crate::machine::labels();
        for label in &self.labels {
            let label = label.trim();
            if !label.is_empty() && !labels.iter().any(|known| known == label) {
                labels.push(label.to_owned());
            }
        }
        labels
    }

    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        let invalid = |text: String| Err(Error::Usage(text));
        let server = self.server.parse::<http::Uri>();
        match server.as_ref().map(|uri| (uri.scheme_str(), uri.host())) {
            Ok((Some("http" | "https"), Some(_))) => {}
            _ => return invalid(format!("server: `{}` is not an http:// or https:// address", self.server)),
        }
        if self.slots == 0 || self.slots > SLOTS_MAX {
            return invalid(format!("slots: {} is not between 1 and {SLOTS_MAX}", self.slots));
        }
        if self.name.is_empty() || self.name.chars().count() > NAME_MAX_CHARS {
            return invalid(format!("name: it must have 1 to {NAME_MAX_CHARS} characters"));
        }
        if self.all_labels().len() > LABELS_MAX {
            return invalid(format!("labels: more than {LABELS_MAX}"));
        }
        self.actions.check(&self.all_labels())?;
        if self.ephemeral {
            self.slots = 1;
        }
        Ok(self)
    }
}
