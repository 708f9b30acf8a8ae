//! The queue and single executions as streams. A change is a hint: what is sent is looked up, and not more often than an eye
//! can follow.

use std::sync::Arc;

use connectrpc::ConnectError;
use futures::{Stream, stream};
use millrace_engine::error::Result;
use millrace_engine::execution::Stage;
use millrace_proto::millrace::v1 as api;

use super::pace::Pace;
use super::status::status;
use super::{queue_shown, queue_view};
use crate::app::App;
use crate::auth::Caller;

/// How often a stream says at least how things are, in milliseconds: runners come and go without a change of the queue.
const WATCH_HEARTBEAT_MS: u64 = 5_000;

/// The queue now, and after each change.
pub fn queue(
    app: Arc<App>,
    caller: Caller,
) -> impl Stream<Item = Result<api::WatchQueueResponse, ConnectError>> + Send + 'static {
    let watched = (app.execution.changes(), Pace::new(WATCH_HEARTBEAT_MS));
    stream::unfold(Some((app, caller, watched, true)), |state| async move {
        let (app, caller, (mut changes, mut pace), first) = state?;
        if !first {
            pace.next(changes.changed()).await;
        }
        changes.mark_unchanged();
        pace.looked();
        match queue_view::queue(&app, &caller).await {
            Ok(queue) => {
                let message = api::WatchQueueResponse { queue: queue.into(), ..Default::default() };
                Some((Ok(message), Some((app, caller, (changes, pace), false))))
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
    let watched = (app.execution.changes(), Pace::new(WATCH_HEARTBEAT_MS));
    stream::unfold(Some((app, id, watched, None::<api::Execution>)), |state| async move {
        let (app, id, (mut changes, mut pace), seen) = state?;
        loop {
            let heartbeat = if seen.is_some() { pace.next(changes.changed()).await } else { true };
            changes.mark_unchanged();
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
            let next = (state.stage != Stage::Done).then_some((app, id, (changes, pace), Some(now)));
            return Some((Ok(message), next));
        }
    })
}
