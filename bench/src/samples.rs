//! Durations that were measured, and their percentiles.

use std::time::Duration;

/// Measured durations.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    milliseconds: Vec<f64>,
}

impl Samples {
    /// One more.
    pub fn push(&mut self, duration: Duration) {
        self.milliseconds.push(duration.as_secs_f64() * 1_000.0);
    }

    /// One more, in milliseconds.
    pub fn push_ms(&mut self, milliseconds: f64) {
        self.milliseconds.push(milliseconds);
    }

    /// Those of another as well.
    pub fn extend(&mut self, other: Self) {
        self.milliseconds.extend(other.milliseconds);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.milliseconds.len()
    }

    /// The smallest that is not below so many percent of all (nearest rank); 0 when there are none.
    pub fn percentile(&self, percent: f64) -> f64 {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut samples = Samples::default();
        assert!(samples.percentile(50.0).abs() < f64::EPSILON);
        (1..=100).rev().for_each(|ms| samples.push_ms(f64::from(ms)));
        let of = |percent| samples.percentile(percent) as u32;
        assert_eq!((of(50.0), of(95.0), of(99.0), of(100.0)), (50, 95, 99, 100));
        samples.push(Duration::from_millis(500));
        assert_eq!((samples.len(), samples.percentile(100.0) as u32), (101, 500));
    }
}
