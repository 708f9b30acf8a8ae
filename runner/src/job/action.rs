//! One action of a job: decides whether it runs, runs it with a log of its own, and takes in what it leaves for the
//! actions after it. Knows nothing of the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millrace_proto::runner_v1::ActionState;
use millrace_proto::task_content::Action;
use tokio::time::Instant;

use super::command_file::{CommandFiles, SUMMARY_MAX_BYTES};
use super::environment::{Environment, impossible, refused};
use super::process::ProcessEnd;
use super::run::Job;
use super::shell::Shell;
use super::stop::{Stop, Verdict};
use super::{checkout, environment};
use crate::logs::{LogWriter, now_ms};
use crate::platform::Ended;

/// What became of an action, before anything is forgiven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It worked.
    Success,
    /// It did not.
    Failure,
    /// The job was stopped.
    Cancelled,
}

/// An action that has run.
pub struct Performed {
    outcome: Outcome,
    message: String,
    exit_code: Option<i32>,
}

/// The variables of one action.
pub struct ActionEnvironment {
    /// The task's, those of earlier actions, and its own.
    pub variables: BTreeMap<String, String>,
}

impl Outcome {
    /// Its word in the protocol and in `steps.<id>`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Performed {
    /// It worked.
    pub fn success() -> Self {
        Self { outcome: Outcome::Success, message: String::new(), exit_code: None }
    }

    /// It did not, for a reason that is not an exit code.
    pub fn failure(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failure, message: message.into(), exit_code: None }
    }

    /// The job was stopped.
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Cancelled, message: message.into(), exit_code: None }
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether it worked.
    pub fn is_success(&self) -> bool {
        self.outcome == Outcome::Success
    }
}

/// Runs the action, if its condition holds.
pub async fn run(job: &mut Job, action: &Action) {
    let mut state = ActionState {
        name: action.name.clone(),
        index: action.index,
        start_time: now_ms(),
        state: "running".to_owned(),
        ..Default::default()
    };
    let environment = variables(job, action);
    let decided = match &environment {
        Ok(environment) => {
            job.contexts.set_env(&environment.variables);
            job.contexts.holds(action.if_expr.as_deref()).map_err(|error| format!("if: {error}"))
        }
        Err(error) => Err(error.clone()),
    };
    if decided == Ok(false) || job.stop.now() >= Stop::Kill {
        "skipped".clone_into(&mut state.state);
        state.end_time = state.start_time;
        remember(job, action, Vec::new(), "skipped", "skipped");
        job.report(state);
        return;
    }
    job.report(state.clone());
    let mut log = job.open_log(action.index);
    for warning in std::mem::take(&mut job.warnings) {
        log.warning(&warning).await;
    }
    let before_stop = job.stop.now();
    let files = CommandFiles::create(job.folders.temp.join(format!("files-{}", action.index)));
    let performed = match (decided, environment, &files) {
        (Err(error), _, _) | (_, Err(error), _) => {
            log.error(&error).await;
            Performed::failure(error)
        }
        (_, _, Err(error)) => {
            let text = format!("the files for outputs could not be made: {error}");
            log.error(&text).await;
            Performed::failure(text)
        }
        (Ok(_), Ok(environment), Ok(files)) => {
            let (returned, performed) = perform(job, action, &environment, files, log).await;
            log = returned;
            performed
        }
    };
    let mut performed = performed;
    let mut outputs = Vec::new();
    if let Ok(files) = files {
        outputs = take_in(job, &files, &mut state, &mut log, &mut performed).await;
    }
    // An action that was under way when the job was stopped counts as stopped, whatever it made of it.
    if before_stop < Stop::Cancel && job.stop.now() >= Stop::Cancel {
        performed.outcome = Outcome::Cancelled;
    }
    conclude(job, action, state, &performed, outputs, &mut log).await;
}

