//! `on`: what starts a run. Knows nothing of who watches for events.

use indexmap::IndexMap;
use serde_json::Value;

use super::super::INPUTS_MAX;
use super::super::cron;
use super::super::diagnostic::Severity;
use super::super::inputs::typed;
use super::super::suggest::suggest;
use super::super::workflow::{InputDef, InputType, PushFilter, Triggers};
use super::super::yaml::{Entry, Kind, Node};
use super::reader::{Fields, Reader};

const SUPPORTED: [&str; 3] = ["push", "workflow_dispatch", "schedule"];

/// GitHub's other events: known, so that a file which names them still runs here for those that we have.
const LATER: [&str; 33] = [
    "branch_protection_rule",
    "check_run",
    "check_suite",
    "create",
    "delete",
    "deployment",
    "deployment_status",
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "image_version",
    "issue_comment",
    "issues",
    "label",
    "merge_group",
    "milestone",
    "page_build",
    "project",
    "project_card",
    "project_column",
    "public",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_target",
    "registry_package",
    "release",
    "repository_dispatch",
    "status",
    "watch",
    "workflow_call",
    "workflow_run",
];

impl Reader<'_> {
    pub(super) fn triggers(&mut self, node: &Node) -> Triggers {
        let mut triggers = Triggers::default();
        match &node.kind {
            Kind::Map(entries) => {
                for entry in entries {
                    self.event(&entry.key, entry.key_start, Some(entry), &mut triggers);
                }
            }
            Kind::Scalar(_) | Kind::List(_) => {
                for item in self.list(node, "on", true).unwrap_or_default() {
                    if let Some(name) = self.string(item, "on") {
                        self.event(&name, item.start, None, &mut triggers);
                    }
                }
            }
        }
        triggers
    }

    fn event(&mut self, name: &str, at: usize, entry: Option<&Entry>, triggers: &mut Triggers) {
        let node = entry.map(|entry| &*entry.value).filter(|node| !node.is_null());
        match name {
            "push" => triggers.push = Some(node.map(|node| self.push(node)).unwrap_or_default()),
            "workflow_dispatch" => {
                triggers.dispatch = true;
                triggers.inputs = node.map(|node| self.dispatch(node)).unwrap_or_default();
            }
            "schedule" => match node {
                Some(node) => triggers.schedule = self.schedule(node),
                None => self.error(at, "`schedule` needs a list of `cron` lines"),
            },
            name if LATER.contains(&name) => {
                self.warning(at, format!("not yet supported: event `{name}` starts no runs"));
            }
            name => {
                let suggestion = suggest(name, SUPPORTED.into_iter().chain(LATER));
                self.report(Severity::Error, at, format!("unknown event `{name}`"), suggestion);
            }
        }
    }

    fn push(&mut self, node: &Node) -> PushFilter {
        const KEYS: [&str; 6] = ["branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"];
        let Some(fields) = self.fields(node, "push", &KEYS, &[]) else {
            return PushFilter::default();
        };
        for pair in KEYS.chunks(2) {
            if let (Some(_), Some(ignore)) = (fields.get(pair[0]), fields.entry(pair[1])) {
                self.error(ignore.key_start, format!("`{}` and `{}` exclude each other", pair[0], pair[1]));
            }
        }
        let mut patterns = |key: &str| fields.get(key).and_then(|node| self.strings(node, key, true));
        PushFilter {
            branches: patterns("branches"),
            branches_ignore: patterns("branches-ignore"),
            tags: patterns("tags"),
            tags_ignore: patterns("tags-ignore"),
            paths: patterns("paths"),
            paths_ignore: patterns("paths-ignore"),
        }
    }

    fn schedule(&mut self, node: &Node) -> Vec<String> {
        let mut lines = Vec::new();
        for item in self.list(node, "schedule", false).unwrap_or_default() {
            let Some(fields) = self.fields(item, "schedule", &["cron"], &["timezone"]) else {
                continue;
            };
            let Some(cron_node) = fields.get("cron") else {
                self.error(item.start, "`schedule`: `cron` is missing");
                continue;
            };
            let Some(line) = self.string(cron_node, "cron") else {
                continue;
            };
            match cron::check(&line) {
                Ok(()) => lines.push(line),
                Err((offset, message)) => {
                    let at = self.place_in(cron_node, &line, offset);
                    self.error(at, message);
                }
            }
        }
        lines
    }

    fn dispatch(&mut self, node: &Node) -> IndexMap<String, InputDef> {
        let Some(fields) = self.fields(node, "workflow_dispatch", &["inputs"], &[]) else {
            return IndexMap::new();
        };
        let Some(inputs) = fields.get("inputs") else {
            return IndexMap::new();
        };
        let entries = self.map(inputs, "inputs").unwrap_or_default();
        if entries.len() > INPUTS_MAX {
            self.error(inputs.start, format!("{} inputs, over the limit of {INPUTS_MAX}", entries.len()));
        }
        let mut defined = IndexMap::new();
        for entry in entries {
            self.check_id("input", &entry.key, entry.key_start);
            if let Some(input) = self.input(entry) {
                defined.insert(entry.key.clone(), input);
            }
        }
        defined
    }

    fn input(&mut self, entry: &Entry) -> Option<InputDef> {
        const KEYS: [&str; 5] = ["description", "required", "default", "type", "options"];
        let at = self.spot(entry.key_start);
        if entry.value.is_null() {
            return Some(InputDef {
                description: String::new(),
                required: false,
                kind: InputType::String,
                default: None,
                at,
            });
        }
        let what = format!("input `{}`", entry.key);
        let fields = self.fields(&entry.value, &what, &KEYS, &[])?;
        let kind = self.input_type(&entry.key, &fields)?;
        let required = fields.get("required").and_then(|node| {
            let required = node.as_bool();
            if required.is_none() {
                self.expected(node, "required", "true or false");
            }
            required
        });
        let description = fields.get("description").and_then(|node| self.string(node, "description"));
        let default = fields.get("default").and_then(|node| self.input_default(node, &kind));
        Some(InputDef {
            description: description.unwrap_or_default(),
            required: required == Some(true),
            kind,
            default,
            at,
        })
    }

    fn input_type(&mut self, name: &str, fields: &Fields<'_>) -> Option<InputType> {
        const TYPES: [&str; 5] = ["string", "boolean", "number", "choice", "environment"];
        let options = fields.get("options").and_then(|node| self.strings(node, "options", false));
        let Some(node) = fields.get("type") else {
            return Some(InputType::String);
        };
        let kind = match self.string(node, "type")?.as_str() {
            "string" => InputType::String,
            "boolean" => InputType::Boolean,
            "number" => InputType::Number,
            "environment" => InputType::Environment,
            "choice" => InputType::Choice(options.clone().unwrap_or_default()),
            other => {
                let message = format!("`type`: expected one of {}, found `{other}`", TYPES.join(", "));
                self.report(Severity::Error, node.start, message, suggest(other, TYPES));
                return None;
            }
        };
        match (&kind, fields.entry("options")) {
            (InputType::Choice(options), _) if options.is_empty() => {
                self.error(node.start, format!("input `{name}`: a choice needs `options`"));
            }
            (InputType::Choice(_), _) | (_, None) => {}
            (_, Some(options)) => self.error(options.key_start, format!("input `{name}`: only a choice has `options`")),
        }
        Some(kind)
    }

    fn input_default(&mut self, node: &Node, kind: &InputType) -> Option<Value> {
        let text = self.string(node, "default")?;
        match typed(kind, &text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(node.start, format!("`default`: {message}"));
                None
            }
        }
    }
}
