//! Which log has a name: its id holds a hash of the project, so that the id says whose it is without spelling it. Knows
//! nothing of what is in it.

use crate::logs::project::{PROJECT_HASH_DIGITS, ProjectHash};
use crate::logs::{LogError, LogId};

/// The log of the platform's own events, which only the server writes.
pub const EVENTS_LOG: &str = "events";
/// The log that is meant when none is named.
pub const DEFAULT_LOG: &str = "default";
/// The longest name of a log.
pub const LOG_NAME_MAX_BYTES: usize = 100;

/// What the ids of named logs begin with.
const PREFIX: &str = "r.";
/// The hex digits of a project's hash in a log's id.
const PROJECT_DIGITS: usize = PROJECT_HASH_DIGITS;

/// A named log of a project, by its id: `r.{16 hex of sha256(project)}.{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamedLog(LogId);

impl NamedLog {
    /// The log with this name: 1 to [`LOG_NAME_MAX_BYTES`] of `a-z 0-9 _ -`, beginning with a letter or a digit. The
    /// project is empty for callers that are of none.
    pub fn new(project: &str, name: &str) -> Result<Self, LogError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = name.bytes().next().is_some_and(plain)
            && name.len() <= LOG_NAME_MAX_BYTES
            && name.bytes().all(|byte| plain(byte) || matches!(byte, b'_' | b'-'));
        if !good {
            return Err(LogError::invalid(
                "log",
                format!(
                    "{name:?} is no name of a log: 1 to {LOG_NAME_MAX_BYTES} of a-z, 0-9, \"_\" and \"-\" are allowed, \
                     beginning with a letter or digit"
                ),
            ));
        }
        Ok(Self(LogId::parse(&format!("{PREFIX}{}.{name}", ProjectHash::of(project)))?))
    }

    /// The events of a project; of the empty one: all events of the server.
    pub fn events(project: &str) -> Result<Self, LogError> {
        Self::new(project, EVENTS_LOG)
    }

    /// The named log that a log is; none if it is something else.
    pub fn of_log(log: &LogId) -> Option<Self> {
        let (project, name) = log.as_str().strip_prefix(PREFIX)?.split_once('.')?;
        (ProjectHash::parse(project).is_some() && !name.is_empty()).then(|| Self(log.clone()))
    }

    /// What the ids of a project's named logs begin with; None: of all.
    pub fn id_prefix(project: Option<ProjectHash>) -> String {
        project.map_or_else(|| PREFIX.to_owned(), |project| format!("{PREFIX}{project}."))
    }

    /// Its log.
    pub fn log(&self) -> &LogId {
        &self.0
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.as_str()[PREFIX.len() + PROJECT_DIGITS + 1..]
    }

    /// The hash of its project.
    pub fn project(&self) -> ProjectHash {
        let digits = &self.0.as_str()[PREFIX.len()..PREFIX.len() + PROJECT_DIGITS];
        ProjectHash::parse(digits).unwrap_or_else(|| unreachable!("it was parsed or made with one"))
    }

    /// Whether it belongs to this project.
    pub fn is_of(&self, project: &str) -> bool {
        self.project() == ProjectHash::of(project)
    }

    /// Whether only the server writes it.
    pub fn is_read_only(&self) -> bool {
        self.name() == EVENTS_LOG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_there_and_back() {
        let log = NamedLog::new("team/app", "audit_2-x").unwrap();
        assert_eq!(NamedLog::of_log(log.log()), Some(log.clone()));
        assert_eq!(log.name(), "audit_2-x");
        assert!(log.is_of("team/app") && !log.is_of("") && !log.is_of("team"));
        assert!(!log.is_read_only() && NamedLog::events("").unwrap().is_read_only());
        assert_eq!(NamedLog::events("").unwrap().log().as_str(), "r.e3b0c44298fc1c14.events");
        assert!(NamedLog::new("", &"x".repeat(LOG_NAME_MAX_BYTES)).is_ok());
    }

    #[test]
    fn only_names() {
        for bad in ["", "A", "_a", "-a", "a.b", "a b", "é", &"x".repeat(LOG_NAME_MAX_BYTES + 1)] {
            let error = NamedLog::new("", bad).unwrap_err().to_string();
            assert!(error.starts_with("log: "), "{error}");
        }
        for other in ["r", "r.x.y", "r.0123456789abcde.x", "r.0123456789abcdeg.x", "r.0123456789abcdef.", "run.1.0"] {
            assert_eq!(NamedLog::of_log(&LogId::parse(other).unwrap()), None, "{other}");
        }
    }
}
