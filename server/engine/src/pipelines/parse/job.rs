//! `jobs.<id>`. Knows nothing of other jobs: `needs` is checked by `jobs`.

use super::super::diagnostic::Severity;
use super::super::suggest::suggest;
use super::super::workflow::{Defaults, EnvironmentDef, JobDef, RunsOn, Setting, StepDef};
use super::super::yaml::{Entry, Kind, Node};
use super::super::{ID_MAX_CHARS, JOB_TIMEOUT_DEFAULT_MINUTES};
use super::places::{DEFAULTS, JOB, JOB_ENV, JOB_IF, OUTPUTS, Place};
use super::reader::{Fields, Reader};

const KEYS: [&str; 13] = [
    "name",
    "needs",
    "runs-on",
    "if",
    "strategy",
    "timeout-minutes",
    "continue-on-error",
    "outputs",
    "defaults",
    "env",
    "environment",
    "steps",
    "permissions",
];

/// Known to GitHub; without them the job would not be the one that was meant.
const LATER: [&str; 7] = ["container", "services", "secrets", "uses", "with", "concurrency", "snapshot"];

/// A job, and where each of its needs stands.
pub(super) struct ParsedJob {
    pub(super) job: JobDef,
    pub(super) needs_at: Vec<usize>,
}

impl Reader<'_> {
    pub(super) fn job(&mut self, entry: &Entry) -> Option<ParsedJob> {
        self.check_id("job id", &entry.key, entry.key_start);
        let what = format!("job `{}`", entry.key);
        let fields = self.fields(&entry.value, &what, &KEYS, &LATER)?;
        self.permissions(&fields);
        let (needs, needs_at) = self.needs(&fields);
        let first_use = self.uses.len();
        let job = JobDef {
            id: entry.key.clone(),
            at: self.spot(entry.key_start),
            stage: 0,
            name: fields.get("name").and_then(|node| self.text(node, "name", &JOB)),
            needs,
            runs_on: self.runs_on(&fields, entry),
            condition: fields.get("if").and_then(|node| self.condition(node, &JOB_IF)),
            strategy: fields.get("strategy").map(|node| self.strategy(node)).unwrap_or_default(),
            timeout_ms: fields
                .get("timeout-minutes")
                .and_then(|node| self.timeout(node, &JOB))
                .unwrap_or(Setting::Fixed(JOB_TIMEOUT_DEFAULT_MINUTES * 60_000)),
            continue_on_error: fields
                .get("continue-on-error")
                .and_then(|node| self.flag(node, "continue-on-error", &JOB))
                .unwrap_or(Setting::Fixed(false)),
            outputs: fields.get("outputs").map(|node| self.texts(node, "outputs", &OUTPUTS)).unwrap_or_default(),
            defaults: fields.get("defaults").map(|node| self.defaults(node, &DEFAULTS)).unwrap_or_default(),
            env: fields.get("env").map(|node| self.env(node, &JOB_ENV)).unwrap_or_default(),
            environment: fields.get("environment").and_then(|node| self.environment(node)),
            steps: self.job_steps(&fields, entry),
        };
        self.check_uses(&job, first_use);
        Some(ParsedJob { job, needs_at })
    }

    /// GitHub's pattern of ids; whether it holds.
    pub(super) fn check_id(&mut self, what: &str, id: &str, at: usize) -> bool {
        let starts = id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let sound = starts && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if !sound {
            let message = format!("{what} `{id}`: must start with a letter or `_`, then letters, digits, `_` or `-`");
            self.error(at, message);
        } else if id.len() > ID_MAX_CHARS {
            self.error(at, format!("{what} has {} characters, over the limit of {ID_MAX_CHARS}", id.len()));
        }
        sound
    }

    /// `defaults.run`
    pub(super) fn defaults(&mut self, node: &Node, place: &Place) -> Defaults {
        let run = self.fields(node, "defaults", &["run"], &[]).and_then(|fields| fields.get("run"));
        let fields = run.and_then(|node| self.fields(node, "defaults.run", &["shell", "working-directory"], &[]));
        let Some(fields) = fields else {
            return Defaults::default();
        };
        Defaults {
            shell: fields.get("shell").and_then(|node| self.shell(node, place)),
            working_directory: fields
                .get("working-directory")
                .and_then(|node| self.text(node, "working-directory", place)),
        }
    }

    pub(super) fn permissions(&mut self, fields: &Fields<'_>) {
        if let Some(entry) = fields.entry("permissions") {
            let message = "not yet supported: `permissions` has no effect, jobs get no repository token";
            self.warning(entry.key_start, message);
        }
    }

    fn needs(&mut self, fields: &Fields<'_>) -> (Vec<String>, Vec<usize>) {
        let items = fields.get("needs").and_then(|node| self.list(node, "needs", true)).unwrap_or_default();
        let mut needs = Vec::new();
        let mut places = Vec::new();
        for item in items {
            if let Some(id) = self.string(item, "needs")
                && !needs.contains(&id)
            {
                needs.push(id);
                places.push(item.start);
            }
        }
        (needs, places)
    }

    fn runs_on(&mut self, fields: &Fields<'_>, entry: &Entry) -> RunsOn {
        let none = RunsOn::Labels(Vec::new());
        let Some(node) = fields.get("runs-on") else {
            self.error(entry.key_start, format!("job `{}` needs `runs-on`", entry.key));
            return none;
        };
        if let Some(text) = self.expression(node, &JOB) {
            return RunsOn::Expression(text);
        }
        let node = if matches!(node.kind, Kind::Map(_)) {
            let labels = self.fields(node, "runs-on", &["labels"], &["group"]);
            let Some(labels) = labels.and_then(|fields| fields.get("labels")) else {
                self.error(node.start, "`runs-on`: `labels` is missing");
                return none;
            };
            labels
        } else {
            node
        };
        let items = self.list(node, "runs-on", true).unwrap_or_default();
        if items.is_empty() && matches!(node.kind, Kind::List(_)) {
            self.error(node.start, "`runs-on` is an empty list");
        }
        RunsOn::Labels(items.into_iter().filter_map(|item| self.text(item, "runs-on", &JOB)).collect())
    }

    fn environment(&mut self, node: &Node) -> Option<EnvironmentDef> {
        if !matches!(node.kind, Kind::Map(_)) {
            let name = self.text(node, "environment", &JOB)?;
            return Some(EnvironmentDef { name, url: None, approval_required: false });
        }
        let fields = self.fields(node, "environment", &["name", "url", "approval"], &["deployment"])?;
        let approval = fields.get("approval").and_then(|node| self.approval(node));
        let url = fields.get("url").and_then(|node| self.text(node, "environment.url", &JOB));
        let Some(name) = fields.get("name") else {
            self.error(node.start, "`environment`: `name` is missing");
            return None;
        };
        let name = self.text(name, "environment.name", &JOB)?;
        Some(EnvironmentDef { name, url, approval_required: approval == Some(true) })
    }

    fn approval(&mut self, node: &Node) -> Option<bool> {
        let word = self.string(node, "approval")?;
        match word.as_str() {
            "required" => Some(true),
            "none" => Some(false),
            other => {
                let message = format!("`approval`: expected required or none, found `{other}`");
                self.report(Severity::Error, node.start, message, suggest(other, ["required", "none"]));
                None
            }
        }
    }

    fn job_steps(&mut self, fields: &Fields<'_>, entry: &Entry) -> Vec<StepDef> {
        let Some(node) = fields.get("steps") else {
            // A job that calls a workflow has said already why it can't run.
            if fields.entry("uses").is_none() {
                self.error(entry.key_start, format!("job `{}` needs `steps`", entry.key));
            }
            return Vec::new();
        };
        self.steps(node)
    }
}