/// The outcome, forgiven or not, to the server and to the actions after it.
async fn conclude(
    job: &mut Job,
    action: &Action,
    mut state: ActionState,
    performed: &Performed,
    outputs: Vec<(String, String)>,
    log: &mut LogWriter,
) {
    let outcome = performed.outcome;
    let mut forgiven = false;
    if outcome == Outcome::Failure
        && let Some(text) = &action.continue_on_error
    {
        match job.contexts.is_true(text) {
            Ok(is_true) => forgiven = is_true,
            Err(error) => log.error(&format!("continue-on-error: {error}")).await,
        }
    }
    let conclusion = if forgiven { Outcome::Success } else { outcome };
    if conclusion == Outcome::Failure {
        job.failed(format!("{}: {}", action.name, performed.message));
    }
    remember(job, action, outputs, outcome.word(), conclusion.word());
    outcome.word().clone_into(&mut state.state);
    state.forgiven = forgiven;
    state.end_time = now_ms();
    state.exit_code = performed.exit_code;
    if outcome != Outcome::Success {
        state.message = job.masks.text(&performed.message);
    }
    job.report(state);
}

fn remember(job: &mut Job, action: &Action, outputs: Vec<(String, String)>, outcome: &str, conclusion: &str) {
    if let Some(id) = &action.id {
        job.contexts.set_step(id, outputs, outcome, conclusion);
    }
}

/// The task's variables, those of earlier actions, and the action's own, evaluated.
fn variables(job: &mut Job, action: &Action) -> Result<ActionEnvironment, String> {
    let mut variables = job.content.env.clone();
    variables.extend(job.exported.clone());
    job.contexts.set_env(&variables);
    let mut own = BTreeMap::new();
    for (name, template) in &action.env {
        let value = job.contexts.text(template).map_err(|error| format!("env: {name}: {error}"))?;
        own.insert(name.clone(), value);
    }
    variables.extend(own);
    match variables.iter().find_map(|(name, value)| Some((name, impossible(name, value)?))) {
        Some((name, why)) => Err(format!("env: `{}` cannot be a variable: {why}", name.escape_debug())),
        None => Ok(ActionEnvironment { variables }),
    }
}

async fn perform(
    job: &mut Job,
    action: &Action,
    environment: &ActionEnvironment,
    files: &CommandFiles,
    mut log: LogWriter,
) -> (LogWriter, Performed) {
    let full = full_environment(job, environment, files);
    if let Some(uses) = &action.uses {
        return checkout::perform(job, uses, &full, log).await;
    }
    let prepared = prepare(job, action, &full);
    let (shell, folder, text) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            log.error(&error).await;
            return (log, Performed::failure(error));
        }
    };
    header(&mut log, &text, &shell, environment).await;
    let scripts = job.folders.temp.join(format!("script-{}", action.index));
    let script = scripts.join(shell.file_name());
    let written = std::fs::create_dir_all(&scripts).and_then(|()| std::fs::write(&script, shell.script(&text)));
    if let Err(error) = written {
        let text = format!("the script could not be written: {error}");
        log.error(&text).await;
        return (log, Performed::failure(text));
    }
    let mut command = shell.command(&script);
    command.current_dir(&folder).env_clear().envs(full.iter());
    let deadline = action.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
    let (mut log, end) = job.processes.run(command, log, deadline).await;
    let performed = judge(job, action, end);
    if performed.outcome != Outcome::Success {
        log.error(&performed.message).await;
    }
    (log, performed)
}

fn judge(job: &Job, action: &Action, end: std::io::Result<ProcessEnd>) -> Performed {
    let failed = |message: String, exit_code| Performed { outcome: Outcome::Failure, message, exit_code };
    match end {
        Ok(ProcessEnd::Itself(Ended::Code(0))) => Performed { exit_code: Some(0), ..Performed::success() },
        Ok(ProcessEnd::Itself(Ended::Code(code))) => {
            failed(format!("Process completed with exit code {code}."), Some(code))
        }
        Ok(ProcessEnd::Itself(Ended::Signal(signal))) => failed(format!("Process was ended by signal {signal}."), None),
        Ok(ProcessEnd::TimedOut) => {
            let limit = Duration::from_millis(action.timeout_ms.unwrap_or_default());
            failed(format!("The action took longer than its limit of {} and was stopped.", shown(limit)), None)
        }
        Ok(ProcessEnd::Stopped) => {
            let (verdict, reason) = job.stop.cause().unwrap_or((Verdict::Cancelled, String::new()));
            let outcome = if verdict == Verdict::Cancelled { "The job was " } else { "The job was stopped: " };
            Performed::cancelled(format!("{outcome}{reason}"))
        }
        Err(error) => failed(format!("The process could not be started: {error}"), None),
    }
}

