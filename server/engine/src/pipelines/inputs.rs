//! The inputs of a run: given texts to typed values. Knows nothing of who gives them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, Spot};
use super::suggest::suggest;
use super::workflow::{InputDef, InputType, Workflow};

/// The typed inputs: what was given, else the default, else the type's empty value. Refuses unknown inputs, missing
/// required ones and wrong types, all at once.
pub fn resolve(workflow: &Workflow, given: &BTreeMap<String, String>) -> Result<Map<String, Value>, Vec<Diagnostic>> {
    let defined = &workflow.triggers.inputs;
    let mut errors: Vec<Diagnostic> = given
        .keys()
        .filter(|name| !defined.contains_key(*name))
        .map(|name| {
            let known = if defined.is_empty() {
                "has no inputs".to_owned()
            } else {
                format!("has {}", defined.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
            };
            let at = defined.values().next().map_or(Spot { line: 1, column: 1 }, |input| input.at);
            Diagnostic::error(&workflow.file, at, format!("unknown input `{name}`: the workflow {known}"))
                .with_suggestion(suggest(name, defined.keys().map(String::as_str)))
        })
        .collect();
    let mut values = Map::new();
    for (name, input) in defined {
        match resolve_one(name, input, given.get(name)) {
            Ok(value) => {
                values.insert(name.clone(), value);
            }
            Err(message) => errors.push(Diagnostic::error(&workflow.file, input.at, message)),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn resolve_one(name: &str, input: &InputDef, given: Option<&String>) -> Result<Value, String> {
    match (given, &input.default) {
        (Some(text), _) => typed(&input.kind, text).map_err(|error| format!("input `{name}`: {error}")),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) if input.required => Err(format!("input `{name}` is required: {}", expected(&input.kind))),
        (None, None) => Ok(match input.kind {
            InputType::Boolean => Value::Bool(false),
            InputType::Number => Value::Null,
            InputType::String | InputType::Choice(_) | InputType::Environment => Value::String(String::new()),
        }),
    }
}

/// A text as the type's value.
pub(super) fn typed(kind: &InputType, text: &str) -> Result<Value, String> {
    let value = match kind {
        InputType::String | InputType::Environment => Some(Value::String(text.to_owned())),
        InputType::Boolean => match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        InputType::Number => number(text.trim()),
        InputType::Choice(options) => {
            options.iter().any(|option| option == text).then(|| Value::String(text.to_owned()))
        }
    };
    value.ok_or_else(|| format!("expected {}, found `{text}`", expected(kind)))
}

fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    // Rust also reads `inf` and `nan`.
    let digits = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let number = text.parse::<f64>().ok().filter(|number| digits && number.is_finite())?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

fn expected(kind: &InputType) -> String {
    match kind {
        InputType::String => "a string".to_owned(),
        InputType::Boolean => "true or false".to_owned(),
        InputType::Number => "a number".to_owned(),
        InputType::Environment => "the name of an environment".to_owned(),
        InputType::Choice(options) => {
            format!("one of {}", options.iter().map(|option| format!("`{option}`")).collect::<Vec<_>>().join(", "))
        }
    }
}
