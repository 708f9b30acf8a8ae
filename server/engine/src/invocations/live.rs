//! The invocations that somebody publishes or watches right now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Turn, watch};

use super::fold::Fold;
use super::publication::StreamKey;
use super::store::StoredStream;
use crate::clock::Clock;

/// What a publisher goes on from.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// What was told.
    pub fold: Fold,
    /// How far the streams have come that were asked for.
    pub positions: HashMap<StreamKey, StoredStream>,
}

/// An invocation that somebody publishes or watches.
#[derive(Debug)]
pub(super) struct Live {
    /// Publishers go one after the other; what has been folded so far is theirs. None: to be read from the store.
    pub turn: Turn<Option<Box<State>>>,
    /// Counts changes.
    pub changes: watch::Sender<u64>,
    /// Streams that are open, and since when there is none. Held for a few instructions.
    streams: Mutex<Streams>,
}

#[derive(Debug, Default)]
struct Streams {
    open: usize,
    /// When the last one was closed.
    closed_ms: i64,
}

impl Live {
    fn new() -> Self {
        Self { turn: Turn::new(None), changes: watch::Sender::new(0), streams: Mutex::default() }
    }

    /// Since when no stream is open; None: one is.
    pub fn silent_since(&self) -> Option<i64> {
        let streams = lock(&self.streams);
        (streams.open == 0).then_some(streams.closed_ms)
    }

    /// Wakes those who watch.
    pub fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// All of them, by id.
#[derive(Debug, Default)]
pub(super) struct LiveTable {
    /// Held for a few instructions.
    by_id: Mutex<HashMap<String, Arc<Live>>>,
}

impl LiveTable {
    /// The one with this id.
    pub fn get(&self, id: &str) -> Arc<Live> {
        let mut all = lock(&self.by_id);
        Arc::clone(all.entry(id.to_owned()).or_insert_with(|| Arc::new(Live::new())))
    }

    /// Those that nobody uses are let go, with what was folded: `keep` says which are still going on.
    pub fn tidy(&self, keep: impl Fn(&Live) -> bool) {
        lock(&self.by_id).retain(|_, live| Arc::strong_count(live) > 1 || keep(live));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.by_id).len()
    }
}

/// An open stream of an invocation; as long as there is one, it is not disconnected.
pub struct Attached {
    live: Arc<Live>,
    clock: Arc<dyn Clock>,
}

impl Attached {
    pub(super) fn to(live: Arc<Live>, clock: Arc<dyn Clock>) -> Self {
        lock(&live.streams).open += 1;
        Self { live, clock }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut streams = lock(&self.live.streams);
        streams.open -= 1;
        streams.closed_ms = self.clock.now_ms();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
