//! Conditional requests of RFC 9110, section 13: by entity tag and by time, in the order of 13.2.2. A range is looked at
//! when all else holds. Knows nothing of what the tags name.

use std::time::UNIX_EPOCH;

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

/// What is here now, as conditions compare it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Current<'a> {
    /// Its entity tag; None: it has none.
    pub tag: Option<&'a str>,
    /// When it was changed last, in Unix milliseconds; None: nobody is told, and conditions by time mean nothing.
    pub modified_ms: Option<i64>,
}

impl<'a> Current<'a> {
    /// By its tag alone.
    pub fn tagged(tag: Option<&'a str>) -> Self {
        Self { tag, modified_ms: None }
    }

    /// Whether it was changed after a time of a header; None: the header is not there, or it can't be told.
    fn changed_since(&self, headers: &HeaderMap, name: &HeaderName) -> Option<bool> {
        // Times of headers are in seconds.
        Some(self.modified_ms?.div_euclid(1_000) > seconds(headers, name)?)
    }
}

impl Verdict {
    /// Of a request that reads or writes what is here; None: there is nothing.
    pub fn of(headers: &HeaderMap, reads: bool, current: Option<Current>) -> Self {
        let now = current.unwrap_or_default();
        let wanted = match Tags::of(headers, &header::IF_MATCH) {
            Some(wanted) => current.is_some() && wanted.contain_strong(now.tag),
            None => now.changed_since(headers, &header::IF_UNMODIFIED_SINCE) != Some(true),
        };
        if !wanted {
            return Self::Failed;
        }
        let known = match Tags::of(headers, &header::IF_NONE_MATCH) {
            Some(known) => current.is_some() && known.contain(now.tag),
            None => reads && now.changed_since(headers, &header::IF_MODIFIED_SINCE) == Some(false),
        };
        match (known, reads) {
            (false, _) => Self::Go,
            (true, true) => Self::NotModified,
            (true, false) => Self::Failed,
        }
    }
}

/// Whether a range is still wanted: `If-Range` names another content when it is not. A time is none that it could be
/// compared with: something may change twice in a second.
pub fn range_holds(headers: &HeaderMap, tag: Option<&str>) -> bool {
    // A weak tag says nothing of single bytes.
    Tags::of(headers, &header::IF_RANGE).is_none_or(|wanted| tag.is_some_and(|tag| wanted.0 == [tag]))
}

/// A time as headers have it, in Unix seconds; what is none, or is there twice, is not there.
fn seconds(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    let time = httpdate::parse_http_date(line.to_str().ok()?).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
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

    /// The weak comparison: the same thing, if not the same bytes.
    fn contain(&self, tag: Option<&str>) -> bool {
        let opaque = |tag: &'a str| tag.strip_prefix("W/").unwrap_or(tag);
        self.0.iter().any(|one| *one == "*" || tag == Some(opaque(one)))
    }

    /// The strong comparison: the same bytes.
    fn contain_strong(&self, tag: Option<&str>) -> bool {
        self.0.iter().any(|one| *one == "*" || tag == Some(one))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const THEN_MS: i64 = 784_111_777_999;

    fn verdict_of(sent: &[(HeaderName, &'static str)], reads: bool, current: Option<Current>) -> Verdict {
        let headers = sent.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Verdict::of(&headers.collect(), reads, current)
    }

    fn verdict(name: HeaderName, value: &'static str, reads: bool, tag: Option<&str>) -> Verdict {
        verdict_of(&[(name, value)], reads, tag.map(|tag| Current::tagged(Some(tag))))
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
        assert_eq!(wanted("W/\"1\"", one), Verdict::Failed, "a weak tag is not compared strongly");
        assert_eq!(wanted("*", None), Verdict::Failed);
        assert_eq!(Verdict::of(&HeaderMap::new(), true, Some(Current::tagged(one))), Verdict::Go);
        // What has no tag is there all the same.
        let untagged = Some(Current::default());
        assert_eq!(verdict_of(&[(header::IF_MATCH, "*")], true, untagged), Verdict::Go);
        assert_eq!(verdict_of(&[(header::IF_MATCH, "\"1\"")], true, untagged), Verdict::Failed);
        assert_eq!(verdict_of(&[(header::IF_NONE_MATCH, "*")], false, untagged), Verdict::Failed);
        assert_eq!(verdict_of(&[(header::IF_NONE_MATCH, "\"1\"")], true, untagged), Verdict::Go);
    }

    #[test]
    fn times_count_where_no_tag_is_named() {
        let now = Some(Current { tag: Some("\"1\""), modified_ms: Some(THEN_MS) });
        let is = |sent: &[(HeaderName, &'static str)], reads| verdict_of(sent, reads, now);
        assert_eq!(is(&[(header::IF_MODIFIED_SINCE, THEN)], true), Verdict::NotModified);
        assert_eq!(is(&[(header::IF_MODIFIED_SINCE, EARLIER)], true), Verdict::Go);
        assert_eq!(is(&[(header::IF_MODIFIED_SINCE, "Sunday, 06-Nov-94 08:49:37 GMT")], true), Verdict::NotModified);
        assert_eq!(is(&[(header::IF_MODIFIED_SINCE, "yesterday")], true), Verdict::Go);
        assert_eq!(is(&[(header::IF_MODIFIED_SINCE, THEN)], false), Verdict::Go, "who writes does not say so");
        assert_eq!(is(&[(header::IF_UNMODIFIED_SINCE, THEN)], true), Verdict::Go);
        assert_eq!(is(&[(header::IF_UNMODIFIED_SINCE, EARLIER)], true), Verdict::Failed);
        assert_eq!(is(&[(header::IF_UNMODIFIED_SINCE, EARLIER)], false), Verdict::Failed);
        // Tags are better.
        assert_eq!(is(&[(header::IF_NONE_MATCH, "\"2\""), (header::IF_MODIFIED_SINCE, THEN)], true), Verdict::Go);
        assert_eq!(is(&[(header::IF_MATCH, "\"1\""), (header::IF_UNMODIFIED_SINCE, EARLIER)], true), Verdict::Go);
        // The first that fails decides.
        let both = [(header::IF_MATCH, "\"2\""), (header::IF_NONE_MATCH, "\"1\"")];
        assert_eq!(is(&both, true), Verdict::Failed);
        let timeless = Some(Current::tagged(Some("\"1\"")));
        for name in [header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE] {
            assert_eq!(verdict_of(&[(name, EARLIER)], true, timeless), Verdict::Go, "nothing to compare with");
        }
    }

    #[test]
    fn a_range_of_another_content_is_not_given() {
        let of = |value| HeaderMap::from_iter([(header::IF_RANGE, HeaderValue::from_static(value))]);
        let (one, two) = (Some("\"1\""), Some("\"2\""));
        assert!(range_holds(&of("\"1\""), one) && !range_holds(&of("\"1\""), two));
        assert!(range_holds(&HeaderMap::new(), two) && range_holds(&HeaderMap::new(), None));
        assert!(!range_holds(&of("W/\"1\""), one) && !range_holds(&of("\"1\""), None) && !range_holds(&of(THEN), one));
    }
}
