//! One slot: a long poll, a task, the next. Knows nothing of other slots.

use std::time::Duration;

use millrace_proto::runner_v1::FetchTaskResponse;
use tokio::time::Instant;

use crate::api::ApiError;
use crate::backoff::Backoff;
use crate::job::{self, JobHost};

/// A poll that is answered with nothing sooner than this is not made again at once.
pub const POLL_MIN_MS: u64 = 1_000;

/// Why a slot ended.
pub enum SlotEnd {
    /// The runner ends.
    Drained,
    /// The server does not know the runner.
    Refused(String),
}

/// Serves until the runner ends.
pub async fn run(host: JobHost, number: u32) -> SlotEnd {
    let mut next = None;
    loop {
        let task = match next.take() {
            Some(task) => task,
            None => match fetch(&host, number).await {
                Ok(Some(task)) => task,
                Ok(None) => return SlotEnd::Drained,
                Err(text) => return SlotEnd::Refused(text),
            },
        };
        next = job::run(host.clone(), task).await;
        if host.shutdown.is_killed() || (host.ephemeral && next.is_none()) {
            return SlotEnd::Drained;
        }
    }
}

/// The next task; `None`: the runner ends. Asks with the same request id until there is an answer, so that a task
/// whose answer was lost comes with the next.
async fn fetch(host: &JobHost, number: u32) -> Result<Option<FetchTaskResponse>, String> {
    let mut backoff = Backoff::default();
    let mut request_id = new_request_id();
    loop {
        let asked_at = Instant::now();
        let draining = host.shutdown.is_draining();
        let answer = tokio::select! {
            answer = host.api.fetch_task(&request_id, draining) => answer,
            () = host.shutdown.drained(), if !draining => {
                // The server may have given us a task already: ask once more, without waiting.
                continue;
            }
            () = host.shutdown.killed() => return Ok(None),
        };
        let wait = match answer {
            Ok(task) if task.success => return Ok(Some(task)),
            Ok(_) if draining => return Ok(None),
            Ok(nothing) => {
                backoff.reset();
                request_id = new_request_id();
                if !nothing.message.is_empty() {
                    tracing::debug!("slot {number}: {}", nothing.message);
                }
                Duration::from_millis(POLL_MIN_MS).saturating_sub(asked_at.elapsed())
            }
            Err(ApiError::NotAuthorised(text) | ApiError::NotYours(text)) => return Err(text),
            Err(_) if draining => return Ok(None),
            Err(error) => {
                tracing::warn!("slot {number}: asking for a task: {error}; trying again");
                backoff.next_wait()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = host.shutdown.drained() => {}
        }
    }
}

fn new_request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
