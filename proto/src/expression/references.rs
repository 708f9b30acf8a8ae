//! What an expression refers to, so that a host knows whether it can evaluate it. Evaluates nothing.

use std::collections::BTreeSet;

use serde_json::Value;

use super::ast::{Expression, Function, Kind, Node};

/// What an expression or a template refers to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    /// The root contexts, in lower case.
    pub contexts: BTreeSet<String>,
    /// Whether success(), failure(), always() or cancelled() is called.
    pub status_functions: bool,
    /// Whether hashFiles() is called.
    pub hash_files: bool,
    /// Every use of a context, with the properties that are known without evaluating.
    pub paths: Vec<PathUse>,
    /// Every call.
    pub functions: Vec<FunctionUse>,
    /// How many expressions there are: 0 for a text without `${{ }}`.
    pub expressions: usize,
}

/// A use of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathUse {
    /// The byte offset in the text.
    pub offset: usize,
    /// The root (in lower case), then the properties as written: `needs`, `build`, `outputs`.
    pub names: Vec<String>,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionUse {
    /// The byte offset in the text.
    pub offset: usize,
    /// The function.
    pub function: Function,
}

impl Expression {
    /// What it refers to.
    pub fn references(&self) -> References {
        let mut references = References { expressions: 1, ..References::default() };
        references.collect(&self.root);
        references
    }
}

impl References {
    /// Takes in the references of an expression that starts at `offset` of a longer text.
    pub(super) fn add(&mut self, offset: usize, other: Self) {
        self.contexts.extend(other.contexts);
        self.status_functions |= other.status_functions;
        self.hash_files |= other.hash_files;
        self.expressions += other.expressions;
        let shifted = other.paths.into_iter().map(|path| PathUse { offset: path.offset + offset, ..path });
        self.paths.extend(shifted);
        let shifted = other.functions.into_iter().map(|call| FunctionUse { offset: call.offset + offset, ..call });
        self.functions.extend(shifted);
    }

    fn collect(&mut self, node: &Node) {
        if let Some(names) = path(node) {
            self.contexts.insert(names[0].clone());
            self.paths.push(PathUse { offset: node.offset, names });
            self.collect_indexes(node);
            return;
        }
        if let Kind::Call(function, _) = &node.kind {
            self.status_functions |= function.is_status();
            self.hash_files |= *function == Function::HashFiles;
            self.functions.push(FunctionUse { offset: node.offset, function: *function });
        }
        for child in node.kind.children() {
            self.collect(child);
        }
    }

    /// The expressions in the brackets of a path.
    fn collect_indexes(&mut self, node: &Node) {
        match &node.kind {
            Kind::Index(of, index) => {
                self.collect_indexes(of);
                self.collect(index);
            }
            Kind::Filter(of) => self.collect_indexes(of),
            _ => {}
        }
    }
}

/// The names of a chain of properties from a context; stops at the first that only evaluating would tell.
fn path(node: &Node) -> Option<Vec<String>> {
    match &node.kind {
        Kind::Context(name) => Some(vec![name.clone()]),
        Kind::Filter(of) => path(of).map(|mut names| {
            names.push("*".to_owned());
            names
        }),
        Kind::Index(of, index) => path(of).map(|mut names| {
            match &index.kind {
                Kind::Literal(Value::String(name)) => names.push(name.clone()),
                _ => names.push("*".to_owned()),
            }
            names
        }),
        _ => None,
    }
}
