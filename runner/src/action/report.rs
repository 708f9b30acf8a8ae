//! What the server hears of an action while it is here, and what it says to that: stages that last, signs of life, the
//! last word. Knows nothing of how an action is run.

use std::time::Duration;

use millrace_proto::runner_v1::action_report::Stage;
use millrace_proto::runner_v1::fetch_task_request::Wants;
use millrace_proto::runner_v1::{ActionReport, ActionTask, FetchTaskResponse, UpdateTaskRequest};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiError};
use crate::backoff::Backoff;

/// A stage that is over sooner is not reported.
const STAGE_REPORT_AFTER_MS: u64 = 200;
/// The longest pause between two signs of life: so long may a cancelled action go on.
const HEARTBEAT_MAX_MS: u64 = 3_000;
/// Signs of life in the time of a lease.
const HEARTBEATS_IN_LEASE: u64 = 3;

/// Who still wants the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The client.
    Wanted,
    /// Nobody: it was cancelled, and the server hears of its end.
    Cancelled,
    /// Not from this runner: the server hears nothing more.
    Lost,
}

/// Reports on one action.
pub struct Reporter {
    api: Api,
    address: UpdateTaskRequest,
    stage: watch::Sender<Stage>,
    standing: watch::Receiver<Standing>,
    heart: JoinHandle<()>,
}

impl Reporter {
    /// Begins. `cancel` is cancelled as soon as the result is not wanted any more.
    pub fn start(api: Api, task: &ActionTask, cancel: CancellationToken) -> Self {
        let address = UpdateTaskRequest { tx_uuid: task.execution_id.clone(), epoch: task.epoch, ..Default::default() };
        let (stage, stages) = watch::channel(Stage::STAGE_INPUT_FETCH);
        let (said, standing) = watch::channel(Standing::Wanted);
        let pause = Duration::from_millis((task.lease_ms / HEARTBEATS_IN_LEASE).clamp(1, HEARTBEAT_MAX_MS));
        let heart = Heart { api: api.clone(), address: address.clone(), stages, said, cancel, pause };
        Self { api, address, stage, standing, heart: tokio::spawn(heart.beat()) }
    }

    /// A stage begins.
    pub fn stage(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Who still wants the result.
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Says nothing more.
    pub fn abandon(self) {
        self.heart.abort();
    }

    /// The last word, until the server has heard it; answers the next task, when there is one at once.
    pub async fn finish(self, report: ActionReport, next: Option<Wants>) -> Option<FetchTaskResponse> {
        self.heart.abort();
        let report = ActionReport { stage: Stage::STAGE_DONE.into(), ..report };
        let request = UpdateTaskRequest {
            action: report.into(),
            do_next: next.is_some(),
            wants: next.unwrap_or(Wants::WANTS_UNSPECIFIED).into(),
            ..self.address
        };
        let mut backoff = Backoff::default();
        loop {
            match self.api.update_task(request.clone()).await {
                Ok(answer) => return answer.next.into_option().filter(|next| next.success),
                Err(ApiError::Unavailable(text)) => {
                    tracing::warn!("{}: the end could not be told: {text}; trying again", request.tx_uuid);
                }
                Err(error) => {
                    tracing::warn!("{}: the end was not taken: {error}", request.tx_uuid);
                    return None;
                }
            }
            backoff.wait().await;
        }
    }
}

struct Heart {
    api: Api,
    address: UpdateTaskRequest,
    stages: watch::Receiver<Stage>,
    said: watch::Sender<Standing>,
    cancel: CancellationToken,
    pause: Duration,
}

impl Heart {
    async fn beat(mut self) {
        let mut told = None;
        loop {
            let stage = *self.stages.borrow_and_update();
            let first = Duration::from_millis(STAGE_REPORT_AFTER_MS).min(self.pause);
            let pause = if told == Some(stage) { self.pause } else { first };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.stages.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    continue;
                }
            }
            let report = ActionReport { stage: stage.into(), ..Default::default() };
            let request = UpdateTaskRequest { action: report.into(), ..self.address.clone() };
            let standing = match self.api.update_task(request).await {
                Ok(answer) if answer.pipeline_state == "cancelled" || answer.terminate => Standing::Cancelled,
                Ok(answer) if !answer.success => Standing::Lost,
                Ok(_) => {
                    told = Some(stage);
                    continue;
                }
                Err(ApiError::Unavailable(text)) => {
                    tracing::debug!("{}: sign of life: {text}", self.address.tx_uuid);
                    // Tried again after the pause: the lease lasts for some of them.
                    told = Some(stage);
                    continue;
                }
                Err(error) => {
                    tracing::warn!("{}: it is not this runner's any more: {error}", self.address.tx_uuid);
                    Standing::Lost
                }
            };
            self.said.send_replace(standing);
            self.cancel.cancel();
            return;
        }
    }
}
