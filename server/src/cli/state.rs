//! States, times and durations as people read them.

use std::time::Duration;

use buffa::EnumValue;
use buffa_types::google::protobuf::Timestamp;
use millrace_proto::millrace::v1::State;

/// The state of a run, job or step; one from a newer server counts as not known.
pub fn known(state: EnumValue<State>) -> State {
    state.as_known().unwrap_or(State::Unspecified)
}

/// Whether nothing follows it.
pub fn is_final(state: State) -> bool {
    match state {
        State::Success | State::Failure | State::Cancelled | State::Skipped => true,
        State::Unspecified | State::Pending | State::Held | State::Queued | State::Running => false,
    }
}

/// The word for it.
pub fn word(state: State) -> &'static str {
    match state {
        State::Unspecified => "unknown",
        State::Pending => "pending",
        State::Held => "held",
        State::Queued => "queued",
        State::Running => "running",
        State::Success => "success",
        State::Failure => "failure",
        State::Cancelled => "cancelled",
        State::Skipped => "skipped",
    }
}

/// A sign for it, beside the word and never instead of it.
pub fn sign(state: State) -> &'static str {
    match state {
        State::Success => "✓",
        State::Failure => "✗",
        State::Cancelled => "◼",
        State::Skipped => "↷",
        State::Running => "●",
        State::Unspecified | State::Pending | State::Held | State::Queued => "○",
    }
}

/// The text in the state's colour, when colours are welcome.
pub fn paint(state: State, text: &str, colour: bool) -> String {
    let code = match state {
        State::Success => "32",
        State::Failure => "31",
        State::Cancelled => "33",
        State::Running => "36",
        State::Skipped | State::Unspecified | State::Pending | State::Held | State::Queued => "2",
    };
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// From one time to another; nothing when one is missing or they lie the wrong way round.
pub fn between(from: Option<&Timestamp>, to: Option<&Timestamp>) -> Option<Duration> {
    let to_nanos = |time: &Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let nanos = to_nanos(to?) - to_nanos(from?);
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

/// "0.4 s", "12.3 s", "3 min 05 s", "2 h 07 min".
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", (duration.as_secs_f64() * 10.0).floor() / 10.0)
    } else if seconds < 3600 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60)
    }
}

/// A time in UTC to the millisecond: "2026-11-22T14:31:07.042Z".
pub fn utc(unix_millis: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_millis).map_or_else(|_| unix_millis.to_string(), |time| format!("{time:.3}"))
}

/// A time of a message, in Unix milliseconds.
pub fn millis(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_human_units() {
        let human = |millis| human(Duration::from_millis(millis));
        assert_eq!(human(0), "0.0 s");
        assert_eq!(human(449), "0.4 s");
        assert_eq!(human(12_345), "12.3 s");
        assert_eq!(human(59_999), "59.9 s");
        assert_eq!(human(60_000), "1 min 00 s");
        assert_eq!(human(185_000), "3 min 05 s");
        assert_eq!(human(7_620_000), "2 h 07 min");
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(1_795_357_867_042), "2026-11-22T14:31:07.042Z");
    }

    #[test]
    fn absurd_times_are_shown_as_numbers() {
        assert_eq!(utc(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn durations_need_both_ends_in_order() {
        let at = |seconds| Timestamp::from_unix_secs(seconds);
        assert_eq!(between(Some(&at(3)), Some(&at(5))), Some(Duration::from_secs(2)));
        assert_eq!(between(Some(&at(5)), Some(&at(3))), None);
        assert_eq!(between(None, Some(&at(3))), None);
    }

    #[test]
    fn every_state_has_a_word_and_an_end() {
        for number in 0..=8 {
            let state = known(EnumValue::from(number));
            assert_eq!(is_final(state), number >= 5, "{}", word(state));
        }
        assert_eq!(word(known(EnumValue::from(99))), "unknown");
    }
}
