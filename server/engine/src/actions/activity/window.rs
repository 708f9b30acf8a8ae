//! How a span of time up to now is cut into equal steps for a plot.

use super::MINUTE_MS;
use super::store::ActivityCounts;
use crate::error::{Error, Result};

/// The shortest window, in seconds.
const WINDOW_MIN_SECONDS: i64 = 60;
/// The longest window, in seconds: as far back as is kept.
const WINDOW_MAX_SECONDS: i64 = 365 * 24 * 3_600;
/// The window when a request does not say, in seconds.
const WINDOW_DEFAULT_SECONDS: i64 = 24 * 3_600;
/// The most steps of an answer.
const STEPS_MAX: i32 = 1_000;
/// How many steps an answer has when a request does not say.
const STEPS_DEFAULT: i32 = 96;

/// One step of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivityStep {
    /// When it began, Unix milliseconds.
    pub start_ms: i64,
    /// What happened in it.
    pub counts: ActivityCounts,
}

/// Steps of whole minutes. They begin at multiples of their length, so that the same step of two answers is the same
/// span of time; the last one holds the present and is not over yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Minutes since 1970: where the first step begins.
    pub first_minute: i64,
    /// How long a step is, in minutes.
    pub step_minutes: i64,
    /// How many there are.
    pub steps: i64,
}

impl Window {
    /// The window of this length that ends now; 0 means the default, for both.
    pub fn back_from(now_ms: i64, window_seconds: i64, steps: i32) -> Result<Self> {
        let seconds = match window_seconds {
            0 => WINDOW_DEFAULT_SECONDS,
            WINDOW_MIN_SECONDS..=WINDOW_MAX_SECONDS => window_seconds,
            other => {
                let message = format!("{other} is not between {WINDOW_MIN_SECONDS} and {WINDOW_MAX_SECONDS}");
                return Err(Error::invalid("window_seconds", message));
            }
        };
        let steps = match steps {
            0 => STEPS_DEFAULT,
            1..=STEPS_MAX => steps,
            other => return Err(Error::invalid("steps", format!("{other} is not between 1 and {STEPS_MAX}"))),
        };
        let minutes = ceil(seconds, 60);
        let step_minutes = ceil(minutes, i64::from(steps)).max(1);
        let steps = ceil(minutes, step_minutes);
        let end = (now_ms.div_euclid(MINUTE_MS).div_euclid(step_minutes) + 1) * step_minutes;
        Ok(Self { first_minute: end - steps * step_minutes, step_minutes, steps })
    }

    /// Where the last step ends, in minutes since 1970.
    pub fn end_minute(&self) -> i64 {
        self.first_minute + self.steps * self.step_minutes
    }

    /// The index of the step that a minute is in.
    pub fn step_of(&self, minute: i64) -> Option<usize> {
        let inside = (self.first_minute..self.end_minute()).contains(&minute);
        inside.then(|| ((minute - self.first_minute) / self.step_minutes) as usize)
    }

    /// All steps, empty.
    pub fn empty(&self) -> Vec<ActivityStep> {
        let start = |index| (self.first_minute + index * self.step_minutes) * MINUTE_MS;
        (0..self.steps)
            .map(|index| ActivityStep { start_ms: start(index), counts: ActivityCounts::default() })
            .collect()
    }
}

fn ceil(value: i64, by: i64) -> i64 {
    (value + by - 1) / by
}
