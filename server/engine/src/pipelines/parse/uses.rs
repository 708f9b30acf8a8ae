//! Warns of properties of contexts that can never exist: they would be empty without a word. Knows nothing of values.

use std::collections::BTreeSet;

use millrace_proto::expression::compare_key;

use super::super::DIAGNOSTICS_MAX;
use super::super::diagnostic::Severity;
use super::super::suggest::suggest;
use super::super::workflow::{JobDef, Triggers};
use super::reader::Reader;

impl Reader<'_> {
    /// `needs.x`, `steps.x` and `matrix.x` of a job, in the uses from `first` on.
    pub(super) fn check_uses(&mut self, job: &JobDef, first: usize) {
        let needs: Vec<&str> = job.needs.iter().map(String::as_str).collect();
        let steps: Vec<&str> = job.steps.iter().filter_map(|step| step.id.as_deref()).collect();
        let matrix = matrix_keys(job);
        let uses: Vec<(usize, Vec<String>)> = self.uses[first..].to_vec();
        for (at, names) in uses {
            let [root, name, ..] = names.as_slice() else {
                continue;
            };
            match root.as_str() {
                "needs" => self.check_name(at, "job", name, &needs, "in the job's `needs`"),
                "steps" => self.check_name(at, "step id", name, &steps, "in the job"),
                "matrix" => {
                    if let Some(keys) = &matrix {
                        self.check_name(at, "key", name, keys, "in the job's matrix");
                    }
                }
                _ => {}
            }
        }
    }

    /// `inputs.x` of the whole file.
    pub(super) fn check_inputs(&mut self, triggers: &Triggers) {
        let inputs: Vec<&str> = triggers.inputs.keys().map(String::as_str).collect();
        let uses = std::mem::take(&mut self.uses);
        for (at, names) in uses {
            if let [root, name, ..] = names.as_slice()
                && root == "inputs"
            {
                self.check_name(at, "input", name, &inputs, "under `on.workflow_dispatch.inputs`");
            }
        }
    }

    fn check_name(&mut self, at: usize, what: &str, name: &str, known: &[&str], place: &str) {
        if self.diagnostics.len() >= DIAGNOSTICS_MAX
            || name == "*"
            || known.iter().any(|known| compare_key(known, name).is_eq())
        {
            return;
        }
        let message = format!("{what} `{name}` is not {place}: this is always empty");
        self.report(Severity::Warning, at, message, suggest(name, known.iter().copied()));
    }
}

/// The keys a matrix can have; `None` when only the run will tell.
fn matrix_keys(job: &JobDef) -> Option<Vec<&str>> {
    let Some(matrix) = &job.strategy.matrix else {
        return Some(Vec::new());
    };
    let map = matrix.value.as_object()?;
    let mut keys: BTreeSet<&str> = BTreeSet::new();
    for (key, value) in map {
        match key.as_str() {
            "exclude" => {}
            "include" => {
                for object in value.as_array()? {
                    keys.extend(object.as_object()?.keys().map(String::as_str));
                }
            }
            key => {
                keys.insert(key);
            }
        }
    }
    Some(keys.into_iter().collect())
}
