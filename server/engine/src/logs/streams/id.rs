//! Which stream: its log's id holds a hash of the parent, so that the id says whose it is without spelling it.

use millrace_proto::instance_name::InstanceName;

use crate::logs::project::{PROJECT_HASH_DIGITS, ProjectHash};
use crate::logs::{LOG_ID_MAX_BYTES, LogError, LogId};

/// What the ids of streams' logs begin with.
const PREFIX: &str = "s.";
/// The hex digits of a parent's hash in a log's id.
const PARENT_DIGITS: usize = PROJECT_HASH_DIGITS;
/// The longest id of a stream.
pub const STREAM_ID_MAX_BYTES: usize = LOG_ID_MAX_BYTES - PREFIX.len() - PARENT_DIGITS - 1;

/// A stream, by the id of its log: `s.{16 hex of sha256(parent)}.{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(LogId);

impl StreamId {
    /// The stream with this id below a parent.
    pub fn new(parent: &InstanceName, id: &str) -> Result<Self, LogError> {
        if id.is_empty() || id.len() > STREAM_ID_MAX_BYTES {
            let message =
                format!("the id of a log stream is {} bytes long; 1 to {STREAM_ID_MAX_BYTES} are allowed", id.len());
            return Err(LogError::invalid("resource_name", message));
        }
        Ok(Self(LogId::parse(&format!("{PREFIX}{}.{id}", ProjectHash::of(parent.as_str())))?))
    }

    /// The stream that a log is of; none if it is something else.
    pub fn of_log(log: &LogId) -> Option<Self> {
        let (parent, id) = log.as_str().strip_prefix(PREFIX)?.split_once('.')?;
        (ProjectHash::parse(parent).is_some() && !id.is_empty()).then(|| Self(log.clone()))
    }

    /// Its log.
    pub fn log(&self) -> &LogId {
        &self.0
    }

    /// Its id below its parent.
    pub fn id(&self) -> &str {
        &self.0.as_str()[PREFIX.len() + PARENT_DIGITS + 1..]
    }

    /// The hash of its parent, the project.
    pub fn project(&self) -> ProjectHash {
        let digits = &self.0.as_str()[PREFIX.len()..PREFIX.len() + PARENT_DIGITS];
        ProjectHash::parse(digits).unwrap_or_else(|| unreachable!("it was parsed or made with one"))
    }

    /// Whether it belongs to this parent.
    pub fn is_of(&self, parent: &InstanceName) -> bool {
        self.project() == ProjectHash::of(parent.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_there_and_back() {
        let parent = InstanceName::parse("team/app").unwrap();
        let stream = StreamId::new(&parent, "exec.0.stdout").unwrap();
        assert_eq!(StreamId::of_log(stream.log()), Some(stream.clone()));
        assert_eq!(stream.id(), "exec.0.stdout");
        assert!(stream.is_of(&parent) && !stream.is_of(&InstanceName::default()));
        assert!(StreamId::new(&parent, &"x".repeat(STREAM_ID_MAX_BYTES)).is_ok());
        for bad in ["", "a/b", "a b", &"x".repeat(STREAM_ID_MAX_BYTES + 1)] {
            assert!(StreamId::new(&parent, bad).is_err(), "{bad}");
        }
        for other in ["s", "s.x.y", "s.0123456789abcde.x", "s.0123456789abcdeg.x", "s.0123456789abcdef.", "run.1.0"] {
            assert_eq!(StreamId::of_log(&LogId::parse(other).unwrap()), None, "{other}");
        }
    }
}
