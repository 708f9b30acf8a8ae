//! Runs as streams: one run again at each change, or each run that changes. The broadcast is a hint; what is sent is read
//! from the store.

use std::sync::Arc;
use std::time::Duration;

use connectrpc::ConnectError;
use futures::stream;
use millrace_engine::error::Error;
use millrace_engine::scheduler::{Run, RunChange};
use millrace_proto::millrace::v1 as api;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::convert;
use super::status::status;
use super::waiting;
use crate::app::App;
use crate::auth::Caller;

/// How often a watch stream says that it lives, in milliseconds; also how often it asks the store unprompted.
const WATCH_HEARTBEAT_MS: u64 = 10_000;

/// The run now and after each change, until it is final.
pub fn watch_run(
    app: Arc<App>,
    run: Run,
    changes: Receiver<RunChange>,
) -> impl futures::Stream<Item = Result<api::WatchRunResponse, ConnectError>> + Send + 'static {
    let seen = run.revision;
    let start = (app, run.id.clone(), seen, changes, Some(run), false);
    stream::unfold(start, |(app, id, mut seen, mut changes, first, over)| async move {
        if over {
            return None;
        }
        let run = match first {
            Some(run) => Ok(Some(run)),
            None => next_revision(&app, &id, seen, &mut changes).await,
        };
        let (message, over) = match run {
            Ok(Some(mut run)) => {
                seen = run.revision;
                if let Err(error) = waiting::explain(&app, &mut run).await {
                    return Some((Err(status(error)), (app, id, seen, changes, None, true)));
                }
                let message = api::WatchRunResponse { run: convert::run(&run).into(), ..Default::default() };
                (Ok(message), run.state.is_final())
            }
            Ok(None) => (Ok(api::WatchRunResponse::default()), false),
            Err(error) => (Err(status(error)), true),
        };
        Some((message, (app, id, seen, changes, None, over)))
    })
}

/// The run when it has changed since `seen`; None when there was nothing new for the time of a heartbeat.
async fn next_revision(
    app: &App,
    id: &str,
    seen: u64,
    changes: &mut Receiver<RunChange>,
) -> Result<Option<Run>, Error> {
    let changed = async {
        loop {
            match changes.recv().await {
                Ok(change) if change.id != id => {}
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    let run = app.scheduler.get(id).await?;
                    if run.revision > seen {
                        return Ok(run);
                    }
                }
                Err(RecvError::Closed) => return Err(Error::Unavailable("the server is stopping".into())),
            }
        }
    };
    match timeout(Duration::from_millis(WATCH_HEARTBEAT_MS), changed).await {
        Ok(run) => run.map(Some),
        // Another server process may have changed it.
        Err(_) => Ok(Some(app.scheduler.get(id).await?).filter(|run| run.revision > seen)),
    }
}

/// Every run that changes.
pub fn watch_runs(
    app: Arc<App>,
    caller: Caller,
    project: String,
    changes: Receiver<RunChange>,
) -> impl futures::Stream<Item = Result<api::WatchRunsResponse, ConnectError>> + Send + 'static {
    stream::unfold(Some((app, caller, project, changes)), |state| async move {
        let (app, caller, project, mut changes) = state?;
        let wanted = |of: &str| caller.sees(of) && (project.is_empty() || project == of);
        let next = async {
            loop {
                match changes.recv().await {
                    Ok(change) if wanted(&change.project) => {
                        let mut run = app.scheduler.get(&change.id).await.map_err(status)?;
                        run.jobs.clear();
                        return Ok(run);
                    }
                    Ok(_) => {}
                    // The listing is to be read afresh: the stream ends and the reader begins again.
                    Err(RecvError::Lagged(_)) => {
                        return Err(ConnectError::aborted("too many changes at once: list again"));
                    }
                    Err(RecvError::Closed) => return Err(ConnectError::unavailable("the server is stopping")),
                }
            }
        };
        match timeout(Duration::from_millis(WATCH_HEARTBEAT_MS), next).await {
            Ok(Ok(run)) => {
                let message = api::WatchRunsResponse { run: convert::run(&run).into(), ..Default::default() };
                Some((Ok(message), Some((app, caller, project, changes))))
            }
            Ok(Err(error)) => Some((Err(error), None)),
            Err(_) => Some((Ok(api::WatchRunsResponse::default()), Some((app, caller, project, changes)))),
        }
    })
}
