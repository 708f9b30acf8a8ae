//! The tree of a parsed expression. Knows nothing of how it is read or evaluated.

use serde_json::Value;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    pub(super) root: Node,
}

/// A node, where it starts in the text, and how deep the tree below it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) offset: usize,
    pub(super) depth: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Literal(Value),
    Context(String),
    Index(Box<Node>, Box<Node>),
    Filter(Box<Node>),
    Call(Function, Vec<Node>),
    Not(Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    // Flat, so that a long chain is not a deep tree.
    And(Vec<Node>),
    Or(Vec<Node>),
}

impl Kind {
    pub(super) fn children(&self) -> Vec<&Node> {
        match self {
            Self::Literal(_) | Self::Context(_) => Vec::new(),
            Self::Filter(of) | Self::Not(of) => vec![of],
            Self::Index(left, right) | Self::Compare(_, left, right) => vec![left, right],
            Self::Call(_, nodes) | Self::And(nodes) | Self::Or(nodes) => nodes.iter().collect(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A function of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// contains(search, item)
    Contains,
    /// startsWith(text, start)
    StartsWith,
    /// endsWith(text, end)
    EndsWith,
    /// format(text, value, ...)
    Format,
    /// join(list, separator)
    Join,
    /// toJSON(value)
    ToJson,
    /// fromJSON(text)
    FromJson,
    /// success()
    Success,
    /// failure()
    Failure,
    /// always()
    Always,
    /// cancelled()
    Cancelled,
    /// hashFiles(pattern, ...)
    HashFiles,
}

impl Function {
    /// Every function.
    pub const ALL: [Self; 12] = [
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Format,
        Self::Join,
        Self::ToJson,
        Self::FromJson,
        Self::Success,
        Self::Failure,
        Self::Always,
        Self::Cancelled,
        Self::HashFiles,
    ];

    /// The name as GitHub writes it; calls may write it in any case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Format => "format",
            Self::Join => "join",
            Self::ToJson => "toJSON",
            Self::FromJson => "fromJSON",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Always => "always",
            Self::Cancelled => "cancelled",
            Self::HashFiles => "hashFiles",
        }
    }

    /// Whether it asks how things went so far: success, failure, always, cancelled.
    pub const fn is_status(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Always | Self::Cancelled)
    }

    /// The fewest and the most arguments, and the same in words.
    pub(super) const fn arity(self) -> (usize, usize, &'static str) {
        match self {
            Self::Contains | Self::StartsWith | Self::EndsWith => (2, 2, "2 arguments"),
            Self::Format | Self::HashFiles => (1, 255, "1 to 255 arguments"),
            Self::Join => (1, 2, "1 or 2 arguments"),
            Self::ToJson | Self::FromJson => (1, 1, "1 argument"),
            Self::Success | Self::Failure | Self::Always | Self::Cancelled => (0, 0, "no arguments"),
        }
    }
}
