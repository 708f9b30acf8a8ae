//! Sizes and times as people write them in settings. Errors name the flag.

use anyhow::Result;
use bytesize::ByteSize;

/// The longest time, in milliseconds: a thousand years.
const TIME_MAX_MS: u64 = 1_000 * 366 * 24 * 3_600_000;

/// A size: 10GB, 512MiB.
pub fn size(flag: &str, text: Option<&str>) -> Result<Option<u64>> {
    text.map(|text| {
        let size: ByteSize = text.parse().map_err(|_| {
            anyhow::anyhow!("{flag} {text:?} is not a size: give a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB")
        })?;
        Ok(size.as_u64())
    })
    .transpose()
}

/// A time in milliseconds: 90d, 12h, 0.
pub fn duration_ms(flag: &str, text: Option<&str>) -> Result<Option<u64>> {
    let wrong = |text: &str| {
        anyhow::anyhow!(
            "{flag} {text:?} is not a time: give a whole number with s, m, h, d or w, below a thousand years"
        )
    };
    text.map(|text| parse_ms(text.trim()).ok_or_else(|| wrong(text))).transpose()
}

fn parse_ms(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let unit_ms = match text.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 24 * 3_600_000,
        'w' => 7 * 24 * 3_600_000,
        _ => return None,
    };
    let number = text[..text.len() - 1].trim_end();
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(unit_ms).filter(|ms| *ms <= TIME_MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, ms) in
            [("0", 0), ("0s", 0), ("5s", 5_000), ("2m", 120_000), ("12 h", 43_200_000), ("1w", 604_800_000)]
        {
            assert_eq!(duration_ms("--x", Some(text)).unwrap(), Some(ms), "{text}");
        }
        assert_eq!(duration_ms("--x", None).unwrap(), None);
        for text in ["", "5", "d", "-1d", "+1d", "1.5d", "1y", "99999999999999999999d", "9999999d", "é"] {
            let error = duration_ms("--x", Some(text)).unwrap_err().to_string();
            assert!(error.contains("--x") && error.contains("s, m, h, d or w"), "{error}");
        }
    }
}
