//! The name that was probably meant. Knows nothing of what the names are for.

/// Longer names get no suggestion, and only so many candidates are compared: the work is bounded.
const NAME_MAX_CHARS: usize = 50;
const CANDIDATES_MAX: usize = 100;

/// The candidate nearest to `written`, if one is near enough.
pub(super) fn suggest<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let lower = written.to_lowercase();
    let length = lower.chars().count();
    // A third of the letters may be wrong: more would guess anything.
    let most = (length / 3).clamp(1, 4);
    if length > NAME_MAX_CHARS {
        return None;
    }
    candidates
        .into_iter()
        .filter(|candidate| *candidate != written && candidate.len().abs_diff(written.len()) <= most)
        .take(CANDIDATES_MAX)
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn near_names_are_found() {
        let keys = ["runs-on", "steps", "needs", "timeout-minutes", "if"];
        for (written, expected) in [
            ("run-on", Some("runs-on")),
            ("runs_on", Some("runs-on")),
            ("Runs-On", Some("runs-on")),
            ("step", Some("steps")),
            ("setps", Some("steps")),
            ("timeout_minute", Some("timeout-minutes")),
            ("fi", Some("if")),
            ("flowers", None),
            ("", None),
        ] {
            assert_eq!(suggest(written, keys).as_deref(), expected, "{written}");
        }
    }
}
