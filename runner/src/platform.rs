//! What differs between operating systems, one file each: starting a process together with all it starts, asking it
//! to end, killing it, and private files. Knows nothing of tasks.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub use linux::sweep_session;
#[cfg(unix)]
pub use unix::{Group, create_private, make_removable, sweep, sync_folder};
#[cfg(windows)]
pub use windows::{Group, create_private, make_removable, sweep, sync_folder};

/// The variable in the environment of every process of a task: on Linux also those that left their group are found
/// by it. A runner inside another's task keeps the outer mark, so that the outer runner finds them too.
pub const MARK_VARIABLE: &str = "MILLRACE_TASK_MARK";

/// How a process ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    #[cfg_attr(windows, expect(dead_code, reason = "there are no signals"))]
    Signal(i32),
}
