//! Text to tokens with byte offsets. Knows nothing of grammar.

use super::error::{ErrorKind, ExpressionError};
use super::value::parse_number;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Number(f64),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

impl Token {
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Text(text) => format!("the string '{text}'"),
            Self::Number(number) => format!("the number {number}"),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end".to_owned(),
        }
    }

    /// Whether a value may end here: then `.` is a property, else it starts a number.
    fn ends_value(&self) -> bool {
        matches!(self, Self::Name(_) | Self::Text(_) | Self::Number(_) | Self::Sign(")" | "]" | "*"))
    }
}

const SIGNS: [&str; 16] = ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", ".", "*"];

/// All tokens with their offsets; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExpressionError> {
    let mut tokens: Vec<(usize, Token)> = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        if character.is_whitespace() {
            at += character.len_utf8();
            continue;
        }
        let after_value = tokens.last().is_some_and(|(_, token)| token.ends_value());
        let (token, length) = token(text, at, character, after_value)?;
        tokens.push((at, token));
        at += length;
    }
    // Behind the last token, not behind the line end of a block.
    tokens.push((text.trim_end().len(), Token::End));
    Ok(tokens)
}

fn token(text: &str, at: usize, first: char, after_value: bool) -> Result<(Token, usize), ExpressionError> {
    let rest = &text[at..];
    if first == '\'' {
        return string(rest).ok_or_else(|| ErrorKind::UnclosedString.at(at));
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let length = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        return Ok((Token::Name(rest[..length].to_owned()), length));
    }
    if first.is_ascii_digit() || (!after_value && matches!(first, '.' | '-' | '+')) {
        return number(rest).map_err(|kind| kind.at(at));
    }
    let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
    sign.map(|sign| (Token::Sign(sign), sign.len())).ok_or_else(|| ErrorKind::Character(first).at(at))
}

fn string(rest: &str) -> Option<(Token, usize)> {
    let mut text = String::new();
    let mut from = 1;
    loop {
        let quote = from + rest[from..].find('\'')?;
        text.push_str(&rest[from..quote]);
        if !rest[quote + 1..].starts_with('\'') {
            return Some((Token::Text(text), quote + 1));
        }
        text.push('\'');
        from = quote + 2;
    }
}

fn number(rest: &str) -> Result<(Token, usize), ErrorKind> {
    let length = rest
        .char_indices()
        .find(|&(at, c)| {
            let exponent_sign = matches!(c, '+' | '-') && (at == 0 || rest[..at].ends_with(['e', 'E']));
            !(c.is_ascii_alphanumeric() || c == '.' || exponent_sign)
        })
        .map_or(rest.len(), |(at, _)| at);
    let written = &rest[..length];
    let number = parse_number(written);
    if number.is_finite() && written.contains(|c: char| c.is_ascii_digit()) {
        Ok((Token::Number(number), length))
    } else {
        Err(ErrorKind::Number(written.to_owned()))
    }
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}
