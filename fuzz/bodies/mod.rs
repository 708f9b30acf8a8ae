//! What the fuzz targets do with their bytes, apart from any fuzzer: `fuzz_targets/` calls these under libFuzzer, and
//! `server/store/tests/fuzz_bodies.rs` as an ordinary test, on seeded bytes. Each panics when a promise is broken.

pub mod ansi;
pub mod log_masks;
pub mod log_recovery;
pub mod log_rows;
pub mod stream_cuts;

use std::sync::Arc;

use millrace_engine::clock::SystemClock;
use millrace_engine::logs::memory::MemoryLogs;
use millrace_engine::logs::{LogId, LogLimits, LogRoom};

/// Bytes as a source of decisions. When they are used up, all is 0.
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// Some of what is left.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (some, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        some
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

fn room() -> LogRoom {
    LogRoom::new(Arc::new(MemoryLogs::default()), Arc::new(SystemClock), LogLimits::default())
}

fn id() -> LogId {
    LogId::parse("fuzz.0.0.1.0").expect("an id")
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}
