//! What was measured of servers, as a table or as JSON. Measures nothing.

use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::waves::Measured;
use super::workload::Name;
use crate::measure::limits::Limits;
use crate::report::number;

/// The figures of one or two servers.
pub struct Table {
    title: &'static str,
    sides: Vec<String>,
    seed: u64,
    /// A measurement each.
    pub rows: Vec<Row>,
    /// What each server took.
    pub memory: Vec<Memory>,
}

/// A measurement of each server.
pub struct Row {
    /// Its name.
    pub name: Name,
    /// How many bytes of blobs a call carries, where that is what counts.
    pub call_bytes: Option<usize>,
    /// Of each server what was measured, and the CPU it used, in seconds.
    pub sides: Vec<Result<(Measured, Option<f64>)>>,
}

/// A server's memory, in MB, where its process is known.
#[derive(Default)]
pub struct Memory {
    /// Before the first call.
    pub start: Option<f64>,
    /// After the last.
    pub after: Option<f64>,
    /// The most it ever was.
    pub peak: Option<f64>,
}

const PERCENTILES: [f64; 3] = [50.0, 95.0, 99.0];

impl Table {
    /// Without rows yet.
    pub fn new(title: &'static str, sides: Vec<String>, seed: u64) -> Self {
        Self { title, sides, seed, rows: Vec::new(), memory: Vec::new() }
    }

    /// Whether every server answered every call rightly.
    pub fn is_whole(&self) -> bool {
        self.rows.iter().all(|row| row.sides.iter().all(Result::is_ok))
    }

    /// Onto standard output.
    pub fn print(&self, limits: &Limits, as_json: bool) {
        if as_json {
            println!("{}", self.json(limits));
            return;
        }
        println!("\n{}: seed {}", self.title, self.seed);
        println!(
            "  {:14} {:10} {:>10} {:>10} {:>9} {:>9} {:>9} {:>12} {:>7}",
            "", "", "calls/s", "MB/s", "p50 ms", "p95 ms", "p99 ms", "CPU us/call", "ratio"
        );
        for row in &self.rows {
            for side in 0..self.sides.len() {
                println!("{}", self.line(row, side).trim_end());
            }
        }
        for (memory, side) in self.memory.iter().zip(&self.sides) {
            let Memory { start: Some(start), after: Some(after), peak: Some(peak) } = memory else { continue };
            println!("  {side}: {start:.0} MB resident at the start, {after:.0} after, {peak:.0} at most");
        }
        for (index, side) in self.sides.iter().enumerate() {
            for (what, ratio) in self.against(limits, index) {
                println!("  {side}: {what}: {ratio:.2}");
            }
        }
    }

    fn line(&self, row: &Row, side: usize) -> String {
        let name = if side == 0 { row.label() } else { String::new() };
        let (measured, cpu) = match &row.sides[side] {
            Ok(figures) => figures,
            Err(error) => return format!("  {name:14} {:10} FAILED: {error:#}", self.sides[side]),
        };
        let megabytes = row.megabytes(side).map(number).unwrap_or_default();
        let percentiles = PERCENTILES.map(|percent| number(measured.latencies.percentile(percent)));
        let cpu = cpu.map(|cpu| number(cpu * 1e6 / measured.calls as f64)).unwrap_or_default();
        let ratio = if side == 0 { row.ratio().map(|ratio| format!("{ratio:.2}")) } else { None };
        format!(
            "  {name:14} {:10} {:>10} {megabytes:>10} {:>9} {:>9} {:>9} {cpu:>12} {:>7}",
            self.sides[side],
            number(measured.rate()),
            percentiles[0],
            percentiles[1],
            percentiles[2],
            ratio.unwrap_or_default(),
        )
    }

    fn json(&self, limits: &Limits) -> Value {
        let sides = self.sides.iter().enumerate().map(|(index, side)| {
            let rows: Map<String, Value> = self.rows.iter().map(|row| (row.label(), row.json(index))).collect();
            let Memory { start, after, peak } = &self.memory[index];
            let memory = json!({ "start_mb": start, "after_mb": after, "peak_mb": peak });
            let against: Map<String, Value> =
                self.against(limits, index).into_iter().map(|(what, ratio)| (what.to_owned(), json!(ratio))).collect();
            (side.clone(), json!({ "rows": rows, "memory": memory, "against": against }))
        });
        let ratios: Map<String, Value> =
            self.rows.iter().filter_map(|row| Some((row.label(), json!(row.ratio()?)))).collect();
        json!({ "title": self.title, "seed": self.seed, "sides": sides.collect::<Map<_, _>>(), "ratios": ratios })
    }

    /// How near a server comes to what the machine can do.
    fn against(&self, limits: &Limits, side: usize) -> Vec<(&'static str, f64)> {
        let row = |name| self.rows.iter().find(|row: &&Row| row.name == name);
        let megabytes = |name| row(name).and_then(|row| row.megabytes(side));
        let rate = |name| row(name).and_then(|row| row.rate(side));
        let small = |what| rate(Name::SmallRead).zip(what).map(|(reads, calls)| reads / calls);
        let ratios = [
            ("large reads / h2c GET of a file", megabytes(Name::LargeRead).map(|read| read / limits.file_get)),
            (
                "large writes / the slower of SHA-256 and files synced",
                megabytes(Name::LargeWrite).map(|written| written / limits.sha256.min(limits.disk)),
            ),
            ("small reads / its own empty calls", small(rate(Name::EmptyCall))),
            ("small reads / empty calls of a server that does nothing", small(Some(limits.empty_calls))),
        ];
        ratios.into_iter().filter_map(|(what, ratio)| Some((what, ratio?))).collect()
    }
}

impl Row {
    fn label(&self) -> String {
        self.name.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn rate(&self, side: usize) -> Option<f64> {
        self.sides[side].as_ref().ok().map(|(measured, _)| measured.rate())
    }

    fn megabytes(&self, side: usize) -> Option<f64> {
        Some(self.rate(side)? * self.call_bytes? as f64 / 1e6)
    }

    /// The first server's rate in the second's.
    fn ratio(&self) -> Option<f64> {
        if self.sides.len() < 2 {
            return None;
        }
        Some(self.rate(0)? / self.rate(1)?)
    }

    fn json(&self, side: usize) -> Value {
        match &self.sides[side] {
            Err(error) => json!({ "failed": format!("{error:#}") }),
            Ok((measured, cpu)) => json!({
                "calls": measured.calls,
                "calls_per_second": measured.rate(),
                "megabytes_per_second": self.megabytes(side),
                "p50_ms": measured.latencies.percentile(50.0),
                "p95_ms": measured.latencies.percentile(95.0),
                "p99_ms": measured.latencies.percentile(99.0),
                "server_cpu_us_per_call": cpu.map(|cpu| cpu * 1e6 / measured.calls as f64),
            }),
        }
    }
}
