//! The value of a tree. Borrows from the contexts as long as it can: contexts are large, and two borrowed values at
//! one place are what GitHub calls the same instance. Knows nothing of text with `${{ }}`.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::ast::{Comparison, Expression, Kind, Node};
use super::env::Env;
use super::error::{ErrorKind, ExpressionError};
use super::functions::call;
use super::index::Operand;
use super::value::{is_truthy, loose_equal, order};

impl Expression {
    /// Evaluates it.
    pub fn evaluate(&self, env: &Env<'_>) -> Result<Value, ExpressionError> {
        value(&self.root, env).map(Cow::into_owned)
    }
}

pub(super) fn value<'e>(node: &'e Node, env: &Env<'e>) -> Result<Cow<'e, Value>, ExpressionError> {
    operand(node, env).map(Operand::into_value)
}

fn operand<'e>(node: &'e Node, env: &Env<'e>) -> Result<Operand<'e>, ExpressionError> {
    let value = match &node.kind {
        Kind::Filter(of) => return Ok(operand(of, env)?.filter()),
        Kind::Index(of, index) => {
            let of = operand(of, env)?;
            return Ok(of.index(value(index, env)?.as_ref()));
        }
        Kind::Literal(value) => Cow::Borrowed(value),
        Kind::Context(name) => match env.contexts.context(name) {
            Some(value) => Cow::Borrowed(value),
            None => return Err(ErrorKind::UnknownContext(name.clone()).at(node.offset)),
        },
        Kind::Call(function, arguments) => Cow::Owned(call(*function, arguments, node.offset, env)?),
        Kind::Not(of) => Cow::Owned(Value::Bool(!is_truthy(value(of, env)?.as_ref()))),
        Kind::Compare(comparison, left, right) => {
            Cow::Owned(Value::Bool(compare(*comparison, value(left, env)?.as_ref(), value(right, env)?.as_ref())))
        }
        Kind::And(operands) => first_where(operands, env, |value| !is_truthy(value))?,
        Kind::Or(operands) => first_where(operands, env, is_truthy)?,
    };
    Ok(Operand::One(value))
}

/// The first operand that decides, else the last.
fn first_where<'e>(
    operands: &'e [Node],
    env: &Env<'e>,
    decides: fn(&Value) -> bool,
) -> Result<Cow<'e, Value>, ExpressionError> {
    let mut last = Cow::Owned(Value::Null);
    for node in operands {
        last = value(node, env)?;
        if decides(&last) {
            break;
        }
    }
    Ok(last)
}

fn compare(comparison: Comparison, left: &Value, right: &Value) -> bool {
    match comparison {
        Comparison::Equal => loose_equal(left, right),
        Comparison::NotEqual => !loose_equal(left, right),
        Comparison::Less => order(left, right) == Some(Ordering::Less),
        Comparison::Greater => order(left, right) == Some(Ordering::Greater),
        Comparison::LessOrEqual => loose_equal(left, right) || order(left, right) == Some(Ordering::Less),
        Comparison::GreaterOrEqual => loose_equal(left, right) || order(left, right) == Some(Ordering::Greater),
    }
}
