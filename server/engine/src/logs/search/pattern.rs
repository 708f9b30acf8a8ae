//! What is looked for, compiled once: a text or a regular expression that finds its matches in any piece of whole lines at
//! once, and never over a line end. It knows nothing of logs.

use std::ops::ControlFlow;

use memchr::memmem::Finder;
use regex_automata::meta::{BuildError, Config, Regex};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{
    Capture, Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition,
};

use crate::logs::LogError;

/// The longest pattern.
pub const SEARCH_PATTERN_MAX_BYTES: usize = 1024;
/// The most that the automaton of a regular expression takes.
pub const SEARCH_REGEX_MAX_BYTES: usize = 2 * 1024 * 1024;
/// What a regular expression may keep of its work, for each thread that searches.
const REGEX_CACHE_MAX_BYTES: usize = 2 * 1024 * 1024;
/// How deep groups of a regular expression may be in one another.
const REGEX_NEST_MAX: u32 = 100;

/// A pattern that was compiled.
#[derive(Debug)]
pub enum Pattern {
    /// These bytes.
    Literal(Box<Finder<'static>>),
    /// All else.
    Regex(Box<Regex>),
}

impl Pattern {
    /// Compiles a pattern: a text, or with `regex` a regular expression.
    pub fn new(pattern: &str, regex: bool, case_sensitive: bool) -> Result<Self, LogError> {
        if pattern.is_empty() || pattern.len() > SEARCH_PATTERN_MAX_BYTES {
            return Err(invalid(format!(
                "is {} bytes long; 1 to {SEARCH_PATTERN_MAX_BYTES} are allowed",
                pattern.len()
            )));
        }
        if pattern.contains('\n') {
            return Err(invalid("has a line end in it; lines are searched one by one"));
        }
        if !regex && case_sensitive {
            return Ok(Self::Literal(Box::new(Finder::new(pattern).into_owned())));
        }
        let escaped = if regex { pattern.to_owned() } else { regex_syntax::escape(pattern) };
        let parsed = ParserBuilder::new()
            .utf8(false)
            // The simple case needs no more than ASCII, and is faster with no more.
            .unicode(regex || !pattern.is_ascii())
            .case_insensitive(!case_sensitive)
            // A line begins and ends where lines do, in whatever piece it is.
            .multi_line(true)
            .nest_limit(REGEX_NEST_MAX)
            .build()
            .parse(&escaped);
        let hir = within_lines(parsed.map_err(|error| invalid(what_is_wrong(&error)))?)?;
        let config = Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(SEARCH_REGEX_MAX_BYTES))
            .hybrid_cache_capacity(REGEX_CACHE_MAX_BYTES);
        let built = Regex::builder().configure(config).build_from_hir(&hir);
        Ok(Self::Regex(Box::new(built.map_err(|error| too_large(&error))?)))
    }

    /// Tells of each match in whole lines, from the first on, until it is told to stop. An empty match may be told of behind
    /// the last line end.
    pub fn each(&self, lines: &[u8], mut tell: impl FnMut(usize, usize) -> ControlFlow<()>) {
        match self {
            Self::Literal(finder) => {
                let length = finder.needle().len();
                let _ = finder.find_iter(lines).try_for_each(|at| tell(at, at + length));
            }
            Self::Regex(regex) => {
                let _ = regex.find_iter(lines).try_for_each(|found| tell(found.start(), found.end()));
            }
        }
    }
}

