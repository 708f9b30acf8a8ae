//! An action of remote execution from its task to its last word: inputs, the command with all it starts, outputs.
//! Knows nothing of polling.

mod cas;
mod directories;
mod disk;
mod error;
mod file_cache;
#[cfg(all(test, unix))]
mod file_tests;
mod inputs;
mod live;
mod locate;
mod materialise;
mod output_paths;
mod outputs;
mod process;
mod report;
mod run;
mod sandbox;
mod spool;
mod times;
#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod nursery;

pub use cas::Cas;
pub use error::{ActionError, Result};
pub use inputs::{Inputs, Laid};
pub use outputs::{Finished, Outputs};
pub use disk::{ACTION_DISK_MAX_BYTES, Disk};
pub use process::Berth;
pub use run::{ActionHost, REMOVALS_MAX, run};
pub use sandbox::{Sandbox, SandboxMode};
pub use spool::Spool;

/// Serves as a nursery when the command line says so.
#[cfg(target_os = "linux")]
pub fn helper_if_asked() -> Option<std::process::ExitCode> {
    nursery::helper::run_if_asked()
}

/// There are no helper processes here.
#[cfg(not(target_os = "linux"))]
pub fn helper_if_asked() -> Option<std::process::ExitCode> {
    None
}
