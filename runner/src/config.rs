//! What a runner is told at its start, and the limits of it. Knows nothing of the command line.

use std::path::PathBuf;

use crate::error::Error;

/// The most tasks at once.
pub const SLOTS_MAX: u32 = 256;
/// The most labels, the protocol's limit.
pub const LABELS_MAX: usize = 64;
/// The longest name, the protocol's limit.
pub const NAME_MAX_CHARS: usize = 128;

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
        if self.ephemeral {
            self.slots = 1;
        }
        Ok(self)
    }
}
