//! The JSON in `FetchTaskResponse.content`: one job for one runner, with its address, its environment and its
//! actions. Written by the server, read by agents; documented for others in docs/task-content.md.
//!
//! An agent that knows nothing of expressions runs `command` of each action whose `condition` is true, in order, and
//! stops at the first failure. An agent that evaluates expressions itself uses `template` and `if` with `contexts`
//! instead, because these see the outputs of earlier actions. Knows nothing of how any of it is decided or run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of this schema; grows only when an older agent would do the wrong thing.
pub const SCHEMA: u32 = 1;

/// A job as a runner gets it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskContent {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The run.
    pub tx_uuid: String,
    /// The stage in the run.
    pub stage_idx: u32,
    /// The row in the stage.
    pub step_row_idx: u32,
    /// The step in the row.
    pub step_idx: u32,
    /// The lease: sent back with each update, so that an older holder of the same task is refused.
    pub epoch: u64,
    /// How long the lease lasts without an update, in milliseconds.
    pub lease_ms: u64,
    /// How long a cancelled job may take to end by itself before it is killed, in milliseconds.
    pub cancel_grace_ms: u64,
    /// The job's key in the run.
    pub key: String,
    /// The job's name, for people.
    pub name: String,
    /// How long the job may take, in milliseconds; absent: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The job's environment (the workflow's, the job's and the `GITHUB_*` and `CI` variables), resolved.
    pub env: BTreeMap<String, String>,
    /// Where `actions/checkout` gets the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The expression contexts the server knows: github, vars, inputs, needs, matrix, strategy, job, secrets.
    pub contexts: BTreeMap<String, Value>,
    /// Values that must not appear in any log.
    pub masks: Vec<String>,
    /// The job's outputs as templates, evaluated by the agent when the actions are done.
    pub outputs: BTreeMap<String, String>,
    /// What to run, in order.
    pub actions: Vec<Action>,
}

/// One command of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Action {
    /// Its place in the job, from 0.
    pub index: u32,
    /// Its name, for people.
    pub name: String,
    /// Its id for `steps.<id>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The script, with every expression resolved that the server can resolve; others are empty.
    pub command: String,
    /// The script as written, when it has expressions: an agent that evaluates uses this one, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// bash, sh, pwsh, powershell, cmd, python, or a command line with `{0}` for the script file; empty: the
    /// platform's default (bash, or pwsh on Windows).
    pub shell: String,
    /// The working directory (a template), relative to the workspace.
    pub directory: String,
    /// Whether to run it, as far as the server can decide when all goes well.
    pub condition: bool,
    /// The `if` expression as written; absent means `success()`.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub if_expr: Option<String>,
    /// The action's own environment: values are templates.
    pub env: BTreeMap<String, String>,
    /// How long it may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether its failure is forgiven: `true`, `false` or an expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continue_on_error: Option<String>,
    /// A built-in in place of a script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<Uses>,
}

/// A built-in action and its inputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Uses {
    /// `actions/checkout`, without the version.
    pub name: String,
    /// The inputs: values are templates.
    pub with: BTreeMap<String, String>,
}

/// Where the files of a run come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A folder on the runner's machine; its version-controlled files, as they are in the working tree.
    Directory(String),
    /// A git repository.
    Git {
        /// What `git clone` takes.
        url: String,
        /// Branch, tag or commit; empty: the default branch.
        r#ref: String,
    },
}
