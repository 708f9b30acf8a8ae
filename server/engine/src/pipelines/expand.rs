//! A matrix to its rows, by GitHub's rules for include and exclude. Knows nothing of what a row is for; never makes
//! more rows than the limit, and counts before it makes any.

use std::collections::BTreeSet;

use millrace_proto::expression::{evaluate_template_value, loose_equal, render};
use serde_json::{Map, Value};

use super::contexts::JobContexts;
use super::diagnostic::Diagnostic;
use super::scope::Scope;
use super::workflow::{JobDef, Workflow};
use super::{MATRIX_MAX_BYTES, MATRIX_MAX_COMBINATIONS, MATRIX_MAX_JOBS};

/// The longest suffix of a job's key, in characters.
pub const SUFFIX_MAX_CHARS: usize = 100;

/// One combination of a matrix; empty for a job without one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatrixRow {
    /// The values, in the order of the file.
    pub values: Vec<(String, Value)>,
    /// Its place, from 0.
    pub index: u32,
    /// How many rows there are.
    pub total: u32,
    /// What tells its job from the others: ` (a, b)`; empty for a job without a matrix.
    pub suffix: String,
}

impl MatrixRow {
    /// A row from values that were kept: its suffix is not told apart from equal ones of other rows.
    pub fn new(values: Vec<(String, Value)>, index: u32, total: u32) -> Self {
        let suffix = suffix(&values);
        Self { values, index, total, suffix }
    }

    /// The row of a job whose key was kept: its suffix stays the one that tells it from the others.
    pub fn restore(job_id: &str, key: &str, values: Vec<(String, Value)>, index: u32, total: u32) -> Self {
        let suffix = key.strip_prefix(job_id).unwrap_or_default().to_owned();
        Self { values, index, total, suffix }
    }

    /// The matrix context: null for a job without a matrix.
    pub fn value(&self) -> Value {
        if self.values.is_empty() { Value::Null } else { Value::Object(self.values.iter().cloned().collect()) }
    }
}

/// The rows of a job's matrix, static or by expressions; one empty row for a job without one. No rows: the matrix
/// came out empty, and there is nothing to run.
pub fn matrix(workflow: &Workflow, job: &JobDef, contexts: &JobContexts) -> Result<Vec<MatrixRow>, Diagnostic> {
    let Some(matrix) = &job.strategy.matrix else {
        return Ok(vec![MatrixRow::new(Vec::new(), 0, 1)]);
    };
    let scope = Scope::new(&workflow.file, contexts.of_job());
    let error = |message: String| Diagnostic::error(&workflow.file, matrix.at, format!("`matrix`: {message}"));
    let value = evaluated(&matrix.value, &scope).map_err(error)?;
    let combinations = rows(&value).map_err(error)?;
    let total = combinations.len() as u32;
    let mut seen = BTreeSet::new();
    let rows = combinations.into_iter().enumerate().map(|(index, values)| {
        let mut row = MatrixRow::new(values.into_iter().collect(), index as u32, total);
        if !seen.insert(row.suffix.clone()) {
            // The key must be one job's alone.
            row.suffix = format!("{} #{}", row.suffix, index + 1);
            seen.insert(row.suffix.clone());
        }
        row
    });
    Ok(rows.collect())
}

/// The combinations of a matrix without expressions.
pub(super) fn rows(matrix: &Value) -> Result<Vec<Map<String, Value>>, String> {
    let Value::Object(matrix) = matrix else {
        return Err(format!("expected a map, found {}", kind(matrix)));
    };
    let axes = axes(matrix)?;
    let exclude = objects(matrix, "exclude")?;
    let include = objects(matrix, "include")?;
    for key in exclude.iter().flat_map(|object| object.keys()) {
        if !axes.iter().any(|(axis, _)| *axis == key) {
            return Err(format!("`exclude` names `{key}`, which is not a key of the matrix"));
        }
    }
    for (key, objects) in [("exclude", &exclude), ("include", &include)] {
        if objects.len() > MATRIX_MAX_COMBINATIONS {
            return Err(format!("`{key}` has {} items, over the limit of {MATRIX_MAX_COMBINATIONS}", objects.len()));
        }
    }
    let product = product(&axes)?;
    let mut budget = Budget(MATRIX_MAX_BYTES);
    for (_, values) in &axes {
        let each = product / values.len().max(1);
        budget.spend(values.iter().map(size).sum::<usize>().saturating_mul(each))?;
    }
    let mut rows: Vec<Map<String, Value>> = (0..product)
        .map(|number| combination(&axes, number))
        .filter(|row| !exclude.iter().any(|object| matches_all(object, row)))
        .collect();
    add_includes(&axes, include, &mut rows, &mut budget)?;
    if rows.len() > MATRIX_MAX_JOBS {
        return Err(format!("makes {} jobs, over the limit of {MATRIX_MAX_JOBS}", rows.len()));
    }
    Ok(rows)
}

type Axes<'m> = Vec<(&'m String, &'m Vec<Value>)>;

fn axes(matrix: &Map<String, Value>) -> Result<Axes<'_>, String> {
    matrix
        .iter()
        .filter(|(name, _)| !is_include_or_exclude(name))
        .map(|(name, values)| match values {
            Value::Array(values) => Ok((name, values)),
            other => Err(format!("`{name}`: expected a list, found {}", kind(other))),
        })
        .collect()
}

