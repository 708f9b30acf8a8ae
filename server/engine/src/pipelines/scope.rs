//! Evaluates the texts of a workflow in given contexts, with errors at their place in the file. Knows nothing of which
//! text is for what.

use std::sync::Arc;

use indexmap::IndexMap;
use millrace_proto::expression::{self, Contexts, Env, ExpressionError, Status, Template};
use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, Spot};
use super::workflow::{Setting, Text};

/// Contexts, and the file for errors.
pub(super) struct Scope<'f> {
    pub(super) file: &'f str,
    pub(super) status: Status,
    // Shared, because each of a thousand steps has a scope of its own over its job's.
    shared: Arc<Map<String, Value>>,
    own: Map<String, Value>,
}

impl Contexts for Scope<'_> {
    fn context(&self, name: &str) -> Option<&Value> {
        self.own.get(name).or_else(|| self.shared.get(name))
    }
}

impl<'f> Scope<'f> {
    pub(super) fn new(file: &'f str, contexts: Map<String, Value>) -> Self {
        Self { file, status: Status::SUCCESS, shared: Arc::new(contexts), own: Map::new() }
    }

    /// The same with one more context, or another value of one.
    pub(super) fn with(&self, name: &str, value: Value) -> Self {
        let mut own = self.own.clone();
        own.insert(name.to_owned(), value);
        Self { file: self.file, status: self.status, shared: Arc::clone(&self.shared), own }
    }

    pub(super) fn env(&self) -> Env<'_> {
        Env::new(self).with_status(self.status)
    }

    /// A text with all its expressions in place.
    pub(super) fn text(&self, what: &str, text: &Text) -> Result<String, Diagnostic> {
        expression::interpolate(&text.text, &self.env()).map_err(|error| self.error(what, text.at, &error))
    }

    /// A text in which what can't be known here is empty.
    pub(super) fn known(&self, text: &Text) -> String {
        Template::parse(&text.text).map(|template| template.interpolate_known(&self.env())).unwrap_or_default()
    }

    pub(super) fn value(&self, what: &str, text: &Text) -> Result<Value, Diagnostic> {
        expression::evaluate_template_value(&text.text, &self.env()).map_err(|error| self.error(what, text.at, &error))
    }

    pub(super) fn condition(&self, text: Option<&Text>) -> Result<bool, Diagnostic> {
        let at = text.map(|text| text.at).unwrap_or_default();
        expression::condition(text.map(|text| text.text.as_str()), &self.env())
            .map_err(|error| self.error("if", at, &error))
    }

    pub(super) fn flag(&self, what: &str, setting: &Setting<bool>) -> Result<bool, Diagnostic> {
        match setting {
            Setting::Fixed(flag) => Ok(*flag),
            Setting::Expression(text) => match self.value(what, text)? {
                Value::Bool(flag) => Ok(flag),
                Value::Null => Ok(false),
                Value::String(word) if word == "true" => Ok(true),
                Value::String(word) if word == "false" || word.is_empty() => Ok(false),
                other => Err(self.refused(what, text.at, "true or false", &other)),
            },
        }
    }

    /// A positive number.
    pub(super) fn number(&self, what: &str, text: &Text) -> Result<f64, Diagnostic> {
        let value = self.value(what, text)?;
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .filter(|number| number.is_finite() && *number > 0.0)
            .ok_or_else(|| self.refused(what, text.at, "a number above 0", &value))
    }

    /// Evaluates a map in its order; later values do not see earlier ones, as with GitHub.
    pub(super) fn texts(
        &self,
        what: &str,
        texts: &IndexMap<String, Text>,
    ) -> Result<IndexMap<String, String>, Diagnostic> {
        texts.iter().map(|(name, text)| Ok((name.clone(), self.text(&format!("{what}.{name}"), text)?))).collect()
    }

    pub(super) fn refused(&self, what: &str, at: Spot, expected: &str, found: &Value) -> Diagnostic {
        let found: String = expression::render(found).chars().take(100).collect();
        Diagnostic::error(self.file, at, format!("`{what}`: expected {expected}, the expression gives `{found}`"))
    }

    fn error(&self, what: &str, at: Spot, error: &ExpressionError) -> Diagnostic {
        Diagnostic::error(self.file, at, format!("`{what}`: {error}"))
    }
}
