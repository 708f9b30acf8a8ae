//! The functions of the language. Knows nothing of files or of how a job went: these it asks the host.

use std::borrow::Cow;

use serde_json::Value;

use super::RESULT_MAX_BYTES;
use super::ast::{Function, Node};
use super::env::Env;
use super::error::{ErrorKind, ExpressionError};
use super::evaluate::value;
use super::value::{loose_equal, render};

/// Calls a function; the parser has checked how many arguments there are.
pub(super) fn call(
    function: Function,
    arguments: &[Node],
    offset: usize,
    env: &Env<'_>,
) -> Result<Value, ExpressionError> {
    let arguments = arguments.iter().map(|node| value(node, env)).collect::<Result<Vec<_>, _>>()?;
    let result = match function {
        Function::Contains => Ok(Value::Bool(contains(&arguments[0], &arguments[1]))),
        Function::StartsWith => Ok(Value::Bool(affix(&arguments, |text, start| text.starts_with(start)))),
        Function::EndsWith => Ok(Value::Bool(affix(&arguments, |text, end| text.ends_with(end)))),
        Function::Format => format(&arguments),
        Function::Join => join(&arguments),
        Function::ToJson => to_json(&arguments[0]),
        Function::FromJson => {
            serde_json::from_str(&render(&arguments[0])).map_err(|error| ErrorKind::Json(error.to_string()))
        }
        Function::Success => Ok(Value::Bool(env.status.success)),
        Function::Failure => Ok(Value::Bool(env.status.failure)),
        Function::Cancelled => Ok(Value::Bool(env.status.cancelled)),
        Function::Always => Ok(Value::Bool(true)),
        Function::HashFiles => hash_files(&arguments, env),
    };
    result.map_err(|kind| kind.at(offset))
}

type Called = Result<Value, ErrorKind>;

fn contains(search: &Value, item: &Value) -> bool {
    match search {
        Value::Array(items) => items.iter().any(|candidate| loose_equal(candidate, item)),
        Value::Object(_) => false,
        _ if item.is_array() || item.is_object() => false,
        _ => fold(search).contains(&fold(item)),
    }
}

fn affix(arguments: &[Cow<'_, Value>], test: fn(&str, &str) -> bool) -> bool {
    let primitive = arguments.iter().all(|value| !value.is_array() && !value.is_object());
    primitive && test(&fold(&arguments[0]), &fold(&arguments[1]))
}

/// A text in which case makes no difference.
fn fold(value: &Value) -> String {
    render(value).chars().flat_map(char::to_uppercase).collect()
}

fn join(arguments: &[Cow<'_, Value>]) -> Called {
    let separator = arguments.get(1).map_or_else(|| ",".to_owned(), |value| render(value));
    let Value::Array(items) = &*arguments[0] else {
        return Ok(Value::String(render(&arguments[0])));
    };
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            push(&mut text, &separator)?;
        }
        push(&mut text, &render(item))?;
    }
    Ok(Value::String(text))
}

fn format(arguments: &[Cow<'_, Value>]) -> Called {
    let pattern = render(&arguments[0]);
    let values: Vec<String> = arguments[1..].iter().map(|value| render(value)).collect();
    let mut text = String::new();
    let mut rest = pattern.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        push(&mut text, &rest[..at])?;
        let bracket = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(bracket) {
            push(&mut text, bracket)?;
            rest = after;
        } else if bracket == "}" {
            return Err(ErrorKind::Format("a single `}`: write `}}` for a bracket".to_owned()));
        } else {
            let (value, after) = placeholder(rest, &values)?;
            push(&mut text, value)?;
            rest = after;
        }
    }
    push(&mut text, rest)?;
    Ok(Value::String(text))
}

fn placeholder<'p, 'v>(rest: &'p str, values: &'v [String]) -> Result<(&'v str, &'p str), ErrorKind> {
    let (number, after) = rest
        .split_once('}')
        .ok_or_else(|| ErrorKind::Format("`{` is not closed: write `{{` for a bracket".to_owned()))?;
    let index: usize =
        number.parse().map_err(|_| ErrorKind::Format(format!("`{{{number}}}` is not a placeholder like `{{0}}`")))?;
    let value = values.get(index).ok_or_else(|| {
        ErrorKind::Format(format!("`{{{index}}}` has no value: there are {} after the text", values.len()))
    })?;
    Ok((value, after))
}

fn to_json(value: &Value) -> Called {
    let text = serde_json::to_string_pretty(value).map_err(|error| ErrorKind::Json(error.to_string()))?;
    if text.len() > RESULT_MAX_BYTES { Err(ErrorKind::ResultTooLarge) } else { Ok(Value::String(text)) }
}

fn hash_files(arguments: &[Cow<'_, Value>], env: &Env<'_>) -> Called {
    let files = env.files.ok_or_else(|| ErrorKind::HashFiles("there are no files here".to_owned()))?;
    let patterns: Vec<String> = arguments.iter().map(|value| render(value)).collect();
    files.hash_files(&patterns).map(Value::String).map_err(ErrorKind::HashFiles)
}

/// Appends within the limit: nested calls could double a text fifty times.
pub(super) fn push(text: &mut String, more: &str) -> Result<(), ErrorKind> {
    if text.len() + more.len() > RESULT_MAX_BYTES {
        return Err(ErrorKind::ResultTooLarge);
    }
    text.push_str(more);
    Ok(())
}
