//! What is decided about a job when its needs are done: whether it runs, its strategy, and per matrix row its name,
//! labels, environment and limits. Decides nothing by itself about waiting or order: that is the scheduler's.

use millrace_proto::expression::render;
use serde_json::{Map, Value, json};

use super::TIMEOUT_MAX_MINUTES;
use super::contexts::JobContexts;
use super::diagnostic::{Diagnostic, Spot};
use super::expand::MatrixRow;
use super::scope::Scope;
use super::workflow::{JobDef, RunsOn, Setting, Text, Workflow};

/// The longest name of a job or run, in characters.
pub const NAME_MAX_CHARS: usize = 250;

/// The job's `if`; it is evaluated before the matrix is expanded.
pub fn runs(workflow: &Workflow, job: &JobDef, contexts: &JobContexts) -> Result<bool, Diagnostic> {
    let mut scope = Scope::new(&workflow.file, contexts.of_job());
    scope.status = contexts.status();
    scope.condition(job.condition.as_ref())
}

/// `strategy` without the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrategyValues {
    /// A failure cancels the others of the matrix.
    pub fail_fast: bool,
    /// How many of the matrix may run at once.
    pub max_parallel: Option<u32>,
}

/// The job's strategy.
pub fn strategy(workflow: &Workflow, job: &JobDef, contexts: &JobContexts) -> Result<StrategyValues, Diagnostic> {
    let scope = Scope::new(&workflow.file, contexts.of_job());
    let max_parallel = match &job.strategy.max_parallel {
        None => None,
        Some(Setting::Fixed(most)) => Some(*most),
        Some(Setting::Expression(text)) => Some((scope.number("max-parallel", text)? as u32).max(1)),
    };
    Ok(StrategyValues { fail_fast: scope.flag("fail-fast", &job.strategy.fail_fast)?, max_parallel })
}

/// What is known of one job of a matrix (or of a job without one) when it becomes ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedJob {
    /// Its key in the run: the id and the row's suffix.
    pub key: String,
    /// Its name, for people.
    pub name: String,
    /// The labels a runner must have, all of them.
    pub runs_on: Vec<String>,
    /// Its failure does not fail the run.
    pub continue_on_error: bool,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
    /// The environment it deploys to.
    pub environment: Option<Environment>,
}

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Where to look at what was deployed.
    pub url: Option<String>,
    /// A person must start the job.
    pub approval_required: bool,
}

/// Evaluates all of [`ResolvedJob`].
pub fn resolve(
    workflow: &Workflow,
    job: &JobDef,
    row: &MatrixRow,
    contexts: &JobContexts,
) -> Result<ResolvedJob, Diagnostic> {
    let scope = row_scope(workflow, job, row, contexts)?;
    Ok(ResolvedJob {
        key: format!("{}{}", job.id, row.suffix),
        name: name(&scope, job, row)?,
        runs_on: labels(&scope, job)?,
        continue_on_error: scope.flag("continue-on-error", &job.continue_on_error)?,
        timeout_ms: timeout_ms(&scope, &job.timeout_ms)?,
        environment: environment(&scope, job)?,
    })
}

/// The run's name: `run-name`, else `name`, else the file.
pub fn run_name(workflow: &Workflow, contexts: &JobContexts) -> Result<String, Diagnostic> {
    let scope = Scope::new(&workflow.file, contexts.of_run());
    let from_template = workflow.run_name.as_ref().map(|text| scope.text("run-name", text)).transpose()?;
    let name = from_template
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| workflow.name.clone())
        .unwrap_or_else(|| workflow.file.clone());
    Ok(shorten(&name))
}

/// The contexts of one job of a matrix.
pub(super) fn row_contexts(
    workflow: &Workflow,
    job: &JobDef,
    row: &MatrixRow,
    contexts: &JobContexts,
) -> Result<Map<String, Value>, Diagnostic> {
    let strategy = strategy(workflow, job, contexts)?;
    Ok(contexts.of_row(row, strategy.fail_fast, strategy.max_parallel))
}

