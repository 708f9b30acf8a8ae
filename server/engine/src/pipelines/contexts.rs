//! What a job's expressions see on the server. Knows nothing of where the caller has it from.

use std::collections::BTreeMap;

use millrace_proto::expression::Status;
use serde_json::{Map, Value, json};

use super::expand::MatrixRow;

/// What the caller knows when a job's needs are done.
#[derive(Clone, Debug, Default)]
pub struct JobContexts {
    /// The github context.
    pub github: Value,
    /// The vars context.
    pub vars: Value,
    /// The inputs context, typed.
    pub inputs: Value,
    /// The secrets context.
    pub secrets: Value,
    /// The jobs that this one needs, directly.
    pub needs: BTreeMap<String, NeedOutcome>,
    /// Whether any job above this one failed, also not directly: what failure() answers.
    pub ancestor_failed: bool,
    /// Whether the run is cancelled.
    pub cancelled: bool,
}

/// How a needed job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedOutcome {
    /// `needs.<id>.result`
    pub result: NeedResult,
    /// `needs.<id>.outputs`
    pub outputs: BTreeMap<String, String>,
}

/// The end of a job, all jobs of its matrix taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedResult {
    /// Done; also a failure that continue-on-error forgave.
    Success,
    /// Failed.
    Failure,
    /// Cancelled.
    Cancelled,
    /// Not run.
    Skipped,
}

impl NeedResult {
    /// The word in expressions.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

impl JobContexts {
    /// What the status functions answer in the job's `if`: success() when all needs succeeded, failure() when any
    /// job above failed, cancelled() when the run is.
    pub fn status(&self) -> Status {
        let succeeded = self.needs.values().all(|need| need.result == NeedResult::Success);
        let failed = self.ancestor_failed || self.needs.values().any(|need| need.result == NeedResult::Failure);
        Status { success: succeeded && !self.cancelled, failure: failed && !self.cancelled, cancelled: self.cancelled }
    }

    /// The needs context.
    pub fn needs_value(&self) -> Value {
        let needs = self
            .needs
            .iter()
            .map(|(id, need)| (id.clone(), json!({ "result": need.result.word(), "outputs": need.outputs })));
        Value::Object(needs.collect())
    }

    /// The contexts that exist for the whole run.
    pub(super) fn of_run(&self) -> Map<String, Value> {
        let mut contexts = Map::new();
        for (name, value) in
            [("github", &self.github), ("vars", &self.vars), ("inputs", &self.inputs), ("secrets", &self.secrets)]
        {
            // A missing context is empty, not unknown.
            let value = if value.is_null() { Value::Object(Map::new()) } else { value.clone() };
            contexts.insert(name.to_owned(), value);
        }
        contexts
    }

    /// The contexts of a job before its matrix is known.
    pub(super) fn of_job(&self) -> Map<String, Value> {
        let mut contexts = self.of_run();
        contexts.insert("needs".to_owned(), self.needs_value());
        contexts
    }

    /// The contexts of one job of a matrix.
    pub(super) fn of_row(&self, row: &MatrixRow, fail_fast: bool, max_parallel: Option<u32>) -> Map<String, Value> {
        let mut contexts = self.of_job();
        let strategy = json!({
            "fail-fast": fail_fast,
            "job-index": row.index,
            "job-total": row.total,
            "max-parallel": max_parallel.unwrap_or(row.total),
        });
        contexts.insert("strategy".to_owned(), strategy);
        contexts.insert("matrix".to_owned(), row.value());
        contexts
    }
}
