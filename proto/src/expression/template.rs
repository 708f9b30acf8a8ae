//! Text with `${{ }}` in it, and the text of an `if`. Knows nothing of the grammar inside the brackets.

use serde_json::Value;

use super::ast::Expression;
use super::env::Env;
use super::error::{ErrorKind, ExpressionError};
use super::functions::push;
use super::references::References;
use super::value::render;
use super::{RESULT_MAX_BYTES, TEMPLATE_MAX_EXPRESSIONS};

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// A parsed text with any number of `${{ }}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq)]
enum Segment {
    Text(String),
    Expression { offset: usize, expression: Expression },
}

impl Template {
    /// Parses it; offsets of errors are in the whole text.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let mut segments = Vec::new();
        let mut from = 0;
        while let Some(open) = text[from..].find(OPEN).map(|at| from + at) {
            if segments.len() > 2 * TEMPLATE_MAX_EXPRESSIONS {
                return Err(ErrorKind::TooMany.at(open));
            }
            if open > from {
                segments.push(Segment::Text(text[from..open].to_owned()));
            }
            let offset = open + OPEN.len();
            let length = close(&text[offset..]).ok_or_else(|| ErrorKind::UnclosedExpression.at(open))?;
            let expression = Expression::parse(&text[offset..offset + length]).map_err(|error| shift(error, offset))?;
            segments.push(Segment::Expression { offset, expression });
            from = offset + length + CLOSE.len();
        }
        if from < text.len() {
            segments.push(Segment::Text(text[from..].to_owned()));
        }
        Ok(Self { segments })
    }

    /// Whether there is no `${{ }}` in it.
    pub fn is_plain(&self) -> bool {
        self.segments.iter().all(|segment| matches!(segment, Segment::Text(_)))
    }

    /// The text with every expression in place.
    pub fn interpolate(&self, env: &Env<'_>) -> Result<String, ExpressionError> {
        self.interpolate_with(|_, expression| expression.evaluate(env))
    }

    /// Like [`Template::interpolate`], but an expression that `env` cannot evaluate is empty.
    pub fn interpolate_known(&self, env: &Env<'_>) -> String {
        self.interpolate_with(|_, expression| Ok(expression.evaluate(env).unwrap_or(Value::Null))).unwrap_or_default()
    }

    /// The text, except that a single `${{ x }}` alone keeps its type.
    pub fn value(&self, env: &Env<'_>) -> Result<Value, ExpressionError> {
        match self.segments.as_slice() {
            [Segment::Expression { offset, expression }] => {
                expression.evaluate(env).map_err(|error| shift(error, *offset))
            }
            _ => self.interpolate(env).map(Value::String),
        }
    }

    /// What its expressions refer to.
    pub fn references(&self) -> References {
        let mut references = References::default();
        for segment in &self.segments {
            if let Segment::Expression { offset, expression } = segment {
                references.add(*offset, expression.references());
            }
        }
        references
    }

    fn interpolate_with(
        &self,
        mut evaluate: impl FnMut(usize, &Expression) -> Result<Value, ExpressionError>,
    ) -> Result<String, ExpressionError> {
        let mut text = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Text(more) => push(&mut text, more).map_err(|kind| kind.at(0))?,
                Segment::Expression { offset, expression } => {
                    let value = evaluate(*offset, expression).map_err(|error| shift(error, *offset))?;
                    push(&mut text, &render(&value)).map_err(|kind| kind.at(*offset))?;
                }
            }
        }
        debug_assert!(text.len() <= RESULT_MAX_BYTES, "push keeps the limit");
        Ok(text)
    }
}

/// The expression of an `if`: bare, or all of it in one `${{ }}`. `None` for a blank one.
pub(super) fn parse_condition(text: &str) -> Result<Option<ParsedCondition>, ExpressionError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    if !text.contains(OPEN) {
        let expression = Expression::parse(text)?;
        return Ok(Some(ParsedCondition { offset: 0, expression }));
    }
    let mut segments = Template::parse(text)?.segments;
    segments.retain(|segment| !matches!(segment, Segment::Text(text) if text.trim().is_empty()));
    match segments.pop() {
        Some(Segment::Expression { offset, expression }) if segments.is_empty() => {
            Ok(Some(ParsedCondition { offset, expression }))
        }
        _ => Err(ErrorKind::PartialCondition.at(0)),
    }
}

/// An `if` and where its expression starts.
pub(super) struct ParsedCondition {
    offset: usize,
    expression: Expression,
}

impl ParsedCondition {
    pub(super) fn evaluate(&self, env: &Env<'_>) -> Result<Value, ExpressionError> {
        self.expression.evaluate(env).map_err(|error| shift(error, self.offset))
    }

    pub(super) fn references(&self) -> References {
        let mut references = References::default();
        references.add(self.offset, self.expression.references());
        references
    }
}

/// The length of an expression up to its `}}`; brackets in a string do not close it.
fn close(text: &str) -> Option<usize> {
    let mut in_string = false;
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|&at| {
        in_string ^= bytes[at] == b'\'';
        !in_string && bytes[at..].starts_with(CLOSE.as_bytes())
    })
}

fn shift(error: ExpressionError, offset: usize) -> ExpressionError {
    ExpressionError { offset: error.offset + offset, ..error }
}
