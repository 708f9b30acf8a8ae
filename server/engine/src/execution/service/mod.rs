//! What the doors call: clients, runners and administrators. The queue decides, under a short lock; the committer writes
//! what it decided; only then is anybody told. Knows neither wire nor SQL.

mod administration;
mod clients;
mod committer;
mod desk;
mod listing;
mod remembered;
mod reports;
mod seen;
#[cfg(test)]
mod tests;
mod watching;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot, watch};

use self::desk::Desk;
pub use self::watching::Watch;
use super::inputs::Inputs;
use super::options::ExecutionOptions;
use super::queue::Offer;
use super::runner::KnownRunner;
use super::snapshot::QueueSnapshot;
use super::state::ExecutionState;
use super::store::ExecutionStore;
use crate::actions::ActionCache;
use crate::blobs::BlobRoom;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// How many executions one look at the deadlines takes.
const TICK_EXECUTIONS_MAX: usize = 10_000;
/// How often old executions are forgotten, in milliseconds.
const PRUNE_MS: i64 = 60_000;
/// How long a finished execution is kept in the store, in milliseconds: a week.
pub const HISTORY_MAX_MS: i64 = 7 * 24 * 3_600_000;
/// How many finished executions are kept in the store.
pub const HISTORY_MAX: u64 = 100_000;
/// How many finished executions are forgotten in one transaction.
const PRUNE_MAX: u32 = 5_000;

/// Remote execution of one server process.
pub struct Execution {
    shared: Arc<Shared>,
}

/// Who hears that an execution waits for a runner. A hint: runners ask anyway.
pub trait OfferListener: Send + Sync + 'static {
    /// An execution waits.
    fn offered(&self, offer: &Offer);
}

pub(super) struct Shared {
    store: Arc<dyn ExecutionStore>,
    blobs: Arc<BlobRoom>,
    actions: Arc<ActionCache>,
    inputs: Inputs,
    clock: Arc<dyn Clock>,
    options: ExecutionOptions,
    /// Held for one step of the queue, never across an await.
    desk: Mutex<Desk>,
    /// There is something to write.
    work: Notify,
    changes: watch::Sender<u64>,
    /// Set once, by who gives tasks to runners.
    listener: Mutex<Option<Arc<dyn OfferListener>>>,
}

impl Execution {
    /// Takes up what the store has. Queued executions stay queued, and those that runners have stay theirs.
    pub async fn open(
        store: Arc<dyn ExecutionStore>,
        blobs: Arc<BlobRoom>,
        actions: Arc<ActionCache>,
        clock: Arc<dyn Clock>,
        options: ExecutionOptions,
    ) -> Result<Arc<Self>> {
        let mut desk = Desk::new(&options);
        desk.restore(store.load().await?, clock.now_ms());
        let shared = Arc::new(Shared {
            store,
            inputs: Inputs::new(Arc::clone(&blobs)),
            blobs,
            actions,
            clock,
            options,
            desk: Mutex::new(desk),
            work: Notify::new(),
            changes: watch::Sender::new(0),
            listener: Mutex::new(None),
        });
        tokio::spawn(committer::run(Arc::clone(&shared)));
        Ok(Arc::new(Self { shared }))
    }

    /// Writes what is to be written. Later calls that change something are `Unavailable`.
    pub async fn close(&self) {
        let ticket = self.shared.act(|desk, _| {
            desk.closed = true;
            desk.ticket()
        });
        // What could not be written was told to those who waited for it.
        let _ = ticket.await;
    }

    /// The options.
    pub fn options(&self) -> &ExecutionOptions {
        &self.shared.options
    }

    /// Takes the runners that there are now: all that run actions, whether or not they are online.
    pub fn set_runners(&self, runners: Vec<KnownRunner>) {
        self.shared.act(|desk, now| desk.queue.set_runners(runners, now));
    }

    /// A runner is gone for good: what it held is given to others.
    pub async fn runner_removed(&self, uuid: &str) -> Result<()> {
        self.shared.change(|desk, now| desk.queue.runner_removed(uuid, now)).await
    }

    /// Looks at leases and deadlines once. The caller does so every [`crate::scheduler::TICK_MS`].
    pub async fn tick(&self) -> Result<()> {
        let prune = self
            .shared
            .change(|desk, now| {
                while desk.queue.tick(now, TICK_EXECUTIONS_MAX) {}
                desk.remembered.expire(now);
                desk.prune_due(now, PRUNE_MS)
            })
            .await?;
        if prune {
            let before = self.shared.clock.now_ms() - HISTORY_MAX_MS;
            while self.shared.store.prune(before, HISTORY_MAX, PRUNE_MAX).await? >= u64::from(PRUNE_MAX) {}
        }
        Ok(())
    }

    /// The whole queue at this moment.
    pub fn snapshot(&self) -> QueueSnapshot {
        let now = self.shared.clock.now_ms();
        let desk = self.shared.desk();
        QueueSnapshot {
            finished_last_minute: desk.finished.sum(now),
            cached_last_minute: desk.cached.sum(now),
            ..desk.queue.snapshot(now)
        }
    }

    /// What runners have.
    pub fn held(&self) -> Vec<ExecutionState> {
        let desk = self.shared.desk();
        desk.queue.held().map(|entry| desk.queue.state(entry)).collect()
    }

    /// A number that grows with each visible change of anything.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Says of every execution that waits from now on that it does.
    pub fn listen(&self, listener: Arc<dyn OfferListener>) {
        *self.shared.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        // The committer writes what is left and ends.
        self.shared.act(|desk, _| desk.closed = true);
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets something happen at the desk, and has what follows from it done.
    fn act<T>(&self, step: impl FnOnce(&mut Desk, i64) -> T) -> T {
        let now = self.clock.now_ms();
        let mut desk = self.desk();
        let outcome = step(&mut desk, now);
        let offers = desk.gather();
        drop(desk);
        self.work.notify_one();
        if !offers.is_empty() {
            let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(listener) = listener {
                for offer in &offers {
                    listener.offered(offer);
                }
            }
        }
        outcome
    }

    /// The same, durable when this returns.
    async fn change<T>(&self, step: impl FnOnce(&mut Desk, i64) -> T) -> Result<T> {
        let (outcome, ticket) = self.act(|desk, now| {
            let outcome = step(desk, now);
            (outcome, desk.ticket())
        });
        written(ticket).await?;
        Ok(outcome)
    }
}

/// Ends when what happened before the ticket was drawn is on the disk.
async fn written(ticket: oneshot::Receiver<Result<()>>) -> Result<()> {
    ticket.await.unwrap_or_else(|_| Err(Error::Unavailable("remote execution is shutting down".into())))
}
