//! One worker: a long poll, a task, the next. Knows nothing of other workers but that they share the slots.
//!
//! There is a worker for each slot, and some more, which ask only for actions, to fetch their inputs while every slot is
//! busy. A task runs when it has a slot, whichever worker brought it.

use std::time::Duration;

use millrace_proto::runner_v1::FetchTaskResponse;
use millrace_proto::runner_v1::fetch_task_request::Wants;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::action::{self, ActionHost};
use crate::api::ApiError;
use crate::backoff::Backoff;
use crate::job::{self, JobHost};
use crate::slots::Promise;

/// A poll that is answered with nothing sooner than this is not made again at once.
pub const POLL_MIN_MS: u64 = 1_000;
/// How long a slot is free before a worker that asks for actions alone asks for jobs, too.
const SLOT_IDLE_MS: u64 = 100;

/// Why a worker ended.
pub enum SlotEnd {
    /// The runner ends.
    Drained,
    /// The server does not know the runner.
    Refused(String),
}

/// A worker.
pub struct Worker {
    /// What jobs need.
    pub jobs: JobHost,
    /// What actions need, where they are run.
    pub actions: Option<ActionHost>,
    /// Its number.
    pub number: u32,
    /// Which one it is of those beyond the slots, and how many there are of these whatever the actions are like.
    pub ahead: Option<(u32, u32)>,
    /// The server has told one of the workers that it does not know the runner: none asks any more.
    pub refused: CancellationToken,
}

/// What a poll asks for; the slot that a job would take is promised to it.
type Asking = (Wants, Option<Promise>);

impl Worker {
    /// Serves until the runner ends.
    pub async fn run(self) -> SlotEnd {
        let mut next = None;
        loop {
            let task = match next.take() {
                Some(task) => task,
                None => match self.refused.run_until_cancelled(self.fetch()).await {
                    Some(Ok(Some(task))) => task,
                    Some(Ok(None)) | None => return SlotEnd::Drained,
                    Some(Err(text)) => return SlotEnd::Refused(text),
                },
            };
            next = self.serve(task).await;
            if self.jobs.shutdown.is_killed() || (self.jobs.ephemeral && next.is_none()) {
                return SlotEnd::Drained;
            }
        }
    }

    async fn serve(&self, mut task: FetchTaskResponse) -> Option<FetchTaskResponse> {
        let Some(action) = task.action.take() else { return job::run(self.jobs.clone(), task).await };
        let Some(host) = &self.actions else {
            tracing::error!("an action of remote execution, and this runner asked for none");
            return None;
        };
        // Held until the next task is here.
        let mut promise = None;
        action::run(host, action, || {
            let ends = self.jobs.ephemeral || self.jobs.shutdown.is_draining();
            let is_worth = self.ahead.is_none_or(|(number, least)| host.slots.is_worth_ahead(number, least));
            (!ends && is_worth).then(|| {
                let (wants, promised) = self.asking();
                promise = promised;
                wants
            })
        })
        .await
    }

    /// The next task; `None`: the runner ends. Asks with the same request id until there is an answer, so that a task
    /// whose answer was lost comes with the next.
    async fn fetch(&self) -> Result<Option<FetchTaskResponse>, String> {
        let (mut backoff, shutdown, number) = (Backoff::default(), &self.jobs.shutdown, self.number);
        let mut request_id = new_request_id();
        let mut is_repeated = false;
        loop {
            if let Some((number, least)) = self.ahead.filter(|_| !is_repeated) {
                tokio::select! {
                    () = self.jobs.slots.worth_ahead(number, least) => {}
                    () = shutdown.drained() => return Ok(None),
                }
            }
            let asked_at = Instant::now();
            let draining = shutdown.is_draining();
            let (wants, _promise) = self.asking();
            let may_want_more = wants == Wants::WANTS_ACTIONS_AHEAD && self.ahead.is_none();
            is_repeated = true;
            let answer = tokio::select! {
                answer = self.jobs.api.fetch_task(&request_id, draining, wants) => answer,
                () = shutdown.drained(), if !draining => {
                    // The server may have given us a task already: ask once more, without waiting.
                    continue;
                }
                () = self.jobs.slots.idle_for(Duration::from_millis(SLOT_IDLE_MS)), if may_want_more => continue,
                () = shutdown.killed() => return Ok(None),
            };
            let wait = match answer {
                Ok(task) if task.success => return Ok(Some(task)),
                Ok(_) if draining => return Ok(None),
                Ok(nothing) => {
                    backoff.reset();
                    request_id = new_request_id();
                    is_repeated = false;
                    if !nothing.message.is_empty() {
                        tracing::debug!("worker {number}: {}", nothing.message);
                    }
                    Duration::from_millis(POLL_MIN_MS).saturating_sub(asked_at.elapsed())
                }
                Err(ApiError::NotAuthorised(text) | ApiError::NotYours(text)) => return Err(text),
                Err(_) if draining => return Ok(None),
                Err(error) => {
                    tracing::warn!("worker {number}: asking for a task: {error}; trying again");
                    backoff.next_wait()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.drained() => {}
            }
        }
    }

    fn asking(&self) -> Asking {
        if self.actions.is_none() {
            return (Wants::WANTS_UNSPECIFIED, None);
        }
        if self.ahead.is_none()
            && let Some(promise) = self.jobs.slots.promise()
        {
            return (Wants::WANTS_JOBS_AND_ACTIONS, Some(promise));
        }
        (Wants::WANTS_ACTIONS_AHEAD, None)
    }
}

fn new_request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
