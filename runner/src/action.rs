//! An action of remote execution from its task to its last word: inputs, the command with all it starts, outputs.
//! Knows nothing of polling.

mod cas;
#[cfg(target_os = "linux")]
mod cgroup;
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
#[cfg(target_os = "linux")]
mod nursery;
mod output_paths;
mod outputs;
mod process;
mod report;
mod run;
mod sandbox;
mod spool;
mod times;

pub use cas::Cas;
pub use disk::{ACTION_DISK_MAX_BYTES, Disk};
pub use inputs::Inputs;
pub use outputs::Outputs;
pub use process::Berth;
pub use run::{ActionHost, REMOVALS_MAX, run};
pub use sandbox::{Sandbox, SandboxMode};

/// Serves as a nursery when the command line says so.
#[cfg(target_os = "linux")]
pub fn nursery_if_asked() -> Option<std::process::ExitCode> {
    nursery::subreaper::run_if_asked()
}

/// There are no nurseries here.
#[cfg(not(target_os = "linux"))]
pub fn nursery_if_asked() -> Option<std::process::ExitCode> {
    None
}
