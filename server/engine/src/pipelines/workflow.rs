//! A workflow as typed data. Made by `parse`, read by everybody else; knows nothing of YAML.

use indexmap::IndexMap;
use serde_json::Value;

use super::diagnostic::{Diagnostic, Spot};

/// The built-in action that brings the files.
pub const CHECKOUT: &str = "actions/checkout";

/// A parsed and checked workflow file.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// The file, as the caller named it.
    pub file: String,
    /// `name`
    pub name: Option<String>,
    /// `run-name`
    pub run_name: Option<Text>,
    /// `on`
    pub triggers: Triggers,
    /// `env`
    pub env: IndexMap<String, Text>,
    /// `defaults.run`
    pub defaults: Defaults,
    /// In graph order: by stage, then as in the file.
    pub jobs: IndexMap<String, JobDef>,
}

impl Workflow {
    /// Parses and checks a file. Warnings come with the workflow, errors instead of it, both in the file's order;
    /// with errors come the warnings too.
    pub fn parse(file_name: &str, bytes: &[u8]) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        super::parse::workflow(file_name, bytes)
    }

    /// A job by its id.
    pub fn job(&self, id: &str) -> Option<&JobDef> {
        self.jobs.get(id)
    }
}

/// A text that may hold `${{ }}`, and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// As written.
    pub text: String,
    /// Its start in the file.
    pub at: Spot,
}

/// A value written down, or an expression for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting<T> {
    /// Written down.
    Fixed(T),
    /// A text with `${{ }}`.
    Expression(Text),
}

/// What starts a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Triggers {
    /// `push`
    pub push: Option<PushFilter>,
    /// `workflow_dispatch`
    pub dispatch: bool,
    /// `workflow_dispatch.inputs`
    pub inputs: IndexMap<String, InputDef>,
    /// The cron lines of `schedule`, checked.
    pub schedule: Vec<String>,
}

/// Which pushes; an absent list filters nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushFilter {
    /// `branches`
    pub branches: Option<Vec<String>>,
    /// `branches-ignore`
    pub branches_ignore: Option<Vec<String>>,
    /// `tags`
    pub tags: Option<Vec<String>>,
    /// `tags-ignore`
    pub tags_ignore: Option<Vec<String>>,
    /// `paths`
    pub paths: Option<Vec<String>>,
    /// `paths-ignore`
    pub paths_ignore: Option<Vec<String>>,
}

/// An input of workflow_dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct InputDef {
    /// For people.
    pub description: String,
    /// A run without it is refused, unless there is a default.
    pub required: bool,
    /// Its type.
    pub kind: InputType,
    /// Checked against the type.
    pub default: Option<Value>,
    /// Where it is defined.
    pub at: Spot,
}

/// The type of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputType {
    /// Any text.
    String,
    /// true or false.
    Boolean,
    /// A number.
    Number,
    /// One of these.
    Choice(Vec<String>),
    /// The name of an environment.
    Environment,
}

/// `defaults.run`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// `shell`
    pub shell: Option<Text>,
    /// `working-directory`
    pub working_directory: Option<Text>,
}

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobDef {
    /// Its key under `jobs`.
    pub id: String,
    /// Where it is defined.
    pub at: Spot,
    /// Its depth in the graph: 0 needs nothing.
    pub stage: u32,
    /// `name`
    pub name: Option<Text>,
    /// `needs`
    pub needs: Vec<String>,
    /// `runs-on`
    pub runs_on: RunsOn,
    /// `if`
    pub condition: Option<Text>,
    /// `strategy`
    pub strategy: Strategy,
    /// `timeout-minutes`, in milliseconds.
    pub timeout_ms: Setting<u64>,
    /// `continue-on-error`
    pub continue_on_error: Setting<bool>,
    /// `outputs`
    pub outputs: IndexMap<String, Text>,
    /// `defaults.run`
    pub defaults: Defaults,
    /// `env`
    pub env: IndexMap<String, Text>,
    /// `environment`
    pub environment: Option<EnvironmentDef>,
    /// `steps`
    pub steps: Vec<StepDef>,
}

/// `runs-on`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunsOn {
    /// Labels that a runner must have, all of them.
    Labels(Vec<Text>),
    /// A single expression, whose value is a text or a list.
    Expression(Text),
}

/// `strategy`
#[derive(Clone, Debug, PartialEq)]
pub struct Strategy {
    /// `matrix`
    pub matrix: Option<Matrix>,
    /// `fail-fast`
    pub fail_fast: Setting<bool>,
    /// `max-parallel`
    pub max_parallel: Option<Setting<u32>>,
}

impl Default for Strategy {
    fn default() -> Self {
        Self { matrix: None, fail_fast: Setting::Fixed(true), max_parallel: None }
    }
}

/// `strategy.matrix` as written: texts in it may be expressions, also the whole of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// An object, or a text that is one expression.
    pub value: Value,
    /// Where it stands.
    pub at: Spot,
    /// Whether it can be expanded only when the needed jobs are done.
    pub dynamic: bool,
}

/// `environment`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentDef {
    /// `name`
    pub name: Text,
    /// `url`
    pub url: Option<Text>,
    /// `approval: required`: the job is held until a person starts it.
    pub approval_required: bool,
}

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepDef {
    /// Where it is defined.
    pub at: Spot,
    /// `id`
    pub id: Option<String>,
    /// `name`
    pub name: Option<Text>,
    /// `if`
    pub condition: Option<Text>,
    /// `env`
    pub env: IndexMap<String, Text>,
    /// `timeout-minutes`, in milliseconds.
    pub timeout_ms: Option<Setting<u64>>,
    /// `continue-on-error`
    pub continue_on_error: Setting<bool>,
    /// `run` or `uses`
    pub action: StepAction,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepAction {
    /// `run`
    Run {
        /// The script.
        script: Text,
        /// `shell`
        shell: Option<Text>,
        /// `working-directory`
        working_directory: Option<Text>,
    },
    /// `uses: actions/checkout`
    Checkout {
        /// As written, with the version.
        uses: String,
        /// `with`
        with: IndexMap<String, Text>,
    },
}
