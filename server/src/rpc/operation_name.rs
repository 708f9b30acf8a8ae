//! The names of operations: `{instance}/operations/{id}`, read from the right. Who may not see the instance is told what
//! everybody is told of a name that nobody has.

use connectrpc::{ConnectError, RequestContext};
use millrace_engine::error::Error;
use millrace_proto::instance_name::InstanceName;

use super::cas_names::caller;
use super::status::status;
use crate::app::App;
use crate::auth::Role;

/// The segment before the id.
const OPERATIONS: &str = "operations";
/// How much of a name goes into a message, in bytes.
const SHOWN_MAX_BYTES: usize = 200;

/// An operation of an instance that the caller may execute in.
pub struct OperationName {
    /// The instance.
    pub instance: InstanceName,
    /// The last segment.
    pub id: String,
}

/// Parses a name for a caller.
pub fn enter(app: &App, ctx: &RequestContext, name: &str) -> Result<OperationName, ConnectError> {
    let caller = caller(ctx);
    caller.may(Role::Execute)?;
    let unknown = || status(Error::NotFound(format!("operation {:?}", cut(name))));
    let (instance, id) = split(name).ok_or_else(unknown)?;
    let instance = InstanceName::parse(instance).map_err(|_| unknown())?;
    app.cache.instances.check(caller, &instance).map_err(|_| unknown())?;
    Ok(OperationName { instance, id: id.to_owned() })
}

/// The instance whose operations are listed: by its name, or by that of its collection.
pub fn collection(app: &App, ctx: &RequestContext, name: &str) -> Result<InstanceName, ConnectError> {
    let caller = caller(ctx);
    caller.may(Role::Execute)?;
    let name = name.strip_suffix('/').unwrap_or(name);
    let instance = match name.strip_suffix(OPERATIONS) {
        Some("") => "",
        Some(before) => before.strip_suffix('/').unwrap_or(name),
        None => name,
    };
    app.cache.instances.of(caller, instance).map_err(status)
}

fn split(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_prefix('/').unwrap_or(name);
    let (before, id) = name.rsplit_once('/')?;
    let instance = match before.strip_suffix(OPERATIONS)? {
        "" => "",
        before => before.strip_suffix('/')?,
    };
    (!id.is_empty()).then_some((instance, id))
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(SHOWN_MAX_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn names_are_read_from_the_right() {
        assert_eq!(split("operations/1"), Some(("", "1")));
        assert_eq!(split("/operations/1"), Some(("", "1")));
        assert_eq!(split("a/b/operations/1"), Some(("a/b", "1")));
        for garbage in
            ["", "1", "operations", "operations/", "a/1", "myoperations/1", "a/operations/1/", "a/operations/"]
        {
            assert_eq!(split(garbage), None, "{garbage:?}");
        }
    }
}
