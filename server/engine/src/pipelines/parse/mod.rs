//! From the bytes of a file to a checked workflow, with everything that is wrong in it. Runs nothing.

mod check;
mod job;
mod places;
mod reader;
mod step;
mod strategy;
mod triggers;
mod uses;

use indexmap::IndexMap;

use self::job::ParsedJob;
use self::places::{RUN_NAME, WORKFLOW_DEFAULTS, WORKFLOW_ENV};
use self::reader::{Fields, Reader};
use super::diagnostic::{Diagnostic, Severity, Spot};
use super::graph;
use super::source::Source;
use super::suggest::suggest;
use super::workflow::{JobDef, Workflow};
use super::yaml::{self, Node};
use super::{DIAGNOSTICS_MAX, JOBS_MAX};

const KEYS: [&str; 7] = ["name", "run-name", "on", "env", "defaults", "jobs", "permissions"];
/// Known to GitHub; ignoring it would let runs overlap that must not.
const LATER: [&str; 1] = ["concurrency"];

/// See [`Workflow::parse`].
pub(super) fn workflow(file: &str, bytes: &[u8]) -> Result<(Workflow, Vec<Diagnostic>), Vec<Diagnostic>> {
    let source = Source::new(file, bytes).map_err(|error| vec![error])?;
    let (root, duplicates) = yaml::document(&source).map_err(|error| vec![error])?;
    let Some(root) = root.filter(|root| !root.is_null()) else {
        let start = Spot { line: 1, column: 1 };
        return Err(vec![Diagnostic::error(file, start, "the file is empty: a workflow needs `jobs`")]);
    };
    let mut reader = Reader::new(&source);
    reader.diagnostics = duplicates;
    reader.diagnostics.truncate(DIAGNOSTICS_MAX);
    let workflow = reader.workflow(&root);
    let failed = reader.has_errors();
    let mut diagnostics = reader.diagnostics;
    diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    match workflow {
        Some(workflow) if !failed => Ok((workflow, diagnostics)),
        _ => Err(diagnostics),
    }
}

impl Reader<'_> {
    fn workflow(&mut self, root: &Node) -> Option<Workflow> {
        let fields = self.fields(root, "the workflow", &KEYS, &LATER)?;
        self.permissions(&fields);
        let triggers = fields.get("on").map(|node| self.triggers(node)).unwrap_or_default();
        let workflow = Workflow {
            file: self.source.file.to_owned(),
            name: fields.get("name").and_then(|node| self.string(node, "name")),
            run_name: fields.get("run-name").and_then(|node| self.text(node, "run-name", &RUN_NAME)),
            triggers,
            env: fields.get("env").map(|node| self.env(node, &WORKFLOW_ENV)).unwrap_or_default(),
            defaults: fields.get("defaults").map(|node| self.defaults(node, &WORKFLOW_DEFAULTS)).unwrap_or_default(),
            jobs: self.jobs(&fields),
        };
        self.check_inputs(&workflow.triggers);
        Some(workflow)
    }

    fn jobs(&mut self, fields: &Fields<'_>) -> IndexMap<String, JobDef> {
        let Some(node) = fields.get("jobs") else {
            let at = fields.entry("jobs").map_or(fields.start, |entry| entry.key_start);
            self.error(at, "a workflow needs `jobs` with at least one job");
            return IndexMap::new();
        };
        let entries = self.map(node, "jobs").unwrap_or_default();
        if entries.is_empty() && matches!(node.kind, yaml::Kind::Map(_)) {
            self.error(node.start, "a workflow needs at least one job");
        }
        if entries.len() > JOBS_MAX {
            self.error(node.start, format!("{} jobs, over the limit of {JOBS_MAX}", entries.len()));
            return IndexMap::new();
        }
        let mut parsed: Vec<ParsedJob> = entries.iter().filter_map(|entry| self.job(entry)).collect();
        let ids: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        self.check_distinct(entries);
        self.check_needs(&mut parsed, &ids);
        parsed.sort_by_key(|parsed| parsed.job.stage);
        parsed.into_iter().map(|parsed| (parsed.job.id.clone(), parsed.job)).collect()
    }

    /// The needs context finds its properties without case, so ids must differ in more.
    fn check_distinct(&mut self, entries: &[yaml::Entry]) {
        let mut seen = std::collections::BTreeMap::new();
        for entry in entries {
            if let Some(first) = seen.insert(entry.key.to_lowercase(), &entry.key) {
                let message = format!("job ids `{first}` and `{}` differ only in case", entry.key);
                self.error(entry.key_start, message);
            }
        }
    }

    /// Checks the needs of all jobs and sets their stages.
    fn check_needs(&mut self, parsed: &mut [ParsedJob], ids: &[&str]) {
        let mut graph = graph::Needs::new();
        for ParsedJob { job, needs_at } in &*parsed {
            let mut indices = Vec::new();
            for (need, at) in job.needs.iter().zip(needs_at) {
                if *need == job.id {
                    self.error(*at, format!("job `{need}` needs itself"));
                } else if let Some(index) = parsed.iter().position(|other| other.job.id == *need) {
                    indices.push(index);
                } else if !ids.contains(&need.as_str()) {
                    let others = ids.iter().copied().filter(|id| *id != job.id);
                    let message = format!("job `{}` needs `{need}`, which is not a job", job.id);
                    self.report(Severity::Error, *at, message, suggest(need, others));
                }
            }
            graph.push(indices);
        }
        match graph::stages(&graph) {
            Ok(stages) => {
                for (parsed, stage) in parsed.iter_mut().zip(stages) {
                    parsed.job.stage = stage;
                }
            }
            Err(cycle) => self.report_cycle(parsed, &cycle),
        }
    }

    fn report_cycle(&mut self, parsed: &[ParsedJob], cycle: &[usize]) {
        let id = |index: usize| parsed[index].job.id.as_str();
        let first = &parsed[cycle[0]];
        let next = id(cycle[1 % cycle.len()]);
        let place = first.job.needs.iter().position(|need| need == next).unwrap_or(0);
        let at = first.needs_at.get(place).copied().unwrap_or(0);
        let names: Vec<&str> = cycle.iter().chain(&cycle[..1]).map(|index| id(*index)).collect();
        self.error(at, format!("`needs` form a cycle: {}", names.join(" -> ")));
    }
}
