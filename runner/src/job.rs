//! One task from its content to its final state: workspace, actions in order, expressions, outputs. Knows nothing of
//! polling.

mod action;
mod checkout;
mod checkout_directory;
mod checkout_git;
mod command_file;
mod contexts;
mod environment;
mod hash_files;
mod process;
mod report;
mod run;
mod shell;
mod stop;

pub use run::{JobHost, run};
pub use stop::{Stop, StopSwitch, Verdict};
