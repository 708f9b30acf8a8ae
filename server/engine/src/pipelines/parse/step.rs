//! `steps`: scripts and built-in actions. Knows nothing of how they run.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::super::diagnostic::Severity;
use super::super::plan::{SHELL_EXPECTED, SHELLS, is_shell};
use super::super::suggest::suggest;
use super::super::workflow::{CHECKOUT, Setting, StepAction, StepDef, Text};
use super::super::yaml::{Kind, Node};
use super::super::{JOB_STEPS_MAX, TIMEOUT_MAX_MINUTES};
use super::places::{Place, STEP, STEP_IF, STEP_SETTING};
use super::reader::{Fields, Reader};

const KEYS: [&str; 11] = [
    "id",
    "if",
    "name",
    "run",
    "uses",
    "with",
    "env",
    "shell",
    "working-directory",
    "continue-on-error",
    "timeout-minutes",
];

/// Inputs of GitHub's checkout that this one has.
const CHECKOUT_INPUTS: [&str; 4] = ["path", "ref", "clean", "fetch-depth"];

/// Inputs of GitHub's checkout that this one does not have.
const CHECKOUT_LATER: [&str; 15] = [
    "repository",
    "token",
    "ssh-key",
    "ssh-known-hosts",
    "ssh-strict",
    "ssh-user",
    "persist-credentials",
    "filter",
    "sparse-checkout",
    "sparse-checkout-cone-mode",
    "fetch-tags",
    "show-progress",
    "lfs",
    "submodules",
    "github-server-url",
];

impl Reader<'_> {
    pub(super) fn steps(&mut self, node: &Node) -> Vec<StepDef> {
        let items = self.list(node, "steps", false).unwrap_or_default();
        if items.is_empty() && matches!(node.kind, Kind::List(_)) {
            self.error(node.start, "`steps` is an empty list");
        }
        if items.len() > JOB_STEPS_MAX {
            self.error(node.start, format!("{} steps, over the limit of {JOB_STEPS_MAX} a job", items.len()));
            return Vec::new();
        }
        let mut ids = BTreeSet::new();
        items.into_iter().filter_map(|item| self.step(item, &mut ids)).collect()
    }

    fn step(&mut self, node: &Node, ids: &mut BTreeSet<String>) -> Option<StepDef> {
        let fields = self.fields(node, "a step", &KEYS, &[])?;
        let id = fields.get("id").and_then(|node| self.step_id(node, ids));
        let name = fields.get("name").and_then(|node| self.text(node, "name", &STEP));
        let condition = fields.get("if").and_then(|node| self.condition(node, &STEP_IF));
        let env = fields.get("env").map(|node| self.env(node, &STEP)).unwrap_or_default();
        let timeout_ms = fields.get("timeout-minutes").and_then(|node| self.timeout(node, &STEP_SETTING));
        let forgiven = fields.get("continue-on-error").and_then(|node| self.flag(node, "continue-on-error", &STEP));
        let action = self.action(&fields)?;
        Some(StepDef {
            at: self.spot(node.start),
            id,
            name,
            condition,
            env,
            timeout_ms,
            continue_on_error: forgiven.unwrap_or(Setting::Fixed(false)),
            action,
        })
    }

    fn step_id(&mut self, node: &Node, ids: &mut BTreeSet<String>) -> Option<String> {
        let id = self.string(node, "id")?;
        self.check_id("step id", &id, node.start);
        // The steps context finds its properties without case.
        if !ids.insert(id.to_lowercase()) {
            self.error(node.start, format!("step id `{id}` stands here a second time in its job"));
        }
        Some(id)
    }

    pub(super) fn condition(&mut self, node: &Node, place: &Place) -> Option<Text> {
        let text = self.string(node, "if")?;
        self.check_condition(node, &text, place);
        Some(Text { text, at: self.spot(node.start) })
    }

    /// `timeout-minutes` in milliseconds.
    pub(super) fn timeout(&mut self, node: &Node, place: &Place) -> Option<Setting<u64>> {
        let minutes = self.number(node, "timeout-minutes", TIMEOUT_MAX_MINUTES, place)?;
        Some(match minutes {
            Setting::Fixed(minutes) => Setting::Fixed((minutes * 60_000.0) as u64),
            Setting::Expression(text) => Setting::Expression(text),
        })
    }

    fn action(&mut self, fields: &Fields<'_>) -> Option<StepAction> {
        match (fields.get("run"), fields.get("uses")) {
            (Some(run), None) => self.run(run, fields),
            (None, Some(uses)) => self.uses(uses, fields),
            (Some(_), Some(uses)) => {
                self.error(uses.start, "a step has `run` or `uses`, not both");
                None
            }
            (None, None) => {
                self.error(fields.start, "a step needs `run` or `uses`");
                None
            }
        }
    }

    fn run(&mut self, node: &Node, fields: &Fields<'_>) -> Option<StepAction> {
        if let Some(with) = fields.entry("with") {
            self.error(with.key_start, "`with` belongs to `uses`: a script takes its values from `env`");
        }
        let shell = fields.get("shell").and_then(|node| self.shell(node, &STEP_SETTING));
        let directory = fields.get("working-directory");
        let working_directory = directory.and_then(|node| self.text(node, "working-directory", &STEP));
        let script = self.text(node, "run", &STEP)?;
        Some(StepAction::Run { script, shell, working_directory })
    }

    pub(super) fn shell(&mut self, node: &Node, place: &Place) -> Option<Text> {
        let shell = self.text(node, "shell", place)?;
        if !is_shell(&shell.text) && !shell.text.contains("${{") {
            let message = format!("unknown shell `{}`: expected {SHELL_EXPECTED}", shell.text);
            self.report(Severity::Error, node.start, message, suggest(&shell.text, SHELLS));
        }
        Some(shell)
    }

    fn uses(&mut self, node: &Node, fields: &Fields<'_>) -> Option<StepAction> {
        for key in ["shell", "working-directory"] {
            if let Some(entry) = fields.entry(key) {
                self.error(entry.key_start, format!("`{key}` belongs to `run`, not to `uses`"));
            }
        }
        let uses = self.string(node, "uses")?;
        let (name, version) =
            uses.split_once('@').map_or((uses.as_str(), None), |(name, version)| (name, Some(version)));
        if name != CHECKOUT {
            let suggestion = suggest(name, [CHECKOUT]);
            let message = format!("not yet supported: `uses: {uses}` (built in is only `{CHECKOUT}`)");
            self.report(Severity::Error, node.start, message, suggestion);
            return None;
        }
        if version == Some("") {
            self.error(node.start, format!("`uses: {uses}`: the version after `@` is empty"));
        }
        let with = fields.get("with").map(|node| self.checkout_inputs(node)).unwrap_or_default();
        Some(StepAction::Checkout { uses, with })
    }

    fn checkout_inputs(&mut self, node: &Node) -> IndexMap<String, Text> {
        if self.fields(node, "the inputs of actions/checkout", &CHECKOUT_INPUTS, &CHECKOUT_LATER).is_none() {
            return IndexMap::new();
        }
        self.texts(node, "with", &STEP)
    }
}