/// The same expression for many lines at once: nothing in it matches a line end, and the ends of what is searched are those
/// of each line.
fn within_lines(hir: Hir) -> Result<Hir, LogError> {
    let all = |parts: Vec<Hir>| parts.into_iter().map(within_lines).collect::<Result<Vec<_>, _>>();
    Ok(match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.contains(&b'\n') => {
            return Err(invalid("has a line end in it; lines are searched one by one"));
        }
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(Class::Unicode(mut class)) => {
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Class(Class::Bytes(mut class)) => {
            class.difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Look(Look::Start) => Hir::look(Look::StartLF),
        HirKind::Look(Look::End) => Hir::look(Look::EndLF),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(Repetition { min, max, greedy, sub }) => {
            Hir::repetition(Repetition { min, max, greedy, sub: Box::new(within_lines(*sub)?) })
        }
        // Nobody asks what a group matched.
        HirKind::Capture(Capture { sub, .. }) => within_lines(*sub)?,
        HirKind::Concat(parts) => Hir::concat(all(parts)?),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)?),
    })
}

fn what_is_wrong(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => at(error.kind(), error.span().start.offset),
        regex_syntax::Error::Translate(error) => at(error.kind(), error.span().start.offset),
        _ => "is no regular expression".to_owned(),
    }
}

fn at(what: impl std::fmt::Display, offset: usize) -> String {
    format!("is no regular expression: {what} (at byte {offset})")
}

fn too_large(error: &BuildError) -> LogError {
    if error.size_limit().is_some() {
        return invalid(format!("makes an automaton of more than {SEARCH_REGEX_MAX_BYTES} bytes, the limit"));
    }
    invalid(format!("can't be searched for: {error}"))
}

fn invalid(message: impl Into<String>) -> LogError {
    LogError::invalid("pattern", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, regex: bool, case_sensitive: bool, text: &str) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        Pattern::new(pattern, regex, case_sensitive).unwrap().each(text.as_bytes(), |from, to| {
            all.push((from, to));
            ControlFlow::Continue(())
        });
        all
    }

    #[test]
    fn texts_are_texts_and_expressions_are_expressions() {
        assert_eq!(found("a.c", false, true, "abc\na.c\nA.C\n"), [(4, 7)]);
        assert_eq!(found("a.c", false, false, "abc\na.c\nA.C\n"), [(4, 7), (8, 11)]);
        assert_eq!(found("a.c", true, true, "abc\na.c\nA.C\n"), [(0, 3), (4, 7)]);
        assert_eq!(found("ÄX", false, false, "äx\n"), [(0, 3)]);
        assert_eq!(found("k", false, false, "\u{212A}\n"), [], "ASCII alone");
    }

    #[test]
    fn no_match_goes_over_a_line_end() {
        assert_eq!(found("a\\s+b", true, true, "a\nb\na b\n"), [(4, 7)]);
        assert_eq!(found("(?s)a.*b", true, true, "a\nb\naxb\n"), [(4, 7)]);
        assert_eq!(found("[^x]+", true, true, "ab\ncx\n"), [(0, 2), (3, 4)]);
        assert_eq!(found("^b$", true, true, "ab\nb\n"), [(3, 4)]);
        assert_eq!(found(r"\Ab\z", true, true, "ab\nb\n"), [(3, 4)]);
        assert_eq!(found("(?-m)^b$", true, true, "ab\nb\n"), [(3, 4)]);
        assert_eq!(found(r"\bb\b", true, true, "ab\nb\n"), [(3, 4)]);
        assert_eq!(found("(?-u:[^a])", true, true, "a\n\u{e9}\n"), [(2, 3), (3, 4)]);
    }

    #[test]
    fn what_is_wrong_is_said_of_the_field() {
        for (pattern, regex, word) in [
            ("", false, "0 bytes"),
            (&*"x".repeat(1025), false, "1025 bytes"),
            ("a\nb", false, "line end"),
            ("a\\nb", true, "line end"),
            ("a(b", true, "unclosed group (at byte 1)"),
            ("a**{", true, "repetition"),
            (r"\p{No}{1000}", true, "limit"),
            (&*"(".repeat(200), true, "is no regular expression"),
        ] {
            let error = Pattern::new(pattern, regex, false).unwrap_err().to_string();
            assert!(error.starts_with("pattern: ") && error.contains(word), "{error}");
        }
    }
}