/// The shell, the working directory and the script, or what is wrong with them.
fn prepare(job: &Job, action: &Action, environment: &Environment) -> Result<(Shell, PathBuf, String), String> {
    let text = match &action.template {
        Some(template) => job.contexts.text(template).map_err(|error| format!("run: {error}"))?,
        None => action.command.clone(),
    };
    let directory = job.contexts.text(&action.directory).map_err(|error| format!("working-directory: {error}"))?;
    let folder = job.folders.workspace.join(directory.trim());
    if !folder.is_dir() {
        return Err(format!("working-directory: `{directory}` is not a folder in the workspace"));
    }
    let shell = Shell::find(&action.shell, environment, &folder)?;
    Ok((shell, folder, text))
}

fn full_environment(job: &Job, environment: &ActionEnvironment, files: &CommandFiles) -> Environment {
    let mut full = job.host_environment.clone();
    full.set("CI", "true");
    for (name, value) in &environment.variables {
        full.set(name, value);
    }
    full.set("GITHUB_WORKSPACE", job.folders.workspace.as_os_str());
    full.set("RUNNER_TEMP", job.folders.runner_temp.as_os_str());
    full.set("RUNNER_OS", crate::machine::runner_os());
    full.set("RUNNER_ARCH", crate::machine::runner_arch());
    full.set("RUNNER_NAME", &job.host.runner_name);
    for (name, path) in files.variables() {
        full.set(name, path);
    }
    full.prepend_path(&job.paths);
    full
}

async fn header(log: &mut LogWriter, script: &str, shell: &Shell, environment: &ActionEnvironment) {
    let first = script.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    log.say(&format!("##[group]Run {first}")).await;
    for line in script.trim_end().lines() {
        log.say(&format!("\u{1b}[36;1m{line}\u{1b}[0m")).await;
    }
    log.say(&format!("shell: {}", shell.shown())).await;
    say_environment(log, &environment.variables).await;
    log.say("##[endgroup]").await;
}

async fn say_environment(log: &mut LogWriter, variables: &BTreeMap<String, String>) {
    let prefixes = environment::REFUSED_PREFIXES;
    let hidden = |name: &str| name == "CI" || prefixes.iter().any(|prefix| name.starts_with(prefix));
    let shown = variables.iter().filter(|(name, _)| !hidden(name)).collect::<Vec<_>>();
    if !shown.is_empty() {
        log.say("env:").await;
    }
    for (name, value) in shown {
        log.say(&format!("  {name}: {value}")).await;
    }
}

/// What the action left in its files; returns its outputs.
async fn take_in(
    job: &mut Job,
    files: &CommandFiles,
    state: &mut ActionState,
    log: &mut LogWriter,
    performed: &mut Performed,
) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let outputs = files.outputs().unwrap_or_else(|error| {
        wrong.push(error);
        Vec::new()
    });
    for (name, value) in files.environment().unwrap_or_else(|error| {
        wrong.push(error);
        Vec::new()
    }) {
        match refused(&name, &value) {
            Some(why) => wrong.push(format!("GITHUB_ENV: `{}` is refused: {why}", name.escape_debug())),
            None => {
                job.exported.insert(name, value);
            }
        }
    }
    match files.paths() {
        Ok(paths) => job.paths.extend(paths),
        Err(error) => wrong.push(error),
    }
    for text in wrong {
        log.error(&text).await;
        if performed.is_success() {
            *performed = Performed { exit_code: performed.exit_code, ..Performed::failure(text) };
        }
    }
    let (summary, cut) = files.summary();
    if cut {
        log.warning(&format!("GITHUB_STEP_SUMMARY: over the limit of {SUMMARY_MAX_BYTES} bytes: the rest is cut off"))
            .await;
    }
    state.summary = job.masks.text(&summary);
    outputs
}

/// A time for people: `1 s`, `5 min`.
pub fn shown(time: Duration) -> String {
    let ms = time.as_millis();
    if ms > 0 && ms.is_multiple_of(60_000) {
        format!("{} min", ms / 60_000)
    } else if ms.is_multiple_of(1_000) {
        format!("{} s", ms / 1_000)
    } else {
        format!("{ms} ms")
    }
}

/// Whether a path stays below a folder, symlinks resolved as far as it exists.
pub fn is_below(folder: &Path, path: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let existing = path.ancestors().find_map(|part| part.canonicalize().ok());
    let plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    plain && existing.is_some_and(|existing| existing.starts_with(folder))
}
