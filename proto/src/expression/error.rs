//! What can be wrong with an expression, by meaning, and where in its text. Knows nothing of files and lines.

use super::{EXPRESSION_MAX_BYTES, EXPRESSION_MAX_DEPTH, RESULT_MAX_BYTES, TEMPLATE_MAX_EXPRESSIONS};

/// An error and the byte offset of its cause in the text that was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ExpressionError {
    /// The byte offset in the expression or template.
    pub offset: usize,
    /// What is wrong.
    pub kind: ErrorKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// A token that does not fit.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What fits.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A character outside the language.
    #[error("unexpected character `{0}`{hint}", hint = character_hint(*.0))]
    Character(char),
    /// A string literal without its end.
    #[error("a string that is not closed: ' is missing")]
    UnclosedString,
    /// `${{` without `}}`.
    #[error("`${{{{` is not closed: `}}}}` is missing")]
    UnclosedExpression,
    /// `${{ }}` with nothing in it.
    #[error("an empty expression")]
    Empty,
    /// An `if` of which only a part is in `${{ }}`: such a text would always be true.
    #[error(
        "put the whole condition in one `${{{{ }}}}`, or leave `${{{{ }}}}` out: text beside it would make it always true"
    )]
    PartialCondition,
    /// A number that is none.
    #[error("`{0}` is not a number")]
    Number(String),
    /// No such function.
    #[error("unknown function `{0}`")]
    UnknownFunction(String),
    /// A context that the host does not have.
    #[error("context `{0}` is not available here")]
    UnknownContext(String),
    /// A wrong number of arguments.
    #[error("{function}() takes {expected}, not {found}")]
    Arguments {
        /// The function.
        function: &'static str,
        /// What it takes.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// format() with a text that it cannot read.
    #[error("format(): {0}")]
    Format(String),
    /// fromJSON() with a text that is not JSON.
    #[error("fromJSON(): not JSON: {0}")]
    Json(String),
    /// hashFiles() where there are no files, or where hashing failed.
    #[error("hashFiles(): {0}")]
    HashFiles(String),
    /// Over [`EXPRESSION_MAX_BYTES`].
    #[error("an expression of {0} bytes is over the limit of {EXPRESSION_MAX_BYTES}")]
    TooLong(usize),
    /// Over [`EXPRESSION_MAX_DEPTH`].
    #[error("an expression nested deeper than {EXPRESSION_MAX_DEPTH}")]
    TooDeep,
    /// Over [`TEMPLATE_MAX_EXPRESSIONS`].
    #[error("more than {TEMPLATE_MAX_EXPRESSIONS} expressions in one text")]
    TooMany,
    /// Over [`RESULT_MAX_BYTES`].
    #[error("a result over the limit of {RESULT_MAX_BYTES} bytes")]
    ResultTooLarge,
}

impl ErrorKind {
    pub(super) fn at(self, offset: usize) -> ExpressionError {
        ExpressionError { offset, kind: self }
    }
}

fn character_hint(character: char) -> &'static str {
    match character {
        '"' => ": strings take single quotes",
        '=' => ": equality is `==`",
        '&' => ": and is `&&`",
        '|' => ": or is `||`",
        '+' | '-' | '/' | '%' => ": there is no arithmetic",
        _ => "",
    }
}
