//! Checks a cron line of five fields. Knows nothing of when it is next due.

/// The fields, their ranges, and the names that some of them take.
const FIELDS: [(&str, u32, u32, &[&str]); 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day of the month", 1, 31, &[]),
    ("month", 1, 12, &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]),
    ("day of the week", 0, 6, &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]),
];

/// Whether a line is valid; else what is wrong, and the byte offset of the field.
pub(super) fn check(line: &str) -> Result<(), (usize, String)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let message = format!("cron takes 5 fields (minute, hour, day, month, weekday), found {}", fields.len());
        return Err((0, message));
    }
    for (text, (name, lowest, highest, names)) in fields.into_iter().zip(FIELDS) {
        let offset = text.as_ptr() as usize - line.as_ptr() as usize;
        let field = Field { name, lowest, highest, names };
        for part in text.split(',') {
            field.part(part).map_err(|message| (offset, message))?;
        }
    }
    Ok(())
}

struct Field {
    name: &'static str,
    lowest: u32,
    highest: u32,
    names: &'static [&'static str],
}

impl Field {
    /// `*`, `a` or `a-b`, each with an optional `/step`.
    fn part(&self, part: &str) -> Result<(), String> {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        if let Some(step) = step
            && !step.parse::<u32>().is_ok_and(|step| (1..=self.highest).contains(&step))
        {
            return Err(format!("cron: `/{step}` is not a step of the {}", self.name));
        }
        if range == "*" {
            return Ok(());
        }
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        if self.number(from)? > self.number(to)? {
            return Err(format!("cron: the {} range `{range}` runs backwards", self.name));
        }
        Ok(())
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(index) => Some(index as u32 + self.lowest),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        number
            .filter(|number| (self.lowest..=self.highest).contains(number))
            .ok_or_else(|| format!("cron: `{text}` is no {} ({} to {})", self.name, self.lowest, self.highest))
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn lines() {
        for line in ["0 0 * * *", "*/15 8-17/2 1,15 JAN-mar MON-FRI", "  5 4 * * 0 ", "30 5,17 * * 1,3"] {
            assert_eq!(check(line), Ok(()), "{line}");
        }
        for (line, offset, message) in [
            ("* * * *", 0, "cron takes 5 fields (minute, hour, day, month, weekday), found 4"),
            ("@daily", 0, "cron takes 5 fields (minute, hour, day, month, weekday), found 1"),
            ("60 0 * * *", 0, "cron: `60` is no minute (0 to 59)"),
            ("0 24 * * *", 2, "cron: `24` is no hour (0 to 23)"),
            ("0 0 0 * *", 4, "cron: `0` is no day of the month (1 to 31)"),
            ("0 0 * FOO *", 6, "cron: `FOO` is no month (1 to 12)"),
            ("0 0 * * 7", 8, "cron: `7` is no day of the week (0 to 6)"),
            ("0 9-5 * * *", 2, "cron: the hour range `9-5` runs backwards"),
            ("*/0 0 * * *", 0, "cron: `/0` is not a step of the minute"),
            ("1,,2 0 * * *", 0, "cron: `` is no minute (0 to 59)"),
        ] {
            assert_eq!(check(line), Err((offset, message.to_owned())), "{line}");
        }
    }
}
