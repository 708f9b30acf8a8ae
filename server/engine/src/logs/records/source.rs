//! Which log a call means: a named one of the caller's, or any by its id. Parsed once, at the door.

use super::{DEFAULT_LOG, NamedLog};
use crate::logs::{LogError, LogId};

/// Which log a call means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordSource {
    /// A log of records, by its name.
    Named(NamedLog),
    /// Any log, by its id: to read.
    Log(LogId),
}

impl RecordSource {
    /// The log that this text means to a caller of this project ("": of none): the id of any log if it has a dot in it,
    /// else a name; "" is [`DEFAULT_LOG`].
    pub fn parse(text: &str, project: &str) -> Result<Self, LogError> {
        if !text.contains('.') {
            return NamedLog::new(project, if text.is_empty() { DEFAULT_LOG } else { text }).map(Self::Named);
        }
        LogId::parse(text).map(Self::Log).map_err(|error| match error {
            LogError::Invalid { message, .. } => LogError::invalid("log", format!("an id {message}")),
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_told_apart() {
        let named = |name: &str| RecordSource::Named(NamedLog::new("team", name).unwrap());
        assert_eq!(RecordSource::parse("", "team").unwrap(), named("default"));
        assert_eq!(RecordSource::parse("7", "team").unwrap(), named("7"));
        assert_ne!(RecordSource::parse("7", "").unwrap(), named("7"));
        let id = "r.e3b0c44298fc1c14.default";
        assert_eq!(RecordSource::parse(id, "").unwrap(), RecordSource::Log(LogId::parse(id).unwrap()));
        for bad in ["Orders", "-a", "a/b", "a.b/c", &"x".repeat(101), &format!("a.{}", "x".repeat(200))] {
            let error = RecordSource::parse(bad, "").unwrap_err().to_string();
            assert!(error.starts_with("log: "), "{error}");
        }
    }
}
