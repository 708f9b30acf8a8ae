//! A time in the past as a person writes it: so long ago, or a time of day with its date.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// A time to begin at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So many milliseconds ago.
    Ago(i64),
    /// At this time, in Unix milliseconds.
    At(i64),
}

impl Since {
    /// `90s`, `10m`, `2h`, `3d`, `1w`, or a time like `2026-11-22T14:31:07Z`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(ago) = ago(text) {
            return Ok(Self::Ago(ago));
        }
        let time: Timestamp = text
            .parse()
            .map_err(|_| "write how long ago (90s, 10m, 2h, 3d, 1w) or a time like 2026-11-22T14:31:07Z".to_owned())?;
        Ok(Self::At(time.as_millisecond()))
    }

    /// In Unix milliseconds, 1970 at the earliest.
    pub fn millis(self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let millis = match self {
            Self::Ago(ago) => i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(ago),
            Self::At(millis) => millis,
        };
        millis.max(0)
    }
}

fn ago(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse::<i64>().ok()?.checked_mul(seconds * 1_000)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_or_when() {
        for (text, since) in [
            ("90s", Since::Ago(90_000)),
            ("10m", Since::Ago(600_000)),
            ("2h", Since::Ago(7_200_000)),
            ("3d", Since::Ago(259_200_000)),
            ("1w", Since::Ago(604_800_000)),
            ("1970-01-01T00:00:01.5Z", Since::At(1_500)),
            ("2026-11-22T15:31:07.042+01:00", Since::At(1_795_357_867_042)),
        ] {
            assert_eq!(Since::parse(text), Ok(since), "{text}");
        }
        for text in ["", "10", "m", "-5m", "1.5h", "yesterday", "2026-11-22", "99999999999999999d"] {
            assert!(Since::parse(text).is_err_and(|why| why.contains("10m")), "{text}");
        }
        assert_eq!(Since::Ago(i64::MAX).millis(), 0);
        assert_eq!(Since::At(5).millis(), 5);
    }
}
