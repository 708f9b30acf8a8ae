//! Node properties of outputs, those that the command asks for. Knows nothing of trees.

use std::time::{Duration, SystemTime};

use buffa_types::google::protobuf::Timestamp;
use cap_std::fs::Metadata;
use millrace_proto::reapi::{Command, NodeProperties};

/// Which properties are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    mtime: bool,
    unix_mode: bool,
}

impl Wanted {
    /// What a command asks for; names that are not known are left out.
    pub fn of(command: &Command) -> Self {
        let asked = |name: &str| command.output_node_properties.iter().any(|property| property == name);
        Self { mtime: asked("mtime"), unix_mode: asked("unix_mode") }
    }

    /// Whether nothing is asked for.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// What is asked for, of this file, folder or symlink.
    pub fn read(self, metadata: &Metadata) -> Option<NodeProperties> {
        if self.is_nothing() {
            return None;
        }
        let mut properties = NodeProperties::default();
        if self.mtime
            && let Ok(time) = metadata.modified()
        {
            properties.mtime = timestamp(time.into_std()).into();
        }
        // Windows has no modes.
        #[cfg(unix)]
        if self.unix_mode {
            let value = cap_std::fs::MetadataExt::mode(metadata) & 0o7777;
            properties.unix_mode = buffa_types::google::protobuf::UInt32Value { value, ..Default::default() }.into();
        }
        Some(properties)
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    let (seconds, nanos) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (after.as_secs() as i64, after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = before.as_secs() + u64::from(before.subsec_nanos() > 0);
            (-(seconds as i64), Duration::from_secs(seconds).saturating_sub(before).subsec_nanos())
        }
    };
    Timestamp { seconds, nanos: nanos as i32, ..Default::default() }
}

/// Whether a file can be run.
#[cfg(unix)]
pub fn is_executable(metadata: &Metadata, _name: &str) -> bool {
    cap_std::fs::MetadataExt::mode(metadata) & 0o111 != 0
}

/// Whether a file can be run: on Windows its name says so.
#[cfg(windows)]
pub fn is_executable(_metadata: &Metadata, name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    matches!(extension.as_deref(), Some("exe" | "com" | "bat" | "cmd"))
}
