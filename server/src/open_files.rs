//! How many files this process may have open. A waiting runner holds a connection, a log its files, and many systems
//! give a process 1 024 of both unless it asks for more.

/// Raises the limit to the most that the system allows this process. Not for `millrace dev`: its jobs would inherit it.
#[cfg(unix)]
pub fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::debug!(%error, current = limit.current, "the limit of open files could not be raised");
    }
}

/// There is no such limit.
#[cfg(not(unix))]
pub fn raise_limit() {}
