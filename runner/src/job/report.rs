//! Tells the server what becomes of a task, keeps its lease, and hears of cancellation. Changes that come while a
//! call is under way go out together in the next. Knows nothing of how a job runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_proto::runner_v1::fetch_task_request::Wants;
use millrace_proto::runner_v1::{ActionState, FetchTaskResponse, StepState, UpdateTaskRequest, UpdateTaskResponse};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::stop::{Stop, StopSwitch, Verdict};
use crate::api::{Api, ApiError};
use crate::backoff::Backoff;

/// The longest time between two calls: how late a cancelled job can hear of it.
pub const HEARTBEAT_MAX_MS: u64 = 2_000;
/// The shortest.
pub const HEARTBEAT_MIN_MS: u64 = 100;
/// The lease where the task names none.
pub const LEASE_DEFAULT_MS: u64 = 30_000;
/// The most bytes of summaries in one call; what is over it goes in the next.
pub const SUMMARIES_MAX_BYTES: usize = 2 * 1024 * 1024;

/// Reports on one task.
pub struct Reporter {
    shared: Arc<Shared>,
    ending: CancellationToken,
    task: JoinHandle<()>,
}

struct Shared {
    api: Api,
    /// Everything but the state.
    address: UpdateTaskRequest,
    heartbeat: Duration,
    stop: StopSwitch,
    // Held for single updates only.
    pending: Mutex<Pending>,
    changed: Notify,
}

#[derive(Default)]
struct Pending {
    start_time: i64,
    started_sent: bool,
    actions: BTreeMap<u32, ActionState>,
    unsent: BTreeSet<u32>,
}

/// The last word on a task.
pub struct Final {
    /// success, failure or cancelled.
    pub state: &'static str,
    /// Unix milliseconds.
    pub end_time: i64,
    /// What went wrong, for people.
    pub message: String,
    /// The outputs, a JSON object.
    pub outputs: String,
    /// Ask for the next task.
    pub do_next: bool,
    /// What it may be.
    pub wants: Wants,
}

impl Reporter {
    /// Says that the task runs, and goes on reporting.
    pub fn start(api: Api, address: UpdateTaskRequest, lease_ms: u64, start_time: i64, stop: StopSwitch) -> Self {
        let lease_ms = if lease_ms == 0 { LEASE_DEFAULT_MS } else { lease_ms };
        let heartbeat = Duration::from_millis((lease_ms / 3).clamp(HEARTBEAT_MIN_MS, HEARTBEAT_MAX_MS));
        let pending = Mutex::new(Pending { start_time, ..Pending::default() });
        let shared = Arc::new(Shared { api, address, heartbeat, stop, pending, changed: Notify::new() });
        shared.changed.notify_one();
        let ending = CancellationToken::new();
        let task = tokio::spawn(keep_reporting(Arc::clone(&shared), ending.clone()));
        Self { shared, ending, task }
    }

    /// What has become of an action.
    pub fn action(&self, state: ActionState) {
        let mut pending = self.shared.pending();
        pending.unsent.insert(state.index);
        pending.actions.insert(state.index, state);
        drop(pending);
        self.shared.changed.notify_one();
    }

    /// The last word; answers the next task, if there is one and it was asked for.
    pub async fn finish(self, last: Final) -> Option<FetchTaskResponse> {
        self.ending.cancel();
        // A panic there has been reported by the runtime; the last word can still be said.
        let _ended = self.task.await;
        let mut watch = self.shared.stop.subscribe();
        tokio::select! {
            next = self.shared.finish(last) => next,
            () = watch.reached(Stop::Lost) => None,
        }
    }

    /// Says no more: the task is another's.
    pub async fn abandon(self) {
        self.ending.cancel();
        let _ended = self.task.await;
    }
}

