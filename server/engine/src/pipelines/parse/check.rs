//! Checks expressions at their place: syntax, functions, contexts. Evaluates nothing.

use millrace_proto::expression::{self, CONTEXT_NAMES, ErrorKind, ExpressionError, Function, References};

use super::super::diagnostic::Severity;
use super::super::source::{Source, Walk};
use super::super::suggest::suggest;
use super::super::yaml::{Kind, Node};
use super::places::Place;
use super::reader::Reader;

impl Reader<'_> {
    /// Checks the `${{ }}` of a text.
    pub(super) fn check_template(&mut self, node: &Node, text: &str, place: &Place) {
        let found = expression::template_references(text);
        self.check(node, text, found, place);
    }

    /// Checks an `if`.
    pub(super) fn check_condition(&mut self, node: &Node, text: &str, place: &Place) {
        let found = expression::condition_references(text);
        self.check(node, text, found, place);
    }

    fn check(&mut self, node: &Node, text: &str, found: Result<References, ExpressionError>, place: &Place) {
        match found {
            Ok(references) => self.check_references(node, text, references, place),
            Err(error) => {
                let suggestion = match &error.kind {
                    ErrorKind::UnknownFunction(name) => suggest(name, Function::ALL.map(Function::name)),
                    _ => None,
                };
                let at = self.place_in(node, text, error.offset);
                self.report(Severity::Error, at, format!("expression: {error}"), suggestion);
            }
        }
    }

    fn check_references(&mut self, node: &Node, text: &str, mut references: References, place: &Place) {
        let mut places = Places::new(self.source, node, text);
        references.functions.sort_by_key(|call| call.offset);
        for call in references.functions {
            let allowed = match call.function {
                Function::HashFiles => place.files,
                function => place.status || !function.is_status(),
            };
            if !allowed {
                let name = call.function.name();
                self.error(places.of(call.offset), format!("{name}() is not available in {}", place.name));
            }
        }
        let mut places = Places::new(self.source, node, text);
        references.paths.sort_by_key(|path| path.offset);
        for path in references.paths {
            let at = places.of(path.offset);
            if self.check_root(at, &path.names[0], place) {
                self.uses.push((at, path.names));
            }
        }
    }

    /// Whether a context exists at a place.
    fn check_root(&mut self, at: usize, root: &str, place: &Place) -> bool {
        if place.contexts.contains(&root) || self.is_full() {
            return true;
        }
        let known = CONTEXT_NAMES.contains(&root);
        let word = if known { "is not available" } else { "is unknown" };
        let mut available: Vec<&str> = place.contexts.to_vec();
        available.sort_unstable();
        let message = format!("context `{root}` {word} in {} (available: {})", place.name, available.join(", "));
        let suggestion = if known { None } else { suggest(root, available) };
        self.report(Severity::Error, at, message, suggestion);
        false
    }

    /// The place in the file of a place in a value's text.
    pub(super) fn place_in(&self, node: &Node, text: &str, offset: usize) -> usize {
        Places::new(self.source, node, text).of(offset)
    }
}

/// The places in the file of the places in a value's text, asked for in rising order.
enum Places<'v> {
    Walk(Walk<'v>),
    /// The text is not the value as written: only its start is known.
    Start(usize),
}

impl<'v> Places<'v> {
    fn new(source: &'v Source<'_>, node: &'v Node, text: &'v str) -> Self {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.text == text => Self::Walk(source.walk(node.start, scalar.style, text)),
            _ => Self::Start(node.start),
        }
    }

    fn of(&mut self, offset: usize) -> usize {
        match self {
            Self::Walk(walk) => walk.to(offset),
            Self::Start(start) => *start,
        }
    }
}
