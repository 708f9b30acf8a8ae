//! Which instances of the remote cache there are, and which of them a caller may see. One that they may not see does not
//! exist for them. Knows nothing of what is in an instance.

use millrace_engine::error::{Error, Result};
use millrace_proto::instance_name::InstanceName;

use super::Caller;

/// The instances there are.
#[derive(Clone, Debug, Default)]
pub struct Instances {
    /// None: every name is an instance.
    only: Option<Vec<InstanceName>>,
}

impl Instances {
    /// These, or every name.
    pub fn new(only: Option<Vec<InstanceName>>) -> Self {
        Self { only }
    }

    /// The instance with this name, if there is one for this caller.
    pub fn of(&self, caller: &Caller, name: &str) -> Result<InstanceName> {
        let instance = InstanceName::parse(name).map_err(|error| invalid(&error))?;
        self.check(caller, &instance)?;
        Ok(instance)
    }

    /// Whether there is this instance for this caller.
    pub fn check(&self, caller: &Caller, instance: &InstanceName) -> Result<()> {
        let is_there = self.only.as_ref().is_none_or(|only| only.contains(instance));
        if is_there && caller.sees(instance.as_str()) {
            return Ok(());
        }
        Err(Error::NotFound(format!("instance {:?}", instance.as_str())))
    }
}

/// The message names the field already.
fn invalid(error: &millrace_proto::instance_name::InstanceNameError) -> Error {
    let message = error.to_string();
    Error::invalid("instance_name", message.strip_prefix("instance_name: ").unwrap_or(&message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;

    fn token(project: &str) -> Caller {
        Caller::Token { label: "x".into(), role: Role::CacheRead, project: project.into() }
    }

    #[test]
    fn what_is_not_there_and_what_may_not_be_seen_look_the_same() {
        let all = Instances::default();
        assert_eq!(all.of(&Caller::Open, "a/b").unwrap().as_str(), "a/b");
        assert_eq!(all.of(&token("a/b"), "a/b").unwrap().as_str(), "a/b");
        let hidden = all.of(&token("a"), "a/b").unwrap_err().to_string();
        let some = Instances::new(Some(vec![InstanceName::parse("a").unwrap()]));
        let missing = some.of(&Caller::Open, "a/b").unwrap_err().to_string();
        assert_eq!((&hidden, hidden.as_str()), (&missing, "instance \"a/b\" not found"));
        assert!(some.of(&token("a"), "a").is_ok());
        assert!(some.of(&token("b"), "b").is_err());
        assert!(all.of(&token("a"), "").is_err(), "the instance without a name is one like others");
    }

    #[test]
    fn a_bad_name_is_said_once() {
        let error = Instances::default().of(&Caller::Open, "a//b").unwrap_err().to_string();
        assert_eq!(error.matches("instance_name").count(), 1, "{error}");
    }
}
