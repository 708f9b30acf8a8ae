//! The id of a log, parsed once at the door. What the parts of an id mean is its maker's business.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::LogError;

/// The longest id.
pub const LOG_ID_MAX_BYTES: usize = 200;

/// The id of a log: `[A-Za-z0-9._-]{1,200}`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(Arc<str>);

impl LogId {
    /// Parses an id.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        if text.is_empty() || text.len() > LOG_ID_MAX_BYTES {
            return Err(LogError::Invalid {
                field: "log_id",
                message: format!("is {} bytes long; 1 to {LOG_ID_MAX_BYTES} are allowed", text.len()),
            });
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-')) {
            return Err(LogError::Invalid {
                field: "log_id",
                message: format!("has {bad:?} in it; allowed are A-Z a-z 0-9 . _ -"),
            });
        }
        // No file and no address is named so.
        if text == "." || text == ".." {
            return Err(LogError::Invalid {
                field: "log_id",
                message: format!("is {text:?}; something else than one or two dots is to be there"),
            });
        }
        Ok(Self(text.into()))
    }

    /// The id as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogId {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        Self::parse(text)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids() {
        for good in ["a", "A.b_c-9", "...", &"x".repeat(200)] {
            assert_eq!(LogId::parse(good).unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", "0 bytes"),
            (&*"x".repeat(201), "201 bytes"),
            ("a/b", "'/'"),
            ("a\0", "'\\0'"),
            ("é", "'é'"),
            (".", "\".\""),
            ("..", "\"..\""),
        ] {
            let error = LogId::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("log_id") && error.contains(why), "{error}");
        }
    }
}
