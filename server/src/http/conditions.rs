//! Conditional requests of RFC 9110 by entity tag: `If-Match` and `If-None-Match`. Knows nothing of what the tags name.

use axum::http::{HeaderMap, HeaderName, header};

/// What the conditions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Go,
    /// The client has it already.
    NotModified,
    /// The client wanted this only if something else were here.
    Failed,
}

impl Verdict {
    /// Of a request that reads or writes something whose tag this is; None: there is nothing.
    pub fn of(headers: &HeaderMap, reads: bool, tag: Option<&str>) -> Self {
        if let Some(wanted) = Tags::of(headers, &header::IF_MATCH)
            && !tag.is_some_and(|tag| wanted.contain(tag))
        {
            return Self::Failed;
        }
        match Tags::of(headers, &header::IF_NONE_MATCH) {
            Some(known) if tag.is_some_and(|tag| known.contain(tag)) => {
                if reads {
                    Self::NotModified
                } else {
                    Self::Failed
                }
            }
            _ => Self::Go,
        }
    }
}

/// Whether a range is still wanted: `If-Range` names another content when it is not.
pub fn range_holds(headers: &HeaderMap, tag: &str) -> bool {
    // A weak tag says nothing of single bytes.
    Tags::of(headers, &header::IF_RANGE).is_none_or(|wanted| wanted.0 == [tag])
}

/// The tags of one header, however many lines it has.
struct Tags<'a>(Vec<&'a str>);

impl<'a> Tags<'a> {
    fn of(headers: &'a HeaderMap, name: &HeaderName) -> Option<Self> {
        headers.contains_key(name).then(|| {
            let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            Self(lines.flat_map(|line| line.split(',')).map(str::trim).collect())
        })
    }

    fn contain(&self, tag: &str) -> bool {
        self.0.iter().any(|one| *one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn verdict(name: HeaderName, value: &'static str, reads: bool, tag: Option<&str>) -> Verdict {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        Verdict::of(&headers, reads, tag)
    }

    #[test]
    fn conditions_are_those_of_rfc_9110() {
        let (one, two) = (Some("\"1\""), Some("\"2\""));
        let none_match = |value, reads, tag| verdict(header::IF_NONE_MATCH, value, reads, tag);
        assert_eq!(none_match("\"1\"", true, one), Verdict::NotModified);
        assert_eq!(none_match("\"0\", W/\"1\"", true, one), Verdict::NotModified);
        assert_eq!(none_match("\"1\"", true, two), Verdict::Go);
        assert_eq!(none_match("*", false, one), Verdict::Failed);
        assert_eq!(none_match("*", false, None), Verdict::Go);
        let wanted = |value, tag| verdict(header::IF_MATCH, value, true, tag);
        assert_eq!(wanted("\"1\"", one), Verdict::Go);
        assert_eq!(wanted("\"1\"", two), Verdict::Failed);
        assert_eq!(wanted("*", None), Verdict::Failed);
        assert_eq!(Verdict::of(&HeaderMap::new(), true, one), Verdict::Go);
    }

    #[test]
    fn a_range_of_another_content_is_not_given() {
        let headers = HeaderMap::from_iter([(header::IF_RANGE, HeaderValue::from_static("\"1\""))]);
        assert!(range_holds(&headers, "\"1\"") && !range_holds(&headers, "\"2\""));
        assert!(range_holds(&HeaderMap::new(), "\"2\""));
        let weak = HeaderMap::from_iter([(header::IF_RANGE, HeaderValue::from_static("W/\"1\""))]);
        assert!(!range_holds(&weak, "\"1\""));
    }
}
