//! The expression language of workflows (GitHub Actions'): parse, evaluate, interpolate text with `${{ }}`, decide
//! an `if`, and say what an expression refers to. Server and runner must agree on every result, so it lives here.
//! Knows nothing of YAML, jobs or files: contexts and file hashes come from the host.

mod ast;
mod env;
mod error;
mod evaluate;
mod functions;
mod index;
mod lexer;
mod parser;
mod references;
mod template;
mod value;

pub use ast::{Expression, Function};
pub use env::{Contexts, Env, HashFiles, Status};
pub use error::{ErrorKind, ExpressionError};
pub use references::{FunctionUse, PathUse, References};
pub use template::Template;
pub use value::{compare_key, is_truthy, loose_equal, render};

use serde_json::Value;

/// The longest expression, GitHub's own limit.
pub const EXPRESSION_MAX_BYTES: usize = 21_000;
/// The deepest nesting of an expression, GitHub's own limit.
pub const EXPRESSION_MAX_DEPTH: usize = 50;
/// The longest text that one function call or one interpolation may make.
pub const RESULT_MAX_BYTES: usize = 10 * 1024 * 1024;
/// The most `${{ }}` in one text.
pub const TEMPLATE_MAX_EXPRESSIONS: usize = 1_000;

/// Every root context that exists anywhere.
pub const CONTEXT_NAMES: [&str; 11] =
    ["github", "env", "vars", "job", "steps", "runner", "secrets", "strategy", "matrix", "needs", "inputs"];

/// Evaluates one bare expression (no `${{ }}` around it).
pub fn evaluate(expression: &str, env: &Env<'_>) -> Result<Value, ExpressionError> {
    Expression::parse(expression)?.evaluate(env)
}

/// Text with any number of `${{ }}`, as text: null is empty, numbers have no trailing `.0`, objects are JSON.
pub fn interpolate(template: &str, env: &Env<'_>) -> Result<String, ExpressionError> {
    Template::parse(template)?.interpolate(env)
}

/// Like [`interpolate`], but a text that is a single `${{ x }}` keeps the type of `x`.
pub fn evaluate_template_value(template: &str, env: &Env<'_>) -> Result<Value, ExpressionError> {
    Template::parse(template)?.value(env)
}

/// Decides an `if`, written with or without `${{ }}`. Absent means `success()`; an expression that calls no status
/// function means `success() && (expression)`.
pub fn condition(text: Option<&str>, env: &Env<'_>) -> Result<bool, ExpressionError> {
    let Some(text) = text else {
        return Ok(env.status.success);
    };
    let Some(expression) = template::parse_condition(text)? else {
        return Ok(env.status.success);
    };
    if !expression.references().status_functions && !env.status.success {
        return Ok(false);
    }
    expression.evaluate(env).map(|value| is_truthy(&value))
}

/// What the `${{ }}` of a text refer to.
pub fn template_references(template: &str) -> Result<References, ExpressionError> {
    Ok(Template::parse(template)?.references())
}

/// What an `if` (with or without `${{ }}`) refers to; also the check of its syntax.
pub fn condition_references(text: &str) -> Result<References, ExpressionError> {
    Ok(template::parse_condition(text)?.map(|expression| expression.references()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
