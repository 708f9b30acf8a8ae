//! The logs that somebody writes or follows right now. A log nobody touches has no entry here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::hot::HotLines;
use super::{LogError, LogHead, LogId};

/// What is known of a log without asking the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Ask the store. The number tells one time of not knowing from the next.
    Unknown(u32),
    /// The store has none, yet.
    Missing,
    /// It has come this far.
    Head(LogHead),
}

/// A log that somebody writes or follows.
pub(super) struct LiveLog {
    /// Its id.
    pub id: LogId,
    /// How far it has come: what tails wait on.
    pub known: watch::Sender<Known>,
    /// What was appended last. Held for a few instructions.
    pub hot: Mutex<HotLines>,
    turn: Semaphore,
    forgotten: AtomicU32,
    /// How often a log of this id was removed since this entry was made.
    removals: AtomicU64,
    table: Arc<LiveTable>,
}

/// Which of the logs that had the same id, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Incarnation(u64);

/// A log that somebody reads by several calls: retention leaves it alone, and one that came after it under its id is not it.
pub struct HeldLog {
    live: Arc<LiveLog>,
    incarnation: Incarnation,
}

impl HeldLog {
    pub(super) fn new(live: Arc<LiveLog>) -> Self {
        let incarnation = live.incarnation();
        Self { live, incarnation }
    }

    /// `NotFound` if the log was removed since it is held: asked after a read, that read was of this log.
    pub fn check(&self) -> Result<(), LogError> {
        self.live.check(self.incarnation)
    }
}

impl LiveLog {
    /// The log that has the id now, or the one that comes.
    pub fn incarnation(&self) -> Incarnation {
        Incarnation(self.removals.load(Ordering::SeqCst))
    }

    /// `NotFound` if it was removed, also if there is another one by now.
    pub fn check(&self, incarnation: Incarnation) -> Result<(), LogError> {
        if self.incarnation() == incarnation { Ok(()) } else { Err(LogError::NotFound(self.id.clone())) }
    }

    /// The log was removed. Only in its turn: so whatever can be seen of a next one was written after this.
    pub fn removed(&self) {
        self.removals.fetch_add(1, Ordering::SeqCst);
        self.hot.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.known.send_replace(Known::Missing);
    }

    /// Waits for this log's turn: writers go one after the other.
    pub async fn turn(&self) -> SemaphorePermit<'_> {
        self.turn.acquire().await.unwrap_or_else(|_| unreachable!("nobody closes a log's turn"))
    }

    /// Says what the store said to somebody who had seen `asked`, unless a writer knows better by now.
    pub fn learn(&self, asked: Known, told: Known) {
        self.known.send_if_modified(|old| {
            let news = *old == asked && *old != told;
            if news {
                *old = told;
            }
            news
        });
    }

    /// A write failed: only the store knows how far the log has come.
    pub fn forget(&self) {
        let time = self.forgotten.fetch_add(1, Ordering::Relaxed) + 1;
        self.known.send_if_modified(|known| {
            *known = Known::Unknown(time);
            false
        });
    }
}

impl Drop for LiveLog {
    fn drop(&mut self) {
        let mut logs = self.table.lock();
        if logs.get(&self.id).is_some_and(|live| live.strong_count() == 0) {
            logs.remove(&self.id);
        }
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct LiveTable {
    /// Held for a look-up only.
    logs: Mutex<HashMap<LogId, Weak<LiveLog>>>,
    hot_bytes: Arc<AtomicUsize>,
}

impl LiveTable {
    /// The entry of this log, made if there is none.
    pub fn get(self: &Arc<Self>, id: &LogId) -> Arc<LiveLog> {
        let mut logs = self.lock();
        if let Some(live) = logs.get(id).and_then(Weak::upgrade) {
            return live;
        }
        let live = Arc::new(LiveLog {
            id: id.clone(),
            known: watch::Sender::new(Known::Unknown(0)),
            hot: Mutex::new(HotLines::new(self.hot_bytes.clone())),
            turn: Semaphore::new(1),
            forgotten: AtomicU32::new(0),
            removals: AtomicU64::new(0),
            table: self.clone(),
        });
        logs.insert(id.clone(), Arc::downgrade(&live));
        live
    }

    /// Whether somebody has this log's entry.
    pub fn is_live(&self, id: &LogId) -> bool {
        self.lock().get(id).is_some_and(|live| live.strong_count() > 0)
    }

    /// How many logs have an entry.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<LogId, Weak<LiveLog>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
