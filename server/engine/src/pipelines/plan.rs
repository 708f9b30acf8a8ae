//! A job as its runner gets it: expressions resolved that the server can resolve, the others left for the runner.
//! Address, lease, source, masks and the `GITHUB_*` environment are the caller's.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use millrace_proto::expression::{Contexts, Template};
use millrace_proto::task_content::{Action, SCHEMA, TaskContent, Uses};
use serde_json::{Map, Value, json};

use super::contexts::JobContexts;
use super::decide::{self, row_contexts, row_scope, timeout_ms};
use super::diagnostic::Diagnostic;
use super::expand::MatrixRow;
use super::scope::Scope;
use super::workflow::{CHECKOUT, JobDef, Setting, StepAction, StepDef, Text, Workflow};

/// The shells that have a name.
pub const SHELLS: [&str; 6] = ["bash", "sh", "pwsh", "powershell", "cmd", "python"];
/// The longest name of a step, in characters.
pub const STEP_NAME_MAX_CHARS: usize = 200;

/// The content of a job's task: key, name, timeout, environment, contexts, outputs and actions.
pub fn task_content(
    workflow: &Workflow,
    job: &JobDef,
    row: &MatrixRow,
    contexts: &JobContexts,
) -> Result<TaskContent, Diagnostic> {
    let resolved = decide::resolve(workflow, job, row, contexts)?;
    let scope = row_scope(workflow, job, row, contexts)?;
    let env = environment(workflow, job, contexts, &scope)?;
    let job_context = json!({ "status": "success" });
    let mut shared = row_contexts(workflow, job, row, contexts)?;
    shared.insert("job".to_owned(), job_context.clone());
    let scope = scope.with("job", job_context).with("env", Value::Object(to_object(&env)));
    let actions = job.steps.iter().enumerate().map(|(index, step)| action(workflow, job, step, index, &scope));
    Ok(TaskContent {
        schema: SCHEMA,
        key: resolved.key,
        name: resolved.name,
        timeout_ms: Some(resolved.timeout_ms),
        env: env.into_iter().collect(),
        contexts: shared.into_iter().collect(),
        outputs: templates(&job.outputs),
        actions: actions.collect::<Result<_, _>>()?,
        ..TaskContent::default()
    })
}

/// The workflow's environment with the job's over it.
fn environment(
    workflow: &Workflow,
    job: &JobDef,
    contexts: &JobContexts,
    scope: &Scope<'_>,
) -> Result<IndexMap<String, String>, Diagnostic> {
    let mut env = Scope::new(&workflow.file, contexts.of_run()).texts("env", &workflow.env)?;
    env.extend(scope.texts("env", &job.env)?);
    Ok(env)
}

fn action(
    workflow: &Workflow,
    job: &JobDef,
    step: &StepDef,
    index: usize,
    scope: &Scope<'_>,
) -> Result<Action, Diagnostic> {
    let scope = step_scope(step, scope);
    let timeout_ms = step.timeout_ms.as_ref().map(|setting| timeout_ms(&scope, setting)).transpose()?;
    let mut action = Action {
        index: index as u32,
        name: name(step, &scope),
        id: step.id.clone(),
        condition: foreseen(step, &scope),
        if_expr: step.condition.as_ref().map(|text| text.text.clone()),
        env: templates(&step.env),
        timeout_ms,
        continue_on_error: continue_on_error(step),
        ..Action::default()
    };
    match &step.action {
        StepAction::Run { script, shell: own_shell, working_directory } => {
            action.command = scope.known(script);
            action.template = has_expressions(script).then(|| script.text.clone());
            let defaults = [job.defaults.shell.as_ref(), workflow.defaults.shell.as_ref()];
            action.shell = shell(&scope, first(own_shell.as_ref(), defaults))?;
            let defaults = [job.defaults.working_directory.as_ref(), workflow.defaults.working_directory.as_ref()];
            action.directory =
                first(working_directory.as_ref(), defaults).map(|text| text.text.clone()).unwrap_or_default();
        }
        StepAction::Checkout { with, .. } => {
            action.uses = Some(Uses { name: CHECKOUT.to_owned(), with: templates(with) });
        }
    }
    Ok(action)
}

/// The job's contexts with the step's own environment, as far as it is known.
fn step_scope<'f>(step: &StepDef, scope: &Scope<'f>) -> Scope<'f> {
    let mut env = match scope.context("env") {
        Some(Value::Object(env)) => env.clone(),
        _ => Map::new(),
    };
    env.extend(step.env.iter().map(|(name, text)| (name.clone(), Value::String(scope.known(text)))));
    scope.with("env", Value::Object(env))
}

fn name(step: &StepDef, scope: &Scope<'_>) -> String {
    let name = match (&step.name, &step.action) {
        (Some(name), _) => scope.known(name),
        (None, StepAction::Run { script, .. }) => {
            format!("Run {}", first_line(&scope.known(script)))
        }
        (None, StepAction::Checkout { uses, .. }) => format!("Run {uses}"),
    };
    name.trim().chars().take(STEP_NAME_MAX_CHARS).collect()
}

fn first_line(script: &str) -> &str {
    script.trim_start().lines().next().unwrap_or_default()
}

/// Whether the step would run when all goes well; what only the runner knows counts as empty.
fn foreseen(step: &StepDef, scope: &Scope<'_>) -> bool {
    let scope = scope.with("steps", json!({})).with("runner", json!({}));
    scope.condition(step.condition.as_ref()).unwrap_or(false)
}

fn continue_on_error(step: &StepDef) -> Option<String> {
    match &step.continue_on_error {
        Setting::Fixed(false) => None,
        Setting::Fixed(true) => Some("true".to_owned()),
        Setting::Expression(text) => Some(text.text.clone()),
    }
}

fn shell(scope: &Scope<'_>, text: Option<&Text>) -> Result<String, Diagnostic> {
    let Some(text) = text else {
        return Ok(String::new());
    };
    let shell = scope.text("shell", text)?;
    if is_shell(&shell) || shell.is_empty() {
        return Ok(shell);
    }
    Err(scope.refused("shell", text.at, SHELL_EXPECTED, &Value::String(shell)))
}

/// What a shell may be, in words.
pub(super) const SHELL_EXPECTED: &str =
    "bash, sh, pwsh, powershell, cmd, python, or a command line with `{0}` for the script file";

/// A name, or a command line with a place for the script.
pub(super) fn is_shell(shell: &str) -> bool {
    SHELLS.contains(&shell) || shell.contains("{0}")
}

/// The step's own, else the nearest default.
fn first<'t>(own: Option<&'t Text>, defaults: [Option<&'t Text>; 2]) -> Option<&'t Text> {
    own.or_else(|| defaults.into_iter().flatten().next())
}

fn has_expressions(text: &Text) -> bool {
    Template::parse(&text.text).is_ok_and(|template| !template.is_plain())
}

fn templates(texts: &IndexMap<String, Text>) -> BTreeMap<String, String> {
    texts.iter().map(|(name, text)| (name.clone(), text.text.clone())).collect()
}

fn to_object(env: &IndexMap<String, String>) -> Map<String, Value> {
    env.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect()
}
