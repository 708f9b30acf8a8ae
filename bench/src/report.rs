//! Tables of figures with their units, or the same as JSON. Knows nothing of what was measured.

use std::thread::available_parallelism;

use serde_json::{Map, Value, json};

use crate::samples::Samples;

/// The figures of one measurement.
pub struct Report {
    title: String,
    figures: Vec<Figure>,
}

struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// What the value is not to exceed.
    goal: Option<f64>,
}

impl Report {
    /// Without figures yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), figures: Vec::new() }
    }

    /// One more figure.
    pub fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { name: name.into(), value, unit, goal: None });
    }

    /// One more figure, which is not to exceed its goal.
    pub fn figure_with_goal(&mut self, name: impl Into<String>, value: f64, unit: &'static str, goal: f64) {
        self.figures.push(Figure { name: name.into(), value, unit, goal: Some(goal) });
    }

    /// Percentiles of durations; a goal is a percentile and the most that it should be, in milliseconds.
    pub fn latency(&mut self, name: &str, samples: &Samples, goals: &[(f64, f64)]) {
        for percent in [50.0_f64, 95.0, 99.0] {
            let goal = goals.iter().find(|(of, _)| percent.total_cmp(of).is_eq()).map(|(_, most)| *most);
            let (name, value) = (format!("{name}, p{percent}"), samples.percentile(percent));
            self.figures.push(Figure { name, value, unit: "ms", goal });
        }
        self.figure(format!("{name}, samples"), samples.len() as f64, "");
    }

    /// The figures of another, under a name.
    pub fn append(&mut self, name: &str, other: Self) {
        let figures = other.figures.into_iter();
        self.figures.extend(figures.map(|figure| Figure { name: format!("{name}: {}", figure.name), ..figure }));
    }

    /// Onto standard output.
    pub fn print(&self, as_json: bool) {
        if as_json {
            println!("{}", self.json());
            return;
        }
        println!("\n{}", self.title);
        let width = self.figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
        for Figure { name, value, unit, goal } in &self.figures {
            let goal = goal.map_or_else(String::new, |goal| {
                format!("  (goal: at most {goal} {unit}: {})", if *value <= goal { "met" } else { "MISSED" })
            });
            println!("{}", format!("  {name:width$}  {:>12} {unit}{goal}", number(*value)).trim_end());
        }
    }

    fn json(&self) -> Value {
        let figures: Map<String, Value> = self
            .figures
            .iter()
            .map(|figure| (figure.name.clone(), json!({ "value": figure.value, "unit": figure.unit })))
            .collect();
        json!({ "title": self.title, "figures": figures })
    }
}

/// What all figures of a call depend on.
pub fn machine(as_json: bool) {
    let cores = available_parallelism().map_or(1, std::num::NonZero::get);
    let processor = line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = line_of("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    if as_json {
        println!("{}", json!({ "cores": cores, "processor": processor, "memory": memory, "load": load }));
    } else {
        println!("{cores} cores ({processor}), {memory} memory; load averages at the start: {load}");
        println!("client and server share them");
    }
}

fn line_of(file: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Three digits that count, and groups of thousands.
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1_000.0 {
        let digits = format!("{value:.0}");
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) && !grouped.ends_with('-') {
                grouped.push(' ');
            }
            grouped.push(digit);
        }
        grouped
    } else if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        let shown: Vec<_> = [0.0, 1.234, 12.34, 123.4, 1234.5, 1_234_567.0].map(number).into();
        assert_eq!(shown, ["0", "1.23", "12.3", "123", "1 234", "1 234 567"]);
    }
}
