//! What the query of a log's address asks for: `?follow=1`, `?download=1`, `?tail=N`. Knows nothing of logs.

use millrace_engine::error::Error;

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogWanted {
    /// A live tail: goes on until the log is complete.
    pub follow: bool,
    /// As a file to keep.
    pub download: bool,
    /// Begin at the last so many lines.
    pub tail: Option<u64>,
}

impl LogWanted {
    /// Of a query's parameters. Others than these are nobody's here.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Error> {
        Ok(Self {
            follow: switch("follow", parameters)?,
            download: switch("download", parameters)?,
            tail: once("tail", parameters)?.map(lines).transpose()?,
        })
    }
}

/// The value of a parameter.
fn once<'a>(name: &'static str, parameters: &'a [(String, String)]) -> Result<Option<&'a str>, Error> {
    let mut values = parameters.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
    let value = values.next();
    match values.count() {
        0 => Ok(value),
        more => Err(Error::invalid(name, format!("is there {} times; once is allowed", more + 1))),
    }
}

/// `?x`, `?x=1`, `?x=true`; or their opposite.
fn switch(name: &'static str, parameters: &[(String, String)]) -> Result<bool, Error> {
    match once(name, parameters)? {
        Some("" | "1" | "true") => Ok(true),
        None | Some("0" | "false") => Ok(false),
        Some(other) => Err(Error::invalid(name, format!("{other:?} is none of 1, true, 0, false"))),
    }
}

fn lines(text: &str) -> Result<u64, Error> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| Error::invalid("tail", format!("{text:?} is no number of lines, 0 to {}", u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(parameters: &[(&str, &str)]) -> Result<LogWanted, String> {
        let parameters: Vec<_> =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        LogWanted::parse(&parameters).map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_not_be_meant_is_refused_by_name() {
        let nothing = LogWanted::default();
        assert_eq!(parsed(&[]), Ok(nothing));
        assert_eq!(parsed(&[("cache", "1"), ("follow", "0"), ("download", "false")]), Ok(nothing));
        let all = LogWanted { follow: true, download: true, tail: Some(7) };
        assert_eq!(parsed(&[("tail", "7"), ("follow", ""), ("download", "true")]), Ok(all));
        for (sent, wanted) in [
            (&[("tail", "x")][..], "tail: \"x\" is no number of lines, 0 to 18446744073709551615"),
            (&[("tail", "")], "tail: \"\" is no number of lines, 0 to 18446744073709551615"),
            (&[("tail", "-1")], "tail: \"-1\" is no number of lines, 0 to 18446744073709551615"),
            (&[("tail", "+1")], "tail: \"+1\" is no number of lines, 0 to 18446744073709551615"),
            (
                &[("tail", "18446744073709551616")],
                "tail: \"18446744073709551616\" is no number of lines, 0 to 18446744073709551615",
            ),
            (&[("tail", "1"), ("tail", "2")], "tail: is there 2 times; once is allowed"),
            (&[("follow", "yes")], "follow: \"yes\" is none of 1, true, 0, false"),
            (&[("download", "2")], "download: \"2\" is none of 1, true, 0, false"),
        ] {
            assert_eq!(parsed(sent), Err(wanted.to_owned()));
        }
    }
}