/// The same as a scope.
pub(super) fn row_scope<'w>(
    workflow: &'w Workflow,
    job: &JobDef,
    row: &MatrixRow,
    contexts: &JobContexts,
) -> Result<Scope<'w>, Diagnostic> {
    Ok(Scope::new(&workflow.file, row_contexts(workflow, job, row, contexts)?))
}

/// `timeout-minutes` in milliseconds.
pub(super) fn timeout_ms(scope: &Scope<'_>, setting: &Setting<u64>) -> Result<u64, Diagnostic> {
    match setting {
        Setting::Fixed(timeout) => Ok(*timeout),
        Setting::Expression(text) => {
            let minutes = scope.number("timeout-minutes", text)?;
            if minutes > TIMEOUT_MAX_MINUTES as f64 {
                let expected = format!("at most {TIMEOUT_MAX_MINUTES} minutes");
                return Err(scope.refused("timeout-minutes", text.at, &expected, &json!(minutes)));
            }
            Ok((minutes * 60_000.0) as u64)
        }
    }
}

fn name(scope: &Scope<'_>, job: &JobDef, row: &MatrixRow) -> Result<String, Diagnostic> {
    let Some(text) = &job.name else {
        return Ok(format!("{}{}", job.id, row.suffix));
    };
    let name = scope.text("name", text)?;
    // A name with expressions tells the rows apart by itself.
    let suffix = if text.text.contains("${{") { "" } else { row.suffix.as_str() };
    let name = format!("{}{suffix}", name.trim());
    Ok(if name.is_empty() { format!("{}{}", job.id, row.suffix) } else { shorten(&name) })
}

fn labels(scope: &Scope<'_>, job: &JobDef) -> Result<Vec<String>, Diagnostic> {
    let (labels, at) = match &job.runs_on {
        RunsOn::Labels(texts) => {
            let labels = texts.iter().map(|text| scope.text("runs-on", text)).collect::<Result<Vec<_>, _>>()?;
            (labels, texts.first().map(|text| text.at).unwrap_or_default())
        }
        RunsOn::Expression(text) => (label_values(scope, text)?, text.at),
    };
    let mut distinct: Vec<String> = Vec::new();
    for label in labels.into_iter().map(|label| label.trim().to_owned()) {
        if label.is_empty() {
            return Err(empty_label(scope, at));
        }
        if !distinct.contains(&label) {
            distinct.push(label);
        }
    }
    if distinct.is_empty() { Err(empty_label(scope, at)) } else { Ok(distinct) }
}

fn label_values(scope: &Scope<'_>, text: &Text) -> Result<Vec<String>, Diagnostic> {
    match scope.value("runs-on", text)? {
        Value::Array(items) => Ok(items.iter().map(render).collect()),
        value @ (Value::Object(_) | Value::Null) => {
            Err(scope.refused("runs-on", text.at, "a label or a list of labels", &value))
        }
        value => Ok(vec![render(&value)]),
    }
}

fn empty_label(scope: &Scope<'_>, at: Spot) -> Diagnostic {
    Diagnostic::error(scope.file, at, "`runs-on`: a label is empty")
}

fn environment(scope: &Scope<'_>, job: &JobDef) -> Result<Option<Environment>, Diagnostic> {
    let Some(environment) = &job.environment else {
        return Ok(None);
    };
    let name = scope.text("environment", &environment.name)?.trim().to_owned();
    // An expression that gives an empty name means: no environment.
    if name.is_empty() && !environment.approval_required {
        return Ok(None);
    }
    if name.is_empty() {
        return Err(Diagnostic::error(scope.file, environment.name.at, "`environment`: the name is empty"));
    }
    let url = environment.url.as_ref().map(|url| scope.text("environment.url", url)).transpose()?;
    Ok(Some(Environment { name, url, approval_required: environment.approval_required }))
}

fn shorten(name: &str) -> String {
    name.chars().take(NAME_MAX_CHARS).collect()
}
