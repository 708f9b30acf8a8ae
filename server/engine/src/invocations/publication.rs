//! What a publisher sends: numbered events of one stream. Parsed once, at the door.

use millrace_proto::build_events as wire;
use millrace_proto::instance_name::InstanceName;

use super::limits::ID_MAX_BYTES;
use crate::error::{Error, Result};

/// The components that may publish, by their numbers on the wire.
pub mod component {
    /// What coordinates builds: it sends lifecycle events.
    pub const CONTROLLER: i32 = 1;
    /// What runs programs.
    pub const WORKER: i32 = 2;
    /// What builds.
    pub const TOOL: i32 = 3;
}

/// Names a stream of events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// The project.
    pub instance: InstanceName,
    /// The build.
    pub build_id: String,
    /// The invocation; empty: what is said of the build as such.
    pub invocation_id: String,
    /// Who sends.
    pub component: i32,
}

/// An event and its number.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// From 1.
    pub sequence: i64,
    /// The event.
    pub event: wire::BuildEvent,
}

/// Events of one stream, in their order.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The stream.
    pub stream: StreamKey,
    /// Consecutive numbers.
    pub events: Vec<Numbered>,
    /// Words to be told of with the build.
    pub keywords: Vec<String>,
    /// What must come before the first event must have come.
    pub check_preceding: bool,
    /// How long the publisher may be silent, if it says so.
    pub timeout_ms: Option<i64>,
}

impl StreamKey {
    /// Parses a stream's name. `of_tool`: events of a build tool need an invocation.
    pub fn parse(instance: InstanceName, id: &wire::StreamId, of_tool: bool) -> Result<Self> {
        let key = Self {
            instance,
            build_id: id.build_id.clone(),
            invocation_id: id.invocation_id.clone(),
            component: id.component.to_i32(),
        };
        check("stream_id.build_id", &key.build_id)?;
        if of_tool || !key.invocation_id.is_empty() {
            check("stream_id.invocation_id", &key.invocation_id)?;
        }
        if !(component::CONTROLLER..=component::TOOL).contains(&key.component) {
            let message = format!("{} is not CONTROLLER (1), WORKER (2) or TOOL (3)", key.component);
            return Err(Error::invalid("stream_id.component", message));
        }
        Ok(key)
    }
}

impl Publication {
    /// One event of a stream.
    pub fn of(stream: StreamKey, sequence: i64, event: wire::BuildEvent) -> Result<Self> {
        if sequence < 1 {
            return Err(Error::invalid("sequence_number", format!("is {sequence}; a stream's numbers begin with 1")));
        }
        let events = vec![Numbered { sequence, event }];
        Ok(Self { stream, events, keywords: Vec::new(), check_preceding: false, timeout_ms: None })
    }
}

fn check(field: &'static str, id: &str) -> Result<()> {
    if id.is_empty() || id.len() > ID_MAX_BYTES {
        return Err(Error::invalid(field, format!("is {} bytes long; 1 to {ID_MAX_BYTES} are allowed", id.len())));
    }
    match id.chars().find(|one| !one.is_ascii_alphanumeric() && !matches!(one, '.' | '_' | '-')) {
        Some(bad) => Err(Error::invalid(field, format!("has {bad:?} in it; allowed are A-Z a-z 0-9 . _ -"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(build_id: &str, invocation_id: &str, component: i32, of_tool: bool) -> Result<StreamKey> {
        let id = wire::StreamId {
            build_id: build_id.into(),
            invocation_id: invocation_id.into(),
            component: component.into(),
            ..Default::default()
        };
        StreamKey::parse(InstanceName::default(), &id, of_tool)
    }

    #[test]
    fn a_name_that_is_none_is_refused_with_its_field() {
        assert!(parse("b", "i", 3, true).is_ok());
        assert!(parse("b", "", 1, false).is_ok(), "a build as such");
        let long = "x".repeat(ID_MAX_BYTES + 1);
        for (build, invocation, component, field) in [
            ("", "i", 3, "stream_id.build_id"),
            (&*long, "i", 3, "stream_id.build_id"),
            ("a/b", "i", 3, "stream_id.build_id"),
            ("b", "", 3, "stream_id.invocation_id"),
            ("b", "..\0", 3, "stream_id.invocation_id"),
            ("b", "i", 0, "stream_id.component"),
            ("b", "i", 4, "stream_id.component"),
        ] {
            let error = parse(build, invocation, component, true).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
        let stream = parse("b", "i", 3, true).unwrap();
        let error = Publication::of(stream, 0, wire::BuildEvent::default()).unwrap_err().to_string();
        assert!(error.starts_with("sequence_number"), "{error}");
    }
}
