//! Counters for `GET /metrics`, in Prometheus' text. Gauges of the queue and the runners are read when asked for.

mod cache;
mod execution;
mod logs;

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::app::App;
use cache::CacheMetrics;
use execution::ExecutionMetrics;

pub use execution::ActionTimes;
pub use logs::LogMetrics;

/// A route and how it answered.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    labels: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RunnerState {
    state: &'static str,
}

/// The counters of a server.
pub struct Metrics {
    registry: Registry,
    started: Instant,
    requests: Family<Request, Counter>,
    connections: Gauge,
    log_rows: Counter,
    log_bytes: Counter,
    uptime: Gauge<f64, AtomicU64>,
    waiting: Gauge,
    queue: Family<Labels, Gauge>,
    runners: Family<RunnerState, Gauge>,
    cache: CacheMetrics,
    /// Remote execution.
    pub execution: ExecutionMetrics,
    /// The log room.
    pub logs: LogMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("millrace"),
            started: Instant::now(),
            requests: Family::default(),
            connections: Gauge::default(),
            log_rows: Counter::default(),
            log_bytes: Counter::default(),
            uptime: Gauge::default(),
            waiting: Gauge::default(),
            queue: Family::default(),
            runners: Family::default(),
            cache: CacheMetrics::default(),
            execution: ExecutionMetrics::default(),
            logs: LogMetrics::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("http_requests", "HTTP requests by route and status", metrics.requests.clone());
        registry.register("http_connections", "Open connections", metrics.connections.clone());
        registry.register("log_rows", "Log rows received from runners", metrics.log_rows.clone());
        registry.register("log_bytes", "Log bytes received from runners", metrics.log_bytes.clone());
        registry.register("uptime_seconds", "Seconds since the start", metrics.uptime.clone());
        registry.register("fetch_waiting", "FetchTask calls that wait for work", metrics.waiting.clone());
        registry.register("queue_depth", "Queued tasks by label set", metrics.queue.clone());
        registry.register("runners", "Runners by state", metrics.runners.clone());
        metrics.cache.register(registry);
        metrics.execution.register(registry);
        metrics.logs.register(registry);
        metrics
    }

    /// A request was answered.
    pub fn request(&self, route: String, status: u16) {
        self.requests.get_or_create(&Request { route, status }).inc();
    }

    /// A connection was opened; it is closed when the guard is dropped.
    pub fn connection(&self) -> impl Drop + Send + use<> {
        struct Open(Gauge);
        impl Drop for Open {
            fn drop(&mut self) {
                self.0.dec();
            }
        }
        self.connections.inc();
        Open(self.connections.clone())
    }

    /// Rows came in.
    pub fn log_rows(&self, rows: &[String]) {
        self.log_rows.inc_by(rows.len() as u64);
        self.log_bytes.inc_by(rows.iter().map(|row| row.len() as u64).sum());
    }

    /// Everything, as Prometheus reads it.
    pub async fn text(&self, app: &App) -> Result<String, millrace_engine::error::Error> {
        self.uptime.set(self.started.elapsed().as_secs_f64());
        self.waiting.set(app.scheduler.waiting() as i64);
        self.queue.clear();
        for (labels, depth) in app.scheduler.queue_depth().await? {
            self.queue.get_or_create(&Labels { labels: labels.join(",") }).set(depth as i64);
        }
        let runners = app.runners.list().await?;
        let online = runners.iter().filter(|runner| app.runners.is_online(runner)).count();
        self.runners.get_or_create(&RunnerState { state: "online" }).set(online as i64);
        self.runners.get_or_create(&RunnerState { state: "offline" }).set((runners.len() - online) as i64);
        self.cache.read(app);
        self.execution.read(app);
        self.logs.read(app);
        let mut text = String::new();
        encode(&mut text, &self.registry).map_err(millrace_engine::error::Error::internal)?;
        Ok(text)
    }
}
