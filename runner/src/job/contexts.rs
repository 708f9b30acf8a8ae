//! What expressions of a job see: the server's contexts, and what only the runner knows (runner, steps, env, the
//! job's status, files). Knows nothing of processes.

use std::collections::BTreeMap;
use std::path::Path;

use millrace_proto::expression::{self, Env, Status};
use serde_json::{Map, Value, json};

use super::hash_files::WorkspaceFiles;
use crate::machine;

/// The contexts of one job.
pub struct JobContexts {
    roots: BTreeMap<String, Value>,
    /// What the status functions answer.
    pub status: Status,
    workspace: std::path::PathBuf,
}

impl JobContexts {
    /// The server's contexts, completed with the runner's.
    pub fn new(server: BTreeMap<String, Value>, runner: &str, workspace: &Path, temp: &Path) -> Self {
        let mut contexts = Self { roots: server, status: Status::SUCCESS, workspace: workspace.to_owned() };
        let workspace = workspace.to_string_lossy();
        contexts.roots.insert(
            "runner".to_owned(),
            json!({
                "os": machine::runner_os(),
                "arch": machine::runner_arch(),
                "name": runner,
                "temp": temp.to_string_lossy(),
                "workspace": workspace,
            }),
        );
        contexts.object("github").insert("workspace".to_owned(), json!(workspace));
        contexts.object("steps");
        contexts.set_status(Status::SUCCESS);
        contexts
    }

    /// How the job goes.
    pub fn set_status(&mut self, status: Status) {
        self.status = status;
        let word = if status.cancelled {
            "cancelled"
        } else if status.failure {
            "failure"
        } else {
            "success"
        };
        self.object("job").insert("status".to_owned(), json!(word));
    }

    /// The `env` context for the next action.
    pub fn set_env<'v>(&mut self, variables: impl IntoIterator<Item = (&'v String, &'v String)>) {
        let env = variables.into_iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>();
        self.roots.insert("env".to_owned(), Value::Object(env));
    }

    /// What became of an action, for `steps.<id>`.
    pub fn set_step(&mut self, id: &str, outputs: Vec<(String, String)>, outcome: &str, conclusion: &str) {
        let outputs = outputs.into_iter().map(|(name, value)| (name, Value::String(value))).collect::<Map<_, _>>();
        let step = json!({ "outputs": outputs, "outcome": outcome, "conclusion": conclusion });
        self.object("steps").insert(id.to_owned(), step);
    }

    /// Text with every `${{ }}` in place.
    pub fn text(&self, template: &str) -> Result<String, String> {
        let files = WorkspaceFiles { workspace: &self.workspace };
        expression::interpolate(template, &self.env(&files)).map_err(|error| error.to_string())
    }

    /// Whether an `if` holds.
    pub fn holds(&self, condition: Option<&str>) -> Result<bool, String> {
        let files = WorkspaceFiles { workspace: &self.workspace };
        expression::condition(condition, &self.env(&files)).map_err(|error| error.to_string())
    }

    /// Whether a `continue-on-error` is true; unlike an `if` it does not ask how things went.
    pub fn is_true(&self, text: &str) -> Result<bool, String> {
        let files = WorkspaceFiles { workspace: &self.workspace };
        let value = expression::evaluate_template_value(text, &self.env(&files)).map_err(|error| error.to_string())?;
        match value {
            Value::Bool(value) => Ok(value),
            Value::String(text) if matches!(text.trim(), "true" | "false" | "") => Ok(text.trim() == "true"),
            other => Err(format!("`{}` is neither true nor false", expression::render(&other))),
        }
    }

    fn env<'e>(&'e self, files: &'e WorkspaceFiles<'e>) -> Env<'e> {
        Env::new(&self.roots).with_status(self.status).with_files(files)
    }

    fn object(&mut self, name: &str) -> &mut Map<String, Value> {
        let root = self.roots.entry(name.to_owned()).or_insert_with(|| json!({}));
        if !root.is_object() {
            *root = json!({});
        }
        match root {
            Value::Object(object) => object,
            _ => unreachable!("made an object above"),
        }
    }
}
