//! The figures of remote execution. Gauges are read from the queue when somebody asks; what happens is counted at the doors.

use buffa_types::google::protobuf::Timestamp;
use millrace_engine::execution::{OperationState, QueueSnapshot};
use millrace_proto::reapi::{ExecuteResponse, ExecutedActionMetadata};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::app::App;

/// The first bucket of the histograms, in seconds; each next one is twice as wide.
const BUCKET_FIRST_SECONDS: f64 = 0.002;
/// How many buckets there are: up to more than an hour.
const BUCKETS: u16 = 21;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Platform {
    platform: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// The figures.
pub struct ExecutionMetrics {
    queued: Family<Platform, Gauge>,
    executing: Family<Platform, Gauge>,
    unmatched: Gauge,
    oldest: Gauge,
    asked: Counter,
    cached: Counter,
    finished: Family<Outcome, Counter>,
    stages: Family<StageLabel, Histogram, fn() -> Histogram>,
}

/// How long an execution was in each stage, as its runner measured.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionTimes {
    /// By the stage's name, in seconds.
    stages: Vec<(&'static str, f64)>,
    outcome: &'static str,
}

impl Default for ExecutionMetrics {
    fn default() -> Self {
        Self {
            queued: Family::default(),
            executing: Family::default(),
            unmatched: Gauge::default(),
            oldest: Gauge::default(),
            asked: Counter::default(),
            cached: Counter::default(),
            finished: Family::default(),
            stages: Family::new_with_constructor(histogram),
        }
    }
}

fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(BUCKET_FIRST_SECONDS, 2.0, BUCKETS))
}

impl ExecutionMetrics {
    /// Names them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("execution_queued", "Executions that wait, by platform queue", self.queued.clone());
        registry.register("execution_executing", "Executions that runners have, by platform", self.executing.clone());
        registry.register("execution_unmatched", "Executions that no platform takes", self.unmatched.clone());
        registry.register_with_unit(
            "execution_oldest_queued",
            "For how long the oldest waiting execution has waited",
            Unit::Seconds,
            self.oldest.clone(),
        );
        registry.register("execution_asked", "Calls of Execute that got an operation", self.asked.clone());
        registry.register("execution_cached", "Those answered from the action cache", self.cached.clone());
        registry.register("execution_finished", "Executions that runners ended, by outcome", self.finished.clone());
        registry.register_with_unit(
            "execution_stage",
            "How long executions were in each stage",
            Unit::Seconds,
            self.stages.clone(),
        );
    }

    /// An Execute has its operation.
    pub fn asked(&self, operation: &OperationState) {
        self.asked.inc();
        if operation.response.as_ref().is_some_and(|response| response.cached_result) {
            self.cached.inc();
        }
    }

    /// A runner has ended an execution.
    pub fn ran(&self, times: &ActionTimes) {
        self.finished.get_or_create(&Outcome { outcome: times.outcome }).inc();
        for (stage, seconds) in &times.stages {
            self.stages.get_or_create(&StageLabel { stage }).observe(*seconds);
        }
    }

    /// Reads the gauges anew.
    pub fn read(&self, app: &App) {
        self.read_queue(&app.execution.snapshot());
    }

    fn read_queue(&self, queue: &QueueSnapshot) {
        self.queued.clear();
        self.executing.clear();
        let mut oldest_ms = queue.time_ms;
        for platform in &queue.platforms {
            let label = Platform { platform: platform.name.clone() };
            self.queued.get_or_create(&label).set(platform.queued as i64);
            self.executing.get_or_create(&label).set(platform.executing as i64);
            oldest_ms = oldest_ms.min(platform.oldest_queued_ms.unwrap_or(i64::MAX));
        }
        self.unmatched.set(queue.unmatched.iter().map(|group| group.queued as i64).sum());
        self.oldest.set((queue.time_ms - oldest_ms) / 1_000);
    }
}

impl ActionTimes {
    /// Those of a response.
    pub fn of(response: &ExecuteResponse) -> Self {
        let result = response.result.as_option();
        let code = response.status.as_option().map_or(0, |status| status.code);
        let outcome = match result {
            Some(result) if code == 0 && result.exit_code == 0 => "success",
            Some(_) if code == 0 => "failure",
            _ => "error",
        };
        let metadata = result.and_then(|result| result.execution_metadata.as_option());
        Self { stages: metadata.map(stages).unwrap_or_default(), outcome }
    }
}

fn stages(metadata: &ExecutedActionMetadata) -> Vec<(&'static str, f64)> {
    let time = |field: Option<&Timestamp>| field.map(|time| time.seconds as f64 + f64::from(time.nanos) / 1e9);
    let queued = time(metadata.queued_timestamp.as_option());
    let taken = time(metadata.worker_start_timestamp.as_option());
    let completed = time(metadata.worker_completed_timestamp.as_option());
    let spans = [
        ("queued", queued, taken),
        (
            "input_fetch",
            time(metadata.input_fetch_start_timestamp.as_option()),
            time(metadata.input_fetch_completed_timestamp.as_option()),
        ),
        (
            "executing",
            time(metadata.execution_start_timestamp.as_option()),
            time(metadata.execution_completed_timestamp.as_option()),
        ),
        (
            "output_upload",
            time(metadata.output_upload_start_timestamp.as_option()),
            time(metadata.output_upload_completed_timestamp.as_option()),
        ),
        ("total", queued, completed),
    ];
    // Clocks of two machines may differ: a time before zero says nothing.
    spans.into_iter().filter_map(|(stage, from, to)| Some((stage, (to? - from?).max(0.0)))).collect()
}

#[cfg(test)]
mod tests {
    use millrace_proto::reapi::ActionResult;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, ..Default::default() }
    }

    #[test]
    fn a_response_tells_how_long_each_stage_took() {
        let metadata = ExecutedActionMetadata {
            queued_timestamp: at(10).into(),
            worker_start_timestamp: at(13).into(),
            worker_completed_timestamp: at(20).into(),
            execution_start_timestamp: at(15).into(),
            execution_completed_timestamp: at(14).into(),
            ..Default::default()
        };
        let result = ActionResult { execution_metadata: metadata.into(), exit_code: 1, ..Default::default() };
        let times = ActionTimes::of(&ExecuteResponse { result: result.into(), ..Default::default() });
        assert_eq!(times.outcome, "failure");
        assert_eq!(times.stages, [("queued", 3.0), ("executing", 0.0), ("total", 10.0)]);
        assert_eq!(ActionTimes::of(&ExecuteResponse::default()).outcome, "error");
    }
}