fn objects<'m>(matrix: &'m Map<String, Value>, key: &str) -> Result<Vec<&'m Map<String, Value>>, String> {
    match matrix.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_object().ok_or_else(|| format!("`{key}`: expected maps, found {}", kind(item))))
            .collect(),
        Some(other) => Err(format!("`{key}`: expected a list of maps, found {}", kind(other))),
    }
}

/// How many combinations there are, without making them.
fn product(axes: &Axes<'_>) -> Result<usize, String> {
    if axes.is_empty() {
        return Ok(0);
    }
    let product = axes.iter().fold(1_u128, |product, (_, values)| product.saturating_mul(values.len() as u128));
    if product <= MATRIX_MAX_COMBINATIONS as u128 {
        return Ok(product as usize);
    }
    let sizes: Vec<String> = axes.iter().map(|(_, values)| values.len().to_string()).collect();
    Err(format!("has {} = {product} combinations: a matrix may make at most {MATRIX_MAX_JOBS} jobs", sizes.join(" x ")))
}

/// The combination of a number: the last key changes fastest.
fn combination(axes: &Axes<'_>, number: usize) -> Map<String, Value> {
    let mut rest = number;
    let mut picked: Vec<usize> = Vec::with_capacity(axes.len());
    for (_, values) in axes.iter().rev() {
        picked.push(rest % values.len());
        rest /= values.len();
    }
    let values = axes.iter().zip(picked.iter().rev());
    values.map(|((name, values), pick)| ((*name).clone(), values[*pick].clone())).collect()
}

/// An include is added to every combination of the matrix whose own values it does not change; one that fits none
/// becomes a combination of its own, which later includes do not touch.
fn add_includes(
    axes: &Axes<'_>,
    include: Vec<&Map<String, Value>>,
    rows: &mut Vec<Map<String, Value>>,
    budget: &mut Budget,
) -> Result<(), String> {
    let originals = rows.clone();
    for object in include {
        let mut fits = false;
        let object_size = object.values().map(size).sum();
        let own = |key: &String| axes.iter().any(|(axis, _)| *axis == key);
        for (row, original) in rows.iter_mut().zip(&originals) {
            let same = object
                .iter()
                .filter(|(key, _)| own(key))
                .all(|(key, value)| original.get(key).is_some_and(|original| same_value(original, value)));
            if same {
                fits = true;
                budget.spend(object_size)?;
                let added = object.iter().filter(|(key, _)| !own(key));
                row.extend(added.map(|(key, value)| (key.clone(), value.clone())));
            }
        }
        if !fits {
            budget.spend(object_size)?;
            rows.push(object.clone());
        }
    }
    Ok(())
}

/// What the rows may still take: each has its own copy of its values.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.0 = self
            .0
            .checked_sub(bytes)
            .ok_or_else(|| format!("the values of all jobs come to more than {MATRIX_MAX_BYTES} bytes"))?;
        Ok(())
    }
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum(),
        _ => 8,
    }
}

fn matches_all(object: &Map<String, Value>, row: &Map<String, Value>) -> bool {
    object.iter().all(|(key, value)| row.get(key).is_some_and(|of_row| same_value(of_row, value)))
}

/// Equal as expressions see it, and all the way down: a part of an object is enough.
fn same_value(of_row: &Value, wanted: &Value) -> bool {
    match (of_row, wanted) {
        (Value::Object(of_row), Value::Object(wanted)) => matches_all(wanted, of_row),
        (Value::Array(of_row), Value::Array(wanted)) => {
            of_row.len() == wanted.len() && of_row.iter().zip(wanted).all(|(left, right)| same_value(left, right))
        }
        (left, right) => loose_equal(left, right),
    }
}

/// The value with every `${{ }}` in it evaluated, at any depth.
fn evaluated(value: &Value, scope: &Scope<'_>) -> Result<Value, String> {
    match value {
        Value::String(text) if text.contains("${{") => {
            evaluate_template_value(text, &scope.env()).map_err(|error| error.to_string())
        }
        Value::Array(items) => items.iter().map(|item| evaluated(item, scope)).collect(),
        Value::Object(map) => {
            let items = map.iter().map(|(key, value)| Ok((key.clone(), evaluated(value, scope)?)));
            items.collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
        other => Ok(other.clone()),
    }
}

/// GitHub's way to tell jobs apart: all values of the row in brackets.
fn suffix(values: &[(String, Value)]) -> String {
    let mut words = Vec::new();
    for (_, value) in values {
        leaves(value, &mut words);
    }
    if words.is_empty() {
        return String::new();
    }
    let text = words.join(", ").replace(char::is_control, " ");
    if text.chars().count() <= SUFFIX_MAX_CHARS {
        return format!(" ({text})");
    }
    let short: String = text.chars().take(SUFFIX_MAX_CHARS - 3).collect();
    format!(" ({short}...)")
}

fn leaves(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, words)),
        Value::Object(map) => map.values().for_each(|item| leaves(item, words)),
        scalar => words.extend(Some(render(scalar)).filter(|word| !word.is_empty())),
    }
}

pub(super) fn is_include_or_exclude(name: &str) -> bool {
    matches!(name, "include" | "exclude")
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
