//! Checks expressions at their place: syntax, functions, contexts. Evaluates nothing.

use millrace_proto::expression::{
    self, CONTEXT_NAMES, ErrorKind, ExpressionError, Function, References,
};

use super::super::diagnostic::Severity;
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

    fn check(
        &mut self,
        node: &Node,
        text: &str,
        found: Result<References, ExpressionError>,
        place: &Place,
    ) {
        match found {
            Ok(references) => self.check_references(node, text, references, place),
            Err(error) => {
                let suggestion = match &error.kind {
                    ErrorKind::UnknownFunction(name) => {
                        suggest(name, Function::ALL.map(Function::name))
                    }
                    _ => None,
                };
                let at = self.place_in(node, text, error.offset);
                self.report(
                    Severity::Error,
                    at,
                    format!("expression: {error}"),
                    suggestion,
                );
            }
        }
    }

    fn check_references(&mut self, node: &Node, text: &str, references: References, place: &Place) {
        for call in references.functions {
            let allowed = match call.function {
                Function::HashFiles => place.files,
                function => place.status || !function.is_status(),
            };
            if !allowed {
                let at = self.place_in(node, text, call.offset);
                self.error(
                    at,
                    format!(
                        "{}() is not available in {}",
                        call.function.name(),
                        place.name
                    ),
                );
            }
        }
        for path in references.paths {
            let at = self.place_in(node, text, path.offset);
            self.check_root(at, &path.names[0], place);
            self.uses.push((at, path.names));
        }
    }

    fn check_root(&mut self, at: usize, root: &str, place: &Place) {
        if place.contexts.contains(&root) {
            return;
        }
        let known = CONTEXT_NAMES.contains(&root);
        let word = if known {
            "is not available"
        } else {
            "is unknown"
        };
        let mut available: Vec<&str> = place.contexts.to_vec();
        available.sort_unstable();
        let message = format!(
            "context `{root}` {word} in {} (available: {})",
            place.name,
            available.join(", ")
        );
        let suggestion = if known {
            None
        } else {
            suggest(root, available)
        };
        self.report(Severity::Error, at, message, suggestion);
    }

    /// The place in the file of a place in a value's text.
    fn place_in(&self, node: &Node, text: &str, offset: usize) -> usize {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.text == text => {
                self.source
                    .offset_of_value(node.start, scalar.style, text, offset)
            }
            _ => node.start,
        }
    }
}
