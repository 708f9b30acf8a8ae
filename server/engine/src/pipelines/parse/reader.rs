//! Reads typed values from YAML nodes and collects what is wrong, with exact places. Knows nothing of which keys a
//! workflow has.

use std::rc::Rc;

use indexmap::IndexMap;
use millrace_proto::expression::render;
use serde_json::Value;

use super::super::DIAGNOSTICS_MAX;
use super::super::diagnostic::{Diagnostic, Severity, Spot};
use super::super::source::Source;
use super::super::suggest::suggest;
use super::super::workflow::{Setting, Text};
use super::super::yaml::{Entry, Kind, Node};
use super::places::Place;

/// The file and what was found in it so far.
pub(super) struct Reader<'s> {
    pub(super) source: &'s Source<'s>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The uses of contexts so far: where, and the path of names.
    pub(super) uses: Vec<(usize, Vec<String>)>,
}

/// The keys of a map that are known at its place.
pub(super) struct Fields<'n> {
    pub(super) start: usize,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// The value of a key; a key without a value counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &*entry.value).filter(|node| !node.is_null())
    }

    pub(super) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s Source<'s>) -> Self {
        Self { source, diagnostics: Vec::new(), uses: Vec::new() }
    }

    pub(super) fn spot(&self, at: usize) -> Spot {
        self.source.spot(at)
    }

    pub(super) fn error(&mut self, at: usize, message: impl Into<String>) {
        self.report(Severity::Error, at, message.into(), None);
    }

    pub(super) fn warning(&mut self, at: usize, message: impl Into<String>) {
        self.report(Severity::Warning, at, message.into(), None);
    }

    pub(super) fn report(&mut self, severity: Severity, at: usize, message: String, suggestion: Option<String>) {
        let Spot { line, column } = self.spot(at);
        let file = self.source.file.to_owned();
        let diagnostic = Diagnostic { severity, file, line, column, message, suggestion };
        // An alias shows the same fault again. An error always finds a place: it decides about the workflow.
        let is_room = self.diagnostics.len() < DIAGNOSTICS_MAX || severity == Severity::Error && !self.has_errors();
        if is_room && !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Whether nothing more is collected: what follows need not be put into words.
    pub(super) fn is_full(&self) -> bool {
        self.diagnostics.len() >= DIAGNOSTICS_MAX && self.has_errors()
    }

    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    pub(super) fn expected(&mut self, node: &Node, what: &str, expected: &str) {
        let found = node.describe();
        // Keys are quoted, words are not.
        let what = if what.contains(' ') { what.to_owned() } else { format!("`{what}`") };
        self.error(node.start, format!("{what}: expected {expected}, found {found}"));
    }

    /// A map with any keys.
    pub(super) fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        if let Kind::Map(entries) = &node.kind {
            return Some(entries);
        }
        self.expected(node, what, "a map");
        None
    }

    /// A map with known keys: all others are errors, and those in `later` are named as not yet supported.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
        later: &[&str],
    ) -> Option<Fields<'n>> {
        let entries = self.map(node, what)?;
        for entry in entries {
            if self.is_full() {
                break;
            }
            if later.contains(&entry.key.as_str()) {
                self.error(entry.key_start, format!("not yet supported: `{}` of {what}", entry.key));
            } else if !known.contains(&entry.key.as_str()) {
                let message = match entry.key.as_str() {
                    "<<" => "not yet supported: merge keys (`<<`)".to_owned(),
                    key => format!("unknown key `{key}` in {what}"),
                };
                let suggestion = suggest(&entry.key, known.iter().copied());
                self.report(Severity::Error, entry.key_start, message, suggestion);
            }
        }
        Some(Fields { start: node.start, entries })
    }

    /// A list; where a list may be left out, a single value is a list of one.
    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str, single: bool) -> Option<Vec<&'n Node>> {
        match &node.kind {
            Kind::List(items) => Some(items.iter().map(Rc::as_ref).collect()),
            Kind::Scalar(_) if single && !node.is_null() => Some(vec![node]),
            _ => {
                self.expected(node, what, if single { "a string or a list" } else { "a list" });
                None
            }
        }
    }

    /// A text; numbers and booleans are taken as text, with a warning where their text changes.
    pub(super) fn string(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.kind {
            Kind::Scalar(scalar) if !node.is_null() => {
                let value = scalar.value();
                self.warn_of_number(node, &value);
                Some(render(&value))
            }
            _ => {
                self.expected(node, what, "a string");
                None
            }
        }
    }

    /// `3.10` is the number 3.1: said once, here, because it surprises everybody once.
    pub(super) fn warn_of_number(&mut self, node: &Node, value: &Value) {
        if let (Kind::Scalar(scalar), Value::Number(_)) = (&node.kind, value) {
            let becomes = render(value);
            if becomes != scalar.text {
                let written = &scalar.text;
                self.warning(
                    node.start,
                    format!("`{written}` is a number and becomes `{becomes}`: quote it to keep it"),
                );
            }
        }
    }

    pub(super) fn strings(&mut self, node: &Node, what: &str, single: bool) -> Option<Vec<String>> {
        let items = self.list(node, what, single)?;
        Some(items.into_iter().filter_map(|item| self.string(item, what)).collect())
    }

    /// A text that may hold expressions, checked for its place.
    pub(super) fn text(&mut self, node: &Node, what: &str, place: &Place) -> Option<Text> {
        let text = self.string(node, what)?;
        self.check_template(node, &text, place);
        Some(Text { text, at: self.spot(node.start) })
    }

    /// A map of such texts; a null is an empty text.
    pub(super) fn texts(&mut self, node: &Node, what: &str, place: &Place) -> IndexMap<String, Text> {
        let mut texts = IndexMap::new();
        for entry in self.map(node, what).unwrap_or_default() {
            let what = format!("{what}.{}", entry.key);
            let text = if entry.value.is_null() {
                Some(Text { text: String::new(), at: self.spot(entry.value.start) })
            } else {
                self.text(&entry.value, &what, place)
            };
            texts.extend(text.map(|text| (entry.key.clone(), text)));
        }
        texts
    }

    /// An environment: names that a process can have.
    pub(super) fn env(&mut self, node: &Node, place: &Place) -> IndexMap<String, Text> {
        for entry in match &node.kind {
            Kind::Map(entries) => entries.as_slice(),
            _ => &[],
        } {
            if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
                self.error(entry.key_start, format!("`{}` is not a name for an environment variable", entry.key));
            }
        }
        self.texts(node, "env", place)
    }

    /// The text of a value that is one expression: `${{ }}` and nothing else.
    pub(super) fn expression(&mut self, node: &Node, place: &Place) -> Option<Text> {
        let Kind::Scalar(scalar) = &node.kind else {
            return None;
        };
        let text = scalar.text.trim();
        let lone = text.starts_with("${{") && text.ends_with("}}");
        if !lone {
            return None;
        }
        self.check_template(node, &scalar.text, place);
        Some(Text { text: text.to_owned(), at: self.spot(node.start) })
    }

    pub(super) fn flag(&mut self, node: &Node, what: &str, place: &Place) -> Option<Setting<bool>> {
        if let Some(text) = self.expression(node, place) {
            return Some(Setting::Expression(text));
        }
        let flag = node.as_bool();
        if flag.is_none() {
            self.expected(node, what, "true, false or an expression");
        }
        flag.map(Setting::Fixed)
    }

    /// A number above 0 and up to a limit, or an expression for one.
    pub(super) fn number(&mut self, node: &Node, what: &str, most: u64, place: &Place) -> Option<Setting<f64>> {
        if let Some(text) = self.expression(node, place) {
            return Some(Setting::Expression(text));
        }
        let number = match &node.kind {
            Kind::Scalar(scalar) => scalar.value().as_f64(),
            _ => None,
        };
        match number {
            Some(number) if number > 0.0 && number <= most as f64 => Some(Setting::Fixed(number)),
            Some(number) => {
                self.error(node.start, format!("`{what}`: {number} is not above 0 and at most {most}"));
                None
            }
            None => {
                self.expected(node, what, "a number or an expression");
                None
            }
        }
    }
}
