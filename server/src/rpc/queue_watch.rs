//! The queue and single executions as streams. A change is a hint: what is sent is looked up, and not more often than an eye
//! can follow.

use std::sync::Arc;
use std::time::Duration;

use connectrpc::ConnectError;
use futures::{Stream, stream};
use millrace_engine::error::Result;
use millrace_engine::execution::Stage;
use millrace_proto::millrace::v1 as api;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::status::status;
use super::{queue_shown, queue_view};
use crate::app::App;
use crate::auth::Caller;

/// How far apart two messages of a stream are at least, in milliseconds.
const APART_MIN_MS: u64 = 250;
/// How often a stream says at least how things are, in milliseconds: runners come and go without a change of the queue.
const WATCH_HEARTBEAT_MS: u64 = 5_000;

/// The queue now, and after each change.
pub fn queue(
    app: Arc<App>,
    caller: Caller,
) -> impl Stream<Item = Result<api::WatchQueueResponse, ConnectError>> + Send + 'static {
    let pace = Pace::new(app.execution.changes());
    stream::unfold(Some((app, caller, pace, true)), |state| async move {
        let (app, caller, mut pace, first) = state?;
        if !first {
            pace.next().await;
        }
        pace.looked();
        match queue_view::queue(&app, &caller).await {
            Ok(queue) => {
                let message = api::WatchQueueResponse { queue: queue.into(), ..Default::default() };
                Some((Ok(message), Some((app, caller, pace, false))))
            }
            Err(error) => Some((Err(status(error)), None)),
        }
    })
}

/// An execution now, and after each change of it, until it is done. The caller may see it.
pub fn execution(
    app: Arc<App>,
    id: String,
) -> impl Stream<Item = Result<api::WatchExecutionResponse, ConnectError>> + Send + 'static {
    let pace = Pace::new(app.execution.changes());
    stream::unfold(Some((app, id, pace, None::<api::Execution>)), |state| async move {
        let (app, id, mut pace, seen) = state?;
        loop {
            let heartbeat = if seen.is_some() { pace.next().await } else { true };
            pace.looked();
            let state = match app.execution.execution(&id).await {
                Ok(state) => state,
                Err(error) => return Some((Err(status(error)), None)),
            };
            let now = queue_shown::execution(&state);
            if !heartbeat && seen.as_ref() == Some(&now) {
                continue;
            }
            let message = api::WatchExecutionResponse { execution: now.clone().into(), ..Default::default() };
            let next = (state.stage != Stage::Done).then_some((app, id, pace, Some(now)));
            return Some((Ok(message), next));
        }
    })
}

/// When to look again.
struct Pace {
    changes: watch::Receiver<u64>,
    last: Instant,
}

impl Pace {
    fn new(changes: watch::Receiver<u64>) -> Self {
        Self { changes, last: Instant::now() }
    }

    /// A look is about to be taken: changes from here on are news.
    fn looked(&mut self) {
        self.changes.mark_unchanged();
        self.last = Instant::now();
    }

    /// Ends when something has changed, and not too soon after the last look; or when it is time to say so anyway. Whether
    /// it was that.
    async fn next(&mut self) -> bool {
        let changed = timeout(Duration::from_millis(WATCH_HEARTBEAT_MS), self.changes.changed()).await;
        sleep_until(self.last + Duration::from_millis(APART_MIN_MS)).await;
        changed.is_err()
    }
}