async fn keep_reporting(shared: Arc<Shared>, ending: CancellationToken) {
    let mut backoff = Backoff::default();
    let mut stop = shared.stop.subscribe();
    loop {
        tokio::select! {
            () = shared.changed.notified() => {}
            () = tokio::time::sleep(shared.heartbeat) => {}
            () = ending.cancelled() => return,
            () = stop.reached(Stop::Lost) => return,
        }
        // Not interrupted: a call whose answer is thrown away would have to be made again.
        match shared.send(None).await {
            Ok(_) => backoff.reset(),
            Err(ApiError::Unavailable(text)) => {
                tracing::warn!("the server cannot be told how the task is doing: {text}; trying again");
                tokio::select! {
                    () = backoff.wait() => shared.changed.notify_one(),
                    () = ending.cancelled() => return,
                }
            }
            Err(error) => shared.lost(&error),
        }
    }
}

impl Shared {
    async fn finish(&self, last: Final) -> Option<FetchTaskResponse> {
        let mut backoff = Backoff::default();
        loop {
            let fits = self.pending().fits_one_call();
            match self.send(fits.then_some(&last)).await {
                Ok(response) if fits => return response.next.into_option().filter(|next| next.success),
                Ok(_) => backoff.reset(),
                Err(ApiError::Unavailable(text)) => {
                    tracing::warn!("the server cannot be told that the task is over: {text}; trying again");
                    backoff.wait().await;
                }
                Err(error) => {
                    self.lost(&error);
                    return None;
                }
            }
        }
    }

    async fn send(&self, last: Option<&Final>) -> Result<UpdateTaskResponse, ApiError> {
        let (state, sent) = self.pending().state(last);
        let request = UpdateTaskRequest {
            state: state.into(),
            outputs: last.map(|last| last.outputs.clone()).unwrap_or_default(),
            do_next: last.is_some_and(|last| last.do_next),
            wants: last.map_or(Wants::WANTS_UNSPECIFIED, |last| last.wants).into(),
            ..self.address.clone()
        };
        match self.api.update_task(request).await {
            Ok(response) => {
                self.pending().started_sent = true;
                if last.is_none() {
                    self.heed(&response);
                }
                Ok(response)
            }
            Err(error) => {
                self.pending().unsent.extend(sent);
                Err(error)
            }
        }
    }

    fn heed(&self, response: &UpdateTaskResponse) {
        if response.terminate {
            self.stop.raise(Stop::Kill, Verdict::Cancelled, "terminated");
        } else if response.pipeline_state == "cancelled" || response.step_state == "cancelled" {
            self.stop.raise(Stop::Cancel, Verdict::Cancelled, "cancelled");
        } else if !response.success {
            self.stop.raise(Stop::Lost, Verdict::Failure, "the server no longer takes updates of this task");
        }
    }

    fn lost(&self, error: &ApiError) {
        self.stop.raise(Stop::Lost, Verdict::Failure, &error.to_string());
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn fits_one_call(&self) -> bool {
        self.next_actions().len() == self.unsent.len()
    }

    /// The unsent actions whose summaries fit one call; at least one.
    fn next_actions(&self) -> Vec<u32> {
        let mut bytes = 0;
        let fits =
            self.unsent.iter().filter_map(|index| self.actions.get(index)).enumerate().take_while(|(at, action)| {
                bytes += action.summary.len() + action.message.len();
                *at == 0 || bytes <= SUMMARIES_MAX_BYTES
            });
        fits.map(|(_, action)| action.index).collect()
    }

    /// The message, and the actions in it, which count as sent from now on. No news is a heartbeat.
    fn state(&mut self, last: Option<&Final>) -> (Option<StepState>, Vec<u32>) {
        let indexes = self.next_actions();
        if indexes.is_empty() && last.is_none() && self.started_sent {
            return (None, indexes);
        }
        let mut state = StepState { state: "running".to_owned(), start_time: self.start_time, ..Default::default() };
        for index in &indexes {
            self.unsent.remove(index);
            state.actions.extend(self.actions.get(index).cloned());
        }
        if let Some(last) = last {
            last.state.clone_into(&mut state.state);
            state.end_time = last.end_time;
            state.message.clone_from(&last.message);
        }
        (Some(state), indexes)
    }
}
