//! Which contexts and functions an expression may use at which place, after GitHub's table. Knows nothing of values.

/// A place for expressions.
pub(super) struct Place {
    /// As messages name it.
    pub(super) name: &'static str,
    /// The contexts that exist there.
    pub(super) contexts: &'static [&'static str],
    /// Whether success() and the like may be called.
    pub(super) status: bool,
    /// Whether hashFiles() may be called.
    pub(super) files: bool,
}

const fn place(name: &'static str, contexts: &'static [&'static str]) -> Place {
    Place { name, contexts, status: false, files: false }
}

pub(super) const RUN_NAME: Place = place("run-name", &["github", "inputs", "vars"]);
pub(super) const WORKFLOW_ENV: Place = place("env of the workflow", &["github", "secrets", "inputs", "vars"]);
pub(super) const DEFAULTS: Place =
    place("defaults.run", &["github", "needs", "strategy", "matrix", "env", "vars", "inputs"]);
pub(super) const WORKFLOW_DEFAULTS: Place = place("defaults.run", &["github", "env", "vars", "inputs"]);
pub(super) const JOB_IF: Place =
    Place { name: "if of a job", contexts: &["github", "needs", "vars", "inputs"], status: true, files: false };
pub(super) const STRATEGY: Place = place("strategy", &["github", "needs", "vars", "inputs"]);
pub(super) const JOB: Place = place("the job", &["github", "needs", "strategy", "matrix", "vars", "inputs"]);
pub(super) const JOB_ENV: Place =
    place("env of a job", &["github", "needs", "strategy", "matrix", "vars", "secrets", "inputs"]);
pub(super) const OUTPUTS: Place = place("outputs", &STEP_CONTEXTS);
pub(super) const STEP: Place = Place { name: "a step", contexts: &STEP_CONTEXTS, status: false, files: true };
pub(super) const STEP_IF: Place = Place {
    name: "if of a step",
    contexts: &["github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "steps", "inputs"],
    status: true,
    files: true,
};
/// Settings of a step that the server evaluates, before there is a runner.
pub(super) const STEP_SETTING: Place =
    place("this setting of a step", &["github", "needs", "strategy", "matrix", "env", "vars", "inputs"]);

const STEP_CONTEXTS: [&str; 11] =
    ["github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "secrets", "steps", "inputs"];
