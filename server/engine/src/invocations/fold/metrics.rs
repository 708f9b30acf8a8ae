//! Figures of a build: what its metrics and the logs of the build tool say.

use buffa_types::google::protobuf::Duration;
use millrace_proto::build_event_stream as bes;
use millrace_proto::build_event_stream::file::File as Content;
use millrace_proto::millrace::v1 as api;

use super::text::cut;
use super::{Fold, files};
use crate::invocations::limits::{CRITICAL_PATH_MAX, MNEMONICS_MAX, RUNNERS_MAX, TOOL_LOGS_MAX};

/// What a remote cache's hits are called among the ways of running.
const REMOTE_HIT: &str = "remote cache hit";

impl Fold {
    pub(super) fn metrics(&mut self, metrics: &bes::BuildMetrics) {
        if let Some(actions) = metrics.action_summary.as_option() {
            self.actions(actions);
        }
        if let Some(artifacts) = metrics.artifact_metrics.as_option() {
            let seen = artifacts.output_artifacts_seen.as_option();
            let cache = self.doc.cache.get_or_insert_default();
            cache.outputs = seen.map_or(0, |seen| i64::from(seen.count));
            cache.outputs_bytes = seen.map_or(0, |seen| seen.size_in_bytes);
        }
        if let Some(times) = metrics.timing_metrics.as_option() {
            let timing = self.doc.timing.get_or_insert_default();
            timing.wall_ms = times.wall_time_in_ms;
            timing.cpu_ms = times.cpu_time_in_ms;
            timing.analysis_ms = times.analysis_phase_time_in_ms;
            timing.execution_ms = times.execution_phase_time_in_ms;
            timing.actions_start_ms = times.actions_execution_start_in_ms;
            if let Some(path) = times.critical_path_time.as_option() {
                timing.critical_path_ms = duration_ms(path);
            }
        }
    }

    fn actions(&mut self, actions: &bes::build_metrics::ActionSummary) {
        let cache = self.doc.cache.get_or_insert_default();
        cache.actions_created = actions.actions_created;
        cache.actions_executed = actions.actions_executed;
        #[allow(deprecated)]
        let hits = actions.remote_cache_hits;
        cache.remote_cache_hits = cache.remote_cache_hits.max(hits);
        if let Some(local) = actions.action_cache_statistics.as_option() {
            cache.local_cache_hits = i64::from(local.hits);
            cache.local_cache_misses = i64::from(local.misses);
        }
        let runners = actions.runner_count.iter().map(|runner| (runner.name.as_str(), i64::from(runner.count)));
        self.runners(runners.collect());
        let mut data: Vec<_> = actions.action_data.iter().collect();
        data.sort_by_key(|data| -data.actions_executed);
        for data in data {
            self.push(|doc| &mut doc.mnemonics, MNEMONICS_MAX, "mnemonics", mnemonic(data));
        }
    }

    /// How processes were run; what is known already is not said again.
    fn runners(&mut self, runners: Vec<(&str, i64)>) {
        let cache = self.doc.cache.get_or_insert_default();
        if runners.is_empty() || !cache.runners.is_empty() {
            return;
        }
        for (name, count) in runners.into_iter().filter(|(name, _)| *name != "total").take(RUNNERS_MAX) {
            if name == REMOTE_HIT {
                cache.remote_cache_hits = count;
            }
            cache.runners.push(api::RunnerStatistics { name: cut(name), count, ..Default::default() });
        }
    }

    pub(super) fn tool_logs(&mut self, logs: &bes::BuildToolLogs) {
        for log in &logs.log {
            if let Some(Content::Contents(contents)) = &log.file {
                let text = String::from_utf8_lossy(contents);
                match log.name.as_str() {
                    "critical path" => self.critical_path(&text),
                    "process stats" => self.runners(process_stats(&text)),
                    _ => {}
                }
            }
            self.push(|doc| &mut doc.tool_logs, TOOL_LOGS_MAX, "tool_logs", files::file(log));
        }
    }

    /// "Critical Path: 1.33s, Remote (...)", and then a line for each step: "  1.22s action 'Testing //:x'".
    fn critical_path(&mut self, text: &str) {
        let mut lines = text.lines();
        let total = lines.next().and_then(|line| line.strip_prefix("Critical Path: ")).and_then(seconds);
        let timing = self.doc.timing.get_or_insert_default();
        if let Some((total_ms, _)) = total.filter(|_| timing.critical_path_ms == 0) {
            timing.critical_path_ms = total_ms;
        }
        timing.critical_path = lines
            .filter_map(|line| seconds(line.trim_start()))
            .take(CRITICAL_PATH_MAX)
            .map(|(duration_ms, rest)| api::CriticalPathStep {
                duration_ms,
                description: cut(rest.rsplit_once("] ").map_or(rest, |(_, what)| what).trim()),
                ..Default::default()
            })
            .collect();
    }
}

fn mnemonic(data: &bes::build_metrics::action_summary::ActionData) -> api::MnemonicStatistics {
    api::MnemonicStatistics {
        mnemonic: cut(&data.mnemonic),
        executed: data.actions_executed,
        created: data.actions_created,
        system_ms: data.system_time.as_option().map_or(0, duration_ms),
        user_ms: data.user_time.as_option().map_or(0, duration_ms),
        span_ms: data.last_ended_ms.saturating_sub(data.first_started_ms).max(0),
        ..Default::default()
    }
}

/// In milliseconds; what is absurd is cut.
pub fn duration_ms(duration: &Duration) -> i64 {
    duration.seconds.clamp(0, i64::from(u32::MAX)) * 1_000 + i64::from(duration.nanos.clamp(0, 999_999_999)) / 1_000_000
}

/// "1.22s rest": milliseconds, and the rest.
fn seconds(text: &str) -> Option<(i64, &str)> {
    let (number, rest) = text.split_once('s')?;
    let seconds: f64 = number.replace(',', ".").parse().ok()?;
    let sane = seconds.is_finite() && (0.0..1e9).contains(&seconds);
    #[allow(clippy::cast_possible_truncation, reason = "checked above")]
    sane.then(|| ((seconds * 1_000.0).round() as i64, rest))
}

/// "56 processes: 11 internal, 45 local."
fn process_stats(text: &str) -> Vec<(&str, i64)> {
    let Some((_, counts)) = text.split_once(": ") else { return Vec::new() };
    let parts = counts.trim().trim_end_matches('.').split(", ");
    parts
        .filter_map(|part| part.split_once(' '))
        .filter_map(|(count, name)| Some((name, count.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_in_words_is_understood() {
        assert_eq!(process_stats("56 processes: 11 internal, 45 local."), [("internal", 11), ("local", 45)]);
        assert_eq!(process_stats("1 process: 1 remote cache hit."), [("remote cache hit", 1)]);
        assert_eq!(process_stats("0 processes."), []);
        assert_eq!(seconds("1.22s action 'x'"), Some((1220, " action 'x'")));
        assert_eq!(seconds("no"), None);
        assert_eq!(seconds("1e300s"), None);
        assert_eq!(seconds("-1s"), None);
    }
}
