//! The figures of the remote cache. They are counted where they arise; here they are only read, when somebody asks.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::app::App;

/// The figures, as of the last reading.
#[derive(Default)]
pub struct CacheMetrics {
    blobs: Gauge,
    entries: Gauge,
    stored_bytes: Gauge,
    limit_bytes: Gauge,
    evicted: Counter,
    corrupt: Counter,
    asked: Counter,
    missing: Counter,
    read_bytes: Counter,
    written_bytes: Counter,
    refused: Counter,
}

impl CacheMetrics {
    /// Names them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("cache_blobs", "Blobs kept", self.blobs.clone());
        registry.register("cache_entries", "Action results and keys kept", self.entries.clone());
        registry.register("cache_stored_bytes", "Bytes on disk", self.stored_bytes.clone());
        registry.register("cache_limit_bytes", "The most bytes there may be on disk", self.limit_bytes.clone());
        registry.register("cache_evicted", "Blobs and entries that went for others", self.evicted.clone());
        registry.register("cache_corrupt", "Blobs dropped because their bytes were wrong", self.corrupt.clone());
        registry.register("cache_asked", "Blobs asked for by existence", self.asked.clone());
        registry.register("cache_missing", "Those that were missing", self.missing.clone());
        registry.register("cache_read_bytes", "Bytes of blobs read", self.read_bytes.clone());
        registry.register("cache_written_bytes", "Bytes of blobs written", self.written_bytes.clone());
        registry.register("cache_refused", "Writes of blobs that failed", self.refused.clone());
    }

    /// Reads them anew.
    pub fn read(&self, app: &App) {
        let usage = app.cache.blobs.usage();
        for (gauge, now) in [
            (&self.blobs, usage.blobs),
            (&self.entries, usage.entries),
            (&self.stored_bytes, usage.stored_bytes),
            (&self.limit_bytes, usage.limit_bytes),
        ] {
            gauge.set(now as i64);
        }
        let meter = &app.cache.meter;
        for (counter, now) in [
            (&self.evicted, usage.evicted),
            (&self.corrupt, usage.corrupt),
            (&self.asked, meter.asked.load(Relaxed)),
            (&self.missing, meter.missing.load(Relaxed)),
            (&self.read_bytes, meter.read_bytes.load(Relaxed)),
            (&self.written_bytes, meter.written_bytes.load(Relaxed)),
            (&self.refused, meter.refused.load(Relaxed)),
        ] {
            counter.inner().store(now, Relaxed);
        }
    }
}
