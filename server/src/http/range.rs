//! The `Range` header of RFC 9110: one range of bytes. It is looked at when all conditions hold.

use axum::http::{HeaderMap, header};

/// What part of something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// All of it.
    Whole,
    /// From, and up to but not including.
    Part(u64, u64),
    /// Something that is not there.
    Outside,
}

impl Range {
    /// One range of what has this length, and of which nothing before `first` is there any more. Several, or what is no
    /// range of bytes, mean the whole: RFC 9110 lets a server ignore them.
    pub fn of(headers: &HeaderMap, first: u64, length: u64) -> Self {
        let (from, to) = match asked(headers) {
            Some((Some(from), Some(to))) if from <= to => (from, to.saturating_add(1).min(length)),
            Some((Some(from), None)) => (from, length),
            Some((None, Some(0))) => return Self::Outside,
            // The last ones of nothing are nothing, and no range says that.
            Some((None, Some(_))) if first >= length => return Self::Whole,
            Some((None, Some(last))) => (length.saturating_sub(last).max(first), length),
            _ => return Self::Whole,
        };
        if from < first || from >= length { Self::Outside } else { Self::Part(from, to) }
    }
}

/// The first and the last byte; or none, and how many at the end. None: it is no single range of bytes.
fn asked(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let mut lines = headers.get_all(header::RANGE).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    let (unit, range) = line.to_str().ok()?.split_once('=')?;
    let (from, to) = range.split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
    Some((number(from)?, number(to)?))
}

/// A number, as large as it may be written; Some(None): there is none.
#[allow(clippy::option_option)]
fn number(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| (!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn range(text: &'static str, first: u64, length: u64) -> Range {
        Range::of(&HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(text))]), first, length)
    }

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        let cases = [
            ("bytes=0-0", Range::Part(0, 1)),
            ("Bytes=0-0", Range::Part(0, 1)),
            ("bytes=5-", Range::Part(5, 10)),
            ("bytes=-3", Range::Part(7, 10)),
            ("bytes=-30", Range::Part(0, 10)),
            ("bytes=2-99", Range::Part(2, 10)),
            ("bytes=2-99999999999999999999", Range::Part(2, 10)),
            ("bytes=-99999999999999999999", Range::Part(0, 10)),
            ("bytes=10-", Range::Outside),
            ("bytes=99999999999999999999-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=3-2", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=+1-+2", Range::Whole),
            ("lines=0-1", Range::Whole),
            ("bytes=x-y", Range::Whole),
        ];
        for (text, wanted) in cases {
            assert_eq!(range(text, 0, 10), wanted, "{text}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::RANGE, HeaderValue::from_static("bytes=0-0"));
        twice.append(header::RANGE, HeaderValue::from_static("bytes=1-1"));
        assert_eq!(Range::of(&twice, 0, 10), Range::Whole);
    }

    #[test]
    fn what_is_gone_is_outside_and_the_last_bytes_are_those_that_are_left() {
        for (text, wanted) in [
            ("bytes=-3", Range::Part(7, 10)),
            ("bytes=-9", Range::Part(4, 10)),
            ("bytes=-30", Range::Part(4, 10)),
            ("bytes=4-", Range::Part(4, 10)),
            ("bytes=3-8", Range::Outside),
        ] {
            assert_eq!(range(text, 4, 10), wanted, "{text}");
        }
        for (text, wanted) in [("bytes=0-", Range::Outside), ("bytes=-5", Range::Whole), ("bytes=-0", Range::Outside)] {
            assert_eq!(range(text, 0, 0), wanted, "{text} of nothing");
        }
    }
}
