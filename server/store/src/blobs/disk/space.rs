//! How many bytes the store takes and may take. Whoever wants to write takes its share first, and waits for the sweeper
//! when there is none; so the limit holds at every moment. Also sees that the disk keeps some free space for others.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace_engine::error::{Error, Result};
use tokio::sync::Notify;

/// How long a look at the disk's free space is good for.
const FREE_LOOK: Duration = Duration::from_millis(500);
/// The sweeper wakes up so often to see whether something else is to be done.
const SWEEP_IDLE: Duration = Duration::from_secs(1);

/// The account.
pub struct Space {
    root: PathBuf,
    limit: u64,
    /// Of the limit, what only the sweeper may take, to move what lives out of a pack.
    sweep_bytes: u64,
    free_min: u64,
    /// Held for a few instructions, or one look at the disk.
    state: Mutex<State>,
    freed: Notify,
    work: Condvar,
}

#[derive(Default)]
struct State {
    used: u64,
    reserved: u64,
    /// What those who wait want.
    waiting: u64,
    /// How often the sweeper has found nothing that may go.
    stuck: u64,
    stopped: bool,
    /// What of the disk may still be taken, and when that was looked at.
    disk_left: Option<(u64, Instant)>,
}

/// What the sweeper is to do.
pub enum Work {
    /// Free some.
    Free,
    /// Nothing.
    Idle,
    /// End.
    Stop,
}

impl Space {
    /// For a folder that has `used` bytes already. `limit` 0: what the disk has.
    pub fn new(root: &Path, limit: u64, free_min: u64, used: u64, sweep_bytes: u64) -> Self {
        let state = Mutex::new(State { used, ..State::default() });
        Self { root: root.into(), limit, sweep_bytes, free_min, state, freed: Notify::new(), work: Condvar::new() }
    }

    /// Takes a share, as soon as there is one.
    pub async fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation> {
        if bytes > self.open_to_all() {
            return Err(self.full(bytes));
        }
        let mut waiting = None;
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let stuck = {
                let mut state = self.lock();
                if state.stopped {
                    return Err(Error::Unavailable("the store of blobs is closing".into()));
                }
                if state.used + state.reserved + bytes <= self.open_to_all() {
                    self.check_disk(&mut state, bytes)?;
                    state.reserved += bytes;
                    return Ok(Reservation { space: self.clone(), bytes });
                }
                state.stuck
            };
            waiting.get_or_insert_with(|| Waiting::new(self, bytes));
            self.work.notify_one();
            freed.await;
            if self.lock().stuck > stuck {
                return Err(self.full(bytes));
            }
        }
    }

    /// Takes a share for the sweeper, if there is one.
    pub fn reserve_to_sweep(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut state = self.lock();
        if state.used + state.reserved + bytes > self.limit {
            return None;
        }
        state.reserved += bytes;
        Some(Reservation { space: self.clone(), bytes })
    }

    /// These are on the disk, though nobody reserved them: a few at the head of a file.
    pub fn add(&self, bytes: u64) {
        self.lock().used += bytes;
    }

    /// These are no longer on the disk.
    pub fn remove(&self, bytes: u64) {
        let mut state = self.lock();
        state.used = state.used.saturating_sub(bytes);
        drop(state);
        self.freed.notify_waiters();
    }

    /// What is on the disk.
    pub fn used(&self) -> u64 {
        self.lock().used
    }

    /// Whether the sweeper has to go on: somebody waits, or soon will.
    pub fn is_short(&self) -> bool {
        self.short(&self.lock())
    }

    /// Whether somebody waits for space that is not there.
    pub fn is_wanted(&self) -> bool {
        let state = self.lock();
        state.waiting > 0 && state.used + state.reserved + state.waiting > self.open_to_all()
    }

    /// Tells those who wait that nothing may go.
    pub fn give_up(&self) {
        self.lock().stuck += 1;
        self.freed.notify_waiters();
    }

    /// Waits for work. `rested`: the last try found nothing that may go.
    pub fn wait(&self, rested: bool) -> Work {
        let mut state = self.lock();
        let idle =
            |state: &mut State| !state.stopped && (rested || !self.short(state)) && (!rested || state.waiting == 0);
        if idle(&mut state) {
            let waited = self.work.wait_timeout_while(state, SWEEP_IDLE, |state| idle(state));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.stopped {
            return Work::Stop;
        }
        if self.short(&state) { Work::Free } else { Work::Idle }
    }

    /// Whether the sweeper shall end.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Ends the sweeper.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.work.notify_all();
        self.give_up();
    }

    /// What all writers together may take.
    fn open_to_all(&self) -> u64 {
        self.limit - self.sweep_bytes.min(self.limit / 2)
    }

    fn short(&self, state: &State) -> bool {
        // A little is kept free, so that writers seldom wait.
        let ahead = self.limit / 32;
        state.used + state.reserved + state.waiting + ahead > self.open_to_all()
    }

    fn check_disk(&self, state: &mut State, bytes: u64) -> Result<()> {
        let (left, at) = match state.disk_left {
            Some((left, at)) if left >= bytes && at.elapsed() < FREE_LOOK => (left, at),
            _ => (self.disk_left(state.reserved)?, Instant::now()),
        };
        if left < bytes {
            return Err(Error::Exhausted(format!(
                "no space for blobs: {left} bytes of the disk may be taken, {} are left to the database and the logs",
                self.free_min
            )));
        }
        state.disk_left = Some((left - bytes, at));
        Ok(())
    }

    fn disk_left(&self, reserved: u64) -> Result<u64> {
        let free = fs4::available_space(&self.root).map_err(Error::internal)?;
        Ok(free.saturating_sub(self.free_min).saturating_sub(reserved))
    }

    fn full(&self, bytes: u64) -> Error {
        Error::Exhausted(format!(
            "no space for {bytes} bytes: the limit for blobs is {} bytes, and all that is here is in use",
            self.limit
        ))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share that was taken and is not written yet. Dropped, it is given back.
pub struct Reservation {
    space: Arc<Space>,
    bytes: u64,
}

impl Reservation {
    /// How much it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more.
    pub async fn grow(&mut self, more: u64) -> Result<()> {
        let mut taken = self.space.reserve(more).await?;
        self.bytes += std::mem::take(&mut taken.bytes);
        Ok(())
    }

    /// So many bytes have been written; the rest is given back.
    pub fn settle(self, written: u64) {
        self.space.lock().used += written;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.space.lock().reserved -= self.bytes;
            self.space.freed.notify_waiters();
        }
    }
}

/// Somebody who waits, for as long as this lives.
struct Waiting<'a> {
    space: &'a Space,
    bytes: u64,
}

impl<'a> Waiting<'a> {
    fn new(space: &'a Space, bytes: u64) -> Self {
        space.lock().waiting += bytes;
        Self { space, bytes }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.space.lock().waiting -= self.bytes;
    }
}
