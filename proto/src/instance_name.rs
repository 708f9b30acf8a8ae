//! The instance name of remote execution: which project's cache a request means. Checked once, at the door, so that
//! names built from it can be parsed again. Knows nothing of which projects there are.

use std::{fmt, sync::Arc};

/// The longest instance name.
pub const INSTANCE_NAME_MAX_BYTES: usize = 256;

/// Segments that have a meaning in resource names.
pub const RESERVED_SEGMENTS: [&str; 7] =
    ["blobs", "uploads", "actions", "actionResults", "operations", "capabilities", "compressed-blobs"];

/// Zero, one or many segments with slashes between them. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceName(Arc<str>);

/// Why a text is no instance name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstanceNameError {
    /// Too long.
    #[error("instance_name: {0} bytes; the limit is {INSTANCE_NAME_MAX_BYTES}")]
    TooLong(usize),
    /// A slash at the start or at the end, or two together.
    #[error("instance_name: an empty segment; slashes stand between segments only")]
    EmptySegment,
    /// A segment that resource names use.
    #[error("instance_name: the segment {0:?} is reserved for resource names")]
    Reserved(&'static str),
    /// A line end, an escape or the like.
    #[error("instance_name: a control character at byte {0}")]
    Control(usize),
}

impl InstanceName {
    /// Checks a name.
    pub fn parse(name: &str) -> Result<Self, InstanceNameError> {
        if name.is_empty() {
            return Ok(Self::default());
        }
        if name.len() > INSTANCE_NAME_MAX_BYTES {
            return Err(InstanceNameError::TooLong(name.len()));
        }
        if let Some((at, _)) = name.char_indices().find(|(_, letter)| letter.is_control()) {
            return Err(InstanceNameError::Control(at));
        }
        for segment in name.split('/') {
            if segment.is_empty() {
                return Err(InstanceNameError::EmptySegment);
            }
            if let Some(reserved) = RESERVED_SEGMENTS.into_iter().find(|reserved| *reserved == segment) {
                return Err(InstanceNameError::Reserved(reserved));
            }
        }
        Ok(Self(name.into()))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the name without segments.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names() {
        for good in ["", "main", "a/b/c", "logstreams", "Blobs", "blobs2", "x y", "ü/.."] {
            assert_eq!(InstanceName::parse(good).unwrap().to_string(), good);
        }
        assert_eq!(InstanceName::parse("").unwrap(), InstanceName::default());
        assert!(InstanceName::default().is_empty());
        for bad in ["/", "/a", "a/", "a//b"] {
            assert_eq!(InstanceName::parse(bad), Err(InstanceNameError::EmptySegment), "{bad}");
        }
        for reserved in RESERVED_SEGMENTS {
            for name in [reserved.to_owned(), format!("a/{reserved}"), format!("{reserved}/a")] {
                assert_eq!(InstanceName::parse(&name), Err(InstanceNameError::Reserved(reserved)));
            }
        }
        assert_eq!(InstanceName::parse("ab\n"), Err(InstanceNameError::Control(2)));
        assert!(InstanceName::parse(&"x".repeat(256)).is_ok());
        assert_eq!(InstanceName::parse(&"x".repeat(257)), Err(InstanceNameError::TooLong(257)));
    }

    proptest! {
        #[test]
        fn no_text_panics(name in "(\\PC|/|\n){0,300}") {
            if let Ok(parsed) = InstanceName::parse(&name) {
                prop_assert_eq!(parsed.as_str(), name);
            }
        }
    }
}
