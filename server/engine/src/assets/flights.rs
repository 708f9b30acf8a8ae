//! Downloads in flight: who asks for what is being fetched waits for it instead of fetching it again. A flight goes on
//! when those who asked have gone, for the next one who asks; it ends with the assets' own end. Knows nothing of what it
//! does.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::task::AbortHandle;

use super::downloader::Wanted;
use super::service::Landed;

/// How a flight ended; shared by all who waited.
pub(super) type Ending = Arc<Landed>;

struct Flight {
    started_ms: i64,
    number: u64,
    ending: Shared<BoxFuture<'static, Option<Ending>>>,
    abort: AbortHandle,
}

#[derive(Default)]
struct Board {
    flights: HashMap<Wanted, Flight>,
    last: u64,
}

/// All flights.
#[derive(Default)]
pub(super) struct Flights {
    /// Held for a look or a change only.
    board: Arc<Mutex<Board>>,
}

impl Flights {
    /// The ending of the flight for this, begun now unless there is one that began no earlier than `oldest_ms`. None:
    /// it ended without saying how.
    pub fn join<F>(
        &self,
        wanted: &Wanted,
        now_ms: i64,
        oldest_ms: Option<i64>,
        begin: impl FnOnce() -> F,
    ) -> impl Future<Output = Option<Ending>> + Send + 'static
    where
        F: Future<Output = Landed> + Send + 'static,
    {
        let mut board = lock(&self.board);
        if let Some(flight) = board.flights.get(wanted)
            && oldest_ms.is_none_or(|oldest| flight.started_ms >= oldest)
        {
            return flight.ending.clone();
        }
        board.last += 1;
        let number = board.last;
        let landed = Leaving { board: Arc::clone(&self.board), wanted: wanted.clone(), number };
        let work = begin();
        let task = tokio::spawn(async move {
            let _leaving = landed;
            Arc::new(work.await)
        });
        let abort = task.abort_handle();
        let ending = task.map(Result::ok).boxed().shared();
        // One that is too old for this caller flies on for those who wait for it.
        board.flights.insert(wanted.clone(), Flight { started_ms: now_ms, number, ending: ending.clone(), abort });
        ending
    }
}

impl Drop for Flights {
    fn drop(&mut self) {
        for (_, flight) in lock(&self.board).flights.drain() {
            flight.abort.abort();
        }
    }
}

/// Takes a flight off the board, however it ends.
struct Leaving {
    board: Arc<Mutex<Board>>,
    wanted: Wanted,
    number: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut board = lock(&self.board);
        if board.flights.get(&self.wanted).is_some_and(|flight| flight.number == self.number) {
            let flight = board.flights.remove(&self.wanted);
            drop(board);
            drop(flight);
        }
    }
}

fn lock(board: &Mutex<Board>) -> std::sync::MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
