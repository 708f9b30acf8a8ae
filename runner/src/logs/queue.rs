//! Rows between a process and the server: bounded by bytes, numbered, kept until acknowledged. Knows nothing of calls.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

/// The most bytes of a job that wait for the server; more, and the job's output is not read any further.
pub const LOG_BUFFER_MAX_BYTES: usize = 8 * 1024 * 1024;
/// What a row costs beyond its text.
pub const ROW_OVERHEAD_BYTES: usize = 32;

/// A batch that begins with a piece of a line has so much of what follows, at least if it is there: as much as a masked
/// value may have.
const BATCH_AFTER_PIECE_BYTES: usize = 8 * 1024;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its text, masked, without line end.
    pub text: String,
    /// When it was printed, Unix milliseconds.
    pub time_ms: i64,
    /// Printed to standard error.
    pub stderr: bool,
    /// Its line goes on in the next row.
    pub goes_on: bool,
}

impl Row {
    /// What it takes of the budget and of a batch.
    pub fn cost(&self) -> usize {
        self.text.len() + ROW_OVERHEAD_BYTES
    }
}

/// The bytes that all logs of a job may hold back together.
#[derive(Clone)]
pub struct Budget(Arc<Semaphore>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOG_BUFFER_MAX_BYTES)))
    }
}

/// The rows of one action on their way.
pub struct Queue {
    budget: Budget,
    // Held for single queue operations only.
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    rows: VecDeque<Row>,
    bytes: usize,
    /// The number of the first row in `rows`; all before are acknowledged.
    first: u64,
    closed: bool,
    dropped: bool,
}

/// What is to be sent next.
pub struct Batch {
    /// The number of its first row.
    pub index: u64,
    /// Its rows.
    pub rows: Vec<Row>,
    /// No row will come after these.
    pub last: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new(budget: Budget) -> Self {
        Self { budget, state: Mutex::default(), arrived: Notify::new() }
    }

    /// Adds a row; waits for room. Rows for a log that nobody wants are dropped.
    pub async fn push(&self, row: Row) {
        let cost = row.cost().min(LOG_BUFFER_MAX_BYTES) as u32;
        let Ok(permit) = self.budget.0.acquire_many(cost).await else { return };
        let mut state = self.state();
        if state.dropped {
            return;
        }
        permit.forget();
        state.bytes += row.cost();
        state.rows.push_back(row);
        drop(state);
        self.arrived.notify_one();
    }

    /// No row comes any more.
    pub fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }

    /// Nobody wants the rows any more: lets go of all, now and from now on.
    pub fn discard(&self) {
        let mut state = self.state();
        state.dropped = true;
        let freed = state.rows.drain(..).map(|row| row.cost()).sum();
        state.bytes = 0;
        drop(state);
        self.budget.0.add_permits(freed);
    }

    /// Bytes that wait, and whether no row comes any more.
    pub fn fill(&self) -> (usize, bool) {
        let state = self.state();
        (state.bytes, state.closed)
    }

    /// The number that the next row will have.
    pub fn end(&self) -> u64 {
        let state = self.state();
        state.first + state.rows.len() as u64
    }

    /// Resolves when something has changed since the last look.
    pub async fn changed(&self) {
        self.arrived.notified().await;
    }

    /// The first rows, up to `max_bytes` (at least one), without taking them out.
    pub fn batch(&self, max_bytes: usize) -> Batch {
        let state = self.state();
        let (mut bytes, mut after_first) = (0, 0);
        let begins_with_piece = state.rows.front().is_some_and(|row| row.goes_on);
        let fits = state.rows.iter().enumerate().take_while(|(at, row)| {
            bytes += row.cost();
            let more = begins_with_piece && after_first < BATCH_AFTER_PIECE_BYTES;
            after_first += if *at == 0 { 0 } else { row.text.len() };
            bytes <= max_bytes || more
        });
        let count = fits.count().max(1).min(state.rows.len());
        let rows = state.rows.iter().take(count).cloned().collect();
        Batch { index: state.first, rows, last: state.closed && count == state.rows.len() }
    }

    /// The server has every row before `index`; whether that can be.
    pub fn acknowledge(&self, index: u64) -> bool {
        let mut state = self.state();
        let Some(count) = index.checked_sub(state.first) else { return false };
        if count > state.rows.len() as u64 {
            return false;
        }
        let freed = state.rows.drain(..count as usize).map(|row| row.cost()).sum::<usize>();
        state.bytes -= freed;
        state.first = index;
        drop(state);
        self.budget.0.add_permits(freed);
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
