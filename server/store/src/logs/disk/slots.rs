//! The slots of the journal that are free, between the committer that takes them and the checkpointer that brings them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_engine::logs::LogError;

/// How long a commit waits for a slot before it fails.
const SLOT_WAIT_MAX: Duration = Duration::from_secs(30);

/// A slot of the journal.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Which.
    pub number: usize,
    /// Its file is as long as a segment, so that writing it needs no new blocks.
    pub ready: bool,
}

/// The slots that are free.
#[derive(Default)]
pub struct Slots {
    /// Held for a few instructions, and let go while the committer waits for a slot.
    state: Mutex<State>,
    changed: Condvar,
    /// Held by the applier while it syncs a file, until a failure is told here.
    syncing: Mutex<()>,
}

#[derive(Default)]
struct State {
    free: Vec<Slot>,
    failed: Option<LogError>,
    /// What became of the last commit.
    refused: Option<LogError>,
    stopped: bool,
}

impl Slots {
    /// A free slot, a ready one if there is one, as soon as there is one.
    pub fn take(&self) -> Result<Slot, LogError> {
        let none_yet = |state: &mut State| state.free.is_empty() && state.failed.is_none();
        let waited = self.changed.wait_timeout_while(self.lock(), SLOT_WAIT_MAX, none_yet);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        if state.free.is_empty() {
            return Err(LogError::Io("the disk does not keep up with the logs".into()));
        }
        let best = state.free.iter().position(|slot| slot.ready).unwrap_or(0);
        Ok(state.free.swap_remove(best))
    }

    /// A free slot that is not ready, to make it ready, unless it is the only one.
    pub fn take_unready(&self) -> Option<Slot> {
        let mut state = self.lock();
        let at = state.free.iter().position(|slot| !slot.ready)?;
        (state.free.len() > 1).then(|| state.free.swap_remove(at))
    }

    /// Whether a ready slot is free.
    pub fn has_ready(&self) -> bool {
        self.lock().free.iter().any(|slot| slot.ready)
    }

    /// Fails when [`Self::fail`] was called.
    pub fn check(&self) -> Result<(), LogError> {
        self.lock().failed.clone().map_or(Ok(()), Err)
    }

    /// These are free.
    pub fn put_all(&self, slots: impl IntoIterator<Item = Slot>) {
        self.lock().free.extend(slots);
        self.changed.notify_all();
    }

    /// These are free and no others, and all is well again.
    pub fn reset(&self, slots: Vec<Slot>) {
        let mut state = self.lock();
        (state.free, state.failed, state.refused) = (slots, None, None);
        drop(state);
        self.changed.notify_all();
    }

    /// What [`Self::fail`] was called with, until [`Self::reset`]; or what the last commit failed with.
    pub fn fault(&self) -> Option<LogError> {
        let state = self.lock();
        state.failed.clone().or_else(|| state.refused.clone())
    }

    /// A commit has worked, or not.
    pub fn committed(&self, error: Option<&LogError>) {
        self.lock().refused = error.cloned();
    }

    /// Held around a sync that is not the checkpointer's and the call of [`Self::fail`] after it.
    pub fn syncing(&self) -> MutexGuard<'_, ()> {
        self.syncing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What [`Self::fail`] was called with, once a sync that is under way is over: it may have been told what another should be.
    pub fn fault_of_syncs(&self) -> Option<LogError> {
        let _over = self.syncing();
        self.lock().failed.clone()
    }

    /// Nothing can be written, until [`Self::reset`].
    pub fn fail(&self, error: LogError) {
        self.lock().failed = Some(error);
        self.changed.notify_all();
    }

    /// The store is being closed: no need to prepare anything.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Waits so long, unless the store is being closed: then it says so.
    pub fn wait_for_stop(&self, wait: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), wait, |state| !state.stopped);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }

    /// Whether the store is being closed.
    pub fn stopped(&self) -> bool {
        self.lock().stopped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
