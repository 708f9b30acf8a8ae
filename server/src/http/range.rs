//! The `Range` header of RFC 9110: one range of bytes.

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
    /// One range of bytes. Several, or what is no range, mean the whole: RFC 9110 lets a server ignore them.
    pub fn of(headers: &HeaderMap, length: u64) -> Self {
        let Some(spec) = headers.get(header::RANGE).and_then(|value| value.to_str().ok()?.strip_prefix("bytes="))
        else {
            return Self::Whole;
        };
        let Some((from, to)) = spec.split_once('-').filter(|_| !spec.contains(',')) else { return Self::Whole };
        let (from, to) = match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
            (Ok(from), Ok(to)) if from <= to => (from, to.saturating_add(1).min(length)),
            (Ok(from), Err(_)) if to.trim().is_empty() => (from, length),
            (Err(_), Ok(last)) if from.trim().is_empty() && last > 0 => (length.saturating_sub(last), length),
            (Err(_), Ok(_)) if from.trim().is_empty() => return Self::Outside,
            _ => return Self::Whole,
        };
        if from >= length { Self::Outside } else { Self::Part(from, to) }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        let cases = [
            ("bytes=0-0", Range::Part(0, 1)),
            ("bytes=5-", Range::Part(5, 10)),
            ("bytes=-3", Range::Part(7, 10)),
            ("bytes=-30", Range::Part(0, 10)),
            ("bytes=2-99", Range::Part(2, 10)),
            ("bytes=10-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=3-2", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("lines=0-1", Range::Whole),
            ("bytes=x-y", Range::Whole),
        ];
        for (text, wanted) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(text));
            assert_eq!(Range::of(&headers, 10), wanted, "{text}");
        }
    }
}
