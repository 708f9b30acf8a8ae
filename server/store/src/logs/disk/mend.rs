//! What happens when files can't be made durable: no change is taken, and after a wait the committer is asked to do the journal
//! again, as often as it takes. Knows when, and how often; how is the committer's business.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use millrace_engine::logs::LogError;
use tokio::sync::mpsc::WeakSender;

use super::slots::Slots;

/// How soon to try for the first time; the next waits are twice as long each.
const MEND_FIRST_WAIT: Duration = Duration::from_millis(200);
/// How soon to try again at the latest.
const MEND_WAIT_MAX: Duration = Duration::from_secs(30);

/// Asks for the logs to be mended. It is answered with the number of the segment with which the journal goes on, or none if
/// it failed.
pub type MendRequest = SyncSender<Option<u64>>;

/// Asks the committer.
pub struct Mender<T> {
    slots: Arc<Slots>,
    /// Weak: it must not keep the committer from its end.
    committer: WeakSender<T>,
    ask: fn(MendRequest) -> T,
}

impl<T> Mender<T> {
    /// `ask` makes a request what the committer gets.
    pub fn new(slots: Arc<Slots>, committer: WeakSender<T>, ask: fn(MendRequest) -> T) -> Self {
        Self { slots, committer, ask }
    }

    /// Comes back when the logs are mended: with the number of the segment with which the journal goes on. None when the store is
    /// being closed; the next start mends them.
    pub fn mend(&self, fault: LogError) -> Option<u64> {
        self.slots.fail(fault);
        let mut wait = MEND_FIRST_WAIT;
        while !self.slots.wait_for_stop(wait) {
            let (request, answer) = sync_channel(1);
            self.committer.upgrade()?.blocking_send((self.ask)(request)).ok()?;
            if let Some(number) = answer.recv().ok()? {
                tracing::info!("logs were mended, they are written again");
                return Some(number);
            }
            wait = (2 * wait).min(MEND_WAIT_MAX);
        }
        None
    }
}
