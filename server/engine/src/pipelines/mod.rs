//! Workflow files: parse and check them, expand matrices, resolve inputs, and plan a job for a runner. Pure: the same
//! text gives the same answer. Knows nothing of runs in progress, stores, clocks or runners.

mod contexts;
mod cron;
pub mod decide;
mod diagnostic;
pub mod expand;
mod graph;
pub mod inputs;
mod parse;
pub mod plan;
mod scope;
mod source;
mod suggest;
mod workflow;
mod yaml;

pub use contexts::{JobContexts, NeedOutcome, NeedResult};
pub use diagnostic::{Diagnostic, Severity, Spot};
pub use expand::MatrixRow;
pub use workflow::{
    CHECKOUT, Defaults, EnvironmentDef, InputDef, InputType, JobDef, Matrix, PushFilter, RunsOn, Setting, StepAction,
    StepDef, Strategy, Text, Triggers, Workflow,
};

/// The largest workflow file.
pub const FILE_MAX_BYTES: usize = 1024 * 1024;
/// The most jobs in a workflow, before matrices.
pub const JOBS_MAX: usize = 500;
/// The most steps in a job.
pub const JOB_STEPS_MAX: usize = 1_000;
/// The most jobs that one matrix may make, GitHub's own limit.
pub const MATRIX_MAX_JOBS: usize = 256;
/// The most combinations of a matrix that are looked at before `exclude`.
pub const MATRIX_MAX_COMBINATIONS: usize = 1_024;
/// The longest text of the values of all jobs of a matrix together.
pub const MATRIX_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most inputs, GitHub's own limit.
pub const INPUTS_MAX: usize = 25;
/// The longest id of a job or step.
pub const ID_MAX_CHARS: usize = 100;
/// The deepest nesting of the YAML.
pub const YAML_MAX_DEPTH: usize = 64;
/// The most aliases (`*name`) in a file.
pub const YAML_MAX_ALIASES: usize = 1_000;
/// The most values in a file, those of aliases counted each time.
pub const YAML_MAX_VALUES: usize = 200_000;
/// The longest text of all values together, that of aliases counted each time.
pub const YAML_MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;
/// The most diagnostics that are collected.
pub const DIAGNOSTICS_MAX: usize = 100;
/// How long a job may take when it says nothing, in minutes; GitHub's own default.
pub const JOB_TIMEOUT_DEFAULT_MINUTES: u64 = 360;
/// The longest `timeout-minutes`, 35 days.
pub const TIMEOUT_MAX_MINUTES: u64 = 50_400;

#[cfg(test)]
mod tests;
