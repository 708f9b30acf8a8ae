//! The figures of the log room: what a sweep found and removed, and the events that wait for their logs.

use std::sync::atomic::{AtomicU64, Ordering};

use millrace_engine::logs::retention::{LogKind, LogSweep, Reason};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::app::App;

/// The first bucket of a sweep's duration, in seconds; each next one is four times as wide.
const SWEEP_FIRST_SECONDS: f64 = 0.01;
/// How many buckets there are: up to some forty minutes.
const SWEEP_BUCKETS: u16 = 9;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

/// The figures. Cheap to clone.
#[derive(Clone)]
pub struct LogMetrics {
    logs: Family<Kind, Gauge>,
    size_bytes: Family<Kind, Gauge>,
    stored_bytes: Family<Kind, Gauge>,
    removed: Family<Why, Counter>,
    removed_records: Counter,
    ended: Counter,
    freed_bytes: Counter,
    faults: Counter,
    sweep: Histogram,
    halted: Gauge,
    refusing_logs: Gauge,
    held_events: Gauge,
    given_up_events: Counter<u64, AtomicU64>,
}

impl Default for LogMetrics {
    fn default() -> Self {
        Self {
            logs: Family::default(),
            size_bytes: Family::default(),
            stored_bytes: Family::default(),
            removed: Family::default(),
            removed_records: Counter::default(),
            ended: Counter::default(),
            freed_bytes: Counter::default(),
            faults: Counter::default(),
            sweep: Histogram::new(exponential_buckets(SWEEP_FIRST_SECONDS, 4.0, SWEEP_BUCKETS)),
            halted: Gauge::default(),
            refusing_logs: Gauge::default(),
            held_events: Gauge::default(),
            given_up_events: Counter::default(),
        }
    }
}

impl LogMetrics {
    /// Names them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("logs", "Logs by what they are of, as of the last sweep", self.logs.clone());
        registry.register("logs_size_bytes", "Their length, line ends included", self.size_bytes.clone());
        registry.register("logs_stored_bytes", "What they take on the disk", self.stored_bytes.clone());
        registry.register("logs_removed", "Logs that retention removed, by reason", self.removed.clone());
        registry.register("logs_removed_records", "Records that retention removed", self.removed_records.clone());
        registry.register("logs_ended", "Abandoned logs that were ended", self.ended.clone());
        registry.register("logs_freed_bytes", "Bytes of the disk that retention freed", self.freed_bytes.clone());
        registry.register("logs_sweep_faults", "Logs that a sweep could not look after", self.faults.clone());
        registry.register_with_unit(
            "logs_sweep",
            "How long a look at all logs took",
            Unit::Seconds,
            self.sweep.clone(),
        );
        let halted = "1 while no log takes anything, for their files could not be made durable; it is tried again";
        registry.register("logs_halted", halted, self.halted.clone());
        let (refusing, held) = (self.refusing_logs.clone(), self.held_events.clone());
        registry.register("events_refusing_logs", "Logs of events that refuse what goes to them", refusing);
        registry.register("events_held", "Events that wait for logs that refuse them", held);
        registry.register("events_given_up", "Events that were given up", self.given_up_events.clone());
    }

    /// A sweep has ended.
    pub fn swept(&self, sweep: &LogSweep) {
        for reason in Reason::ALL {
            self.removed.get_or_create(&Why { reason: reason.word() }).inc_by(sweep.removed(reason));
        }
        self.removed_records.inc_by(sweep.removed_records);
        self.ended.inc_by(sweep.ended_logs);
        self.freed_bytes.inc_by(sweep.freed_bytes);
        self.faults.inc_by(sweep.faults);
        self.sweep.observe((sweep.ended_ms - sweep.started_ms).max(0) as f64 / 1_000.0);
    }

    /// Reads what the last sweep left, and what events wait.
    pub fn read(&self, app: &App) {
        let events = &app.event_figures;
        self.refusing_logs.set(events.refusing_logs() as i64);
        self.held_events.set(events.held_events() as i64);
        self.given_up_events.inner().store(events.given_up_events(), Ordering::Relaxed);
        self.halted.set(i64::from(app.logs.fault().is_some()));
        let usage = app.log_keeping.reaper.usage();
        for kind in LogKind::ALL {
            let (of, label) = (usage.of(kind, None), Kind { kind: kind.word() });
            self.logs.get_or_create(&label).set(of.logs as i64);
            self.size_bytes.get_or_create(&label).set(of.size_bytes as i64);
            self.stored_bytes.get_or_create(&label).set(of.stored_bytes as i64);
        }
    }
}
