//! The runner agent: polls a server for tasks, runs them on this machine and streams their logs. Knows nothing of
//! SQL, of workflows in YAML, or of the server's code; the wire is all they share.

mod action;
mod api;
mod backoff;
mod config;
mod data_folder;
mod error;
mod identity;
mod job;
mod logs;
mod machine;
mod platform;
mod session;
mod shutdown;
mod slot;
mod slots;
mod transport;

pub use action::SandboxMode;
pub use api::VERSION;
pub use config::{ActionConfig, Config};
pub use error::{Error, Exit};
pub use session::run;
pub use shutdown::Shutdown;

/// Serves as a nursery, a process of a runner's slot, when the command line says so. To be called first in `main`, before there is
/// a second thread, by every program that runs a runner in itself.
pub fn nursery_if_asked() -> Option<std::process::ExitCode> {
    action::nursery_if_asked()
}
