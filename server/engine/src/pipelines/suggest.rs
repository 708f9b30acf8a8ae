//! The name that was probably meant. Knows nothing of what the names are for.

/// The candidate nearest to `written`, if one is near enough.
pub(super) fn suggest<'c>(
    written: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    let lower = written.to_lowercase();
    // A third of the letters may be wrong: more would guess anything.
    let most = (lower.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != written)
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
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
