//! Sends the rows of one action: one call at a time, again from the acknowledged row after a failure, until the
//! server has all of them. Knows nothing of how rows come about.

use std::sync::Arc;
use std::time::Duration;

use millrace_proto::runner_v1::UpdateLogRequest;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::queue::{Batch, Queue};
use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::job::{Stop, StopSwitch, Verdict};

/// The most bytes in one call.
pub const LOG_BATCH_MAX_BYTES: usize = 256 * 1024;
/// The most bytes in one call when the server has to see more of a line before it takes any of it.
pub const LOG_BATCH_HELD_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The shortest time from one call to the next, unless there is a whole batch. A line after a pause goes at once.
pub const LOG_BATCH_INTERVAL_MS: u64 = 50;

/// Which log the rows belong to.
#[derive(Clone)]
pub struct UploadTarget {
    /// Where to send them.
    pub api: Api,
    /// Everything but the rows.
    pub address: UpdateLogRequest,
    /// Told when the server does not want them.
    pub stop: StopSwitch,
}

/// An upload under way.
pub struct Upload {
    task: JoinHandle<()>,
}

impl Upload {
    /// Starts it.
    pub fn start(target: UploadTarget, queue: Arc<Queue>) -> Self {
        Self { task: tokio::spawn(run(target, queue)) }
    }

    /// Waits until the server has every row, or wants none.
    pub async fn finished(self) {
        // A panic there has been reported by the runtime, and the rows are gone with it.
        let _ended = self.task.await;
    }
}

async fn run(target: UploadTarget, queue: Arc<Queue>) {
    let mut stop = target.stop.subscribe();
    let uploaded = tokio::select! {
        result = upload(&target, &queue) => result,
        () = stop.reached(Stop::Lost) => Ok(()),
    };
    queue.discard();
    if let Err(reason) = uploaded {
        target.stop.raise(Stop::Kill, Verdict::Failure, &reason);
    }
}

async fn upload(target: &UploadTarget, queue: &Queue) -> Result<(), String> {
    let mut backoff = Backoff::default();
    let mut next_call = Instant::now();
    let mut max_bytes = LOG_BATCH_MAX_BYTES;
    let mut seen = None;
    loop {
        wait_for_rows(queue, next_call, seen.take()).await;
        next_call = Instant::now() + Duration::from_millis(LOG_BATCH_INTERVAL_MS);
        let batch = queue.batch(max_bytes);
        let (begin, end) = (batch.index, batch.index + batch.rows.len() as u64);
        let pieces = batch.rows.iter().rev().take_while(|row| row.goes_on).count() as u64;
        let last = batch.last;
        match target.api.update_log(request(&target.address, batch)).await {
            Ok(stored) if u64::try_from(stored).is_ok_and(|stored| stored <= end && queue.acknowledge(stored)) => {
                let stored = stored as u64;
                if last && stored == end {
                    return Ok(());
                }
                if stored == end {
                    backoff.reset();
                    max_bytes = LOG_BATCH_MAX_BYTES;
                } else if !last && stored >= begin.max(end - pieces) {
                    // Of a line that goes on the server may want to see more before it takes the last pieces.
                    backoff.reset();
                    seen = Some(end);
                    max_bytes =
                        if stored == begin { LOG_BATCH_HELD_MAX_BYTES.min(2 * max_bytes) } else { LOG_BATCH_MAX_BYTES };
                } else {
                    backoff.wait().await;
                }
            }
            Ok(stored) => {
                return Err(format!(
                    "the server has {stored} rows of a log of which it had others before: its log is lost"
                ));
            }
            Err(ApiError::Unavailable(text)) => {
                tracing::debug!("rows of action {} not sent yet: {text}", target.address.action_idx);
                backoff.wait().await;
            }
            Err(ApiError::Conflict(text)) => {
                return Err(format!("the server holds other bytes at the same place of the log: {text}"));
            }
            Err(ApiError::Refused(text)) => return Err(format!("the server refused rows of the log: {text}")),
            Err(ApiError::NotYours(text) | ApiError::NotAuthorised(text)) => {
                target.stop.raise(Stop::Lost, Verdict::Failure, &text);
                return Ok(());
            }
        }
    }
}

/// Until there is something to send (more than was `seen`) and it is time to, or there is a whole batch, or the end is
/// reached.
async fn wait_for_rows(queue: &Queue, next_call: Instant, seen: Option<u64>) {
    loop {
        let (bytes, closed) = queue.fill();
        if !closed && seen.is_some_and(|seen| queue.end() <= seen) {
            queue.changed().await;
            continue;
        }
        if closed || bytes >= LOG_BATCH_MAX_BYTES || (bytes > 0 && Instant::now() >= next_call) {
            return;
        }
        if bytes == 0 {
            queue.changed().await;
        } else {
            tokio::select! {
                () = queue.changed() => {}
                () = tokio::time::sleep_until(next_call) => {}
            }
        }
    }
}

fn request(address: &UpdateLogRequest, batch: Batch) -> UpdateLogRequest {
    let mut stderr_bits = vec![0_u8; batch.rows.len().div_ceil(8)];
    let mut continued_bits = vec![0_u8; batch.rows.len().div_ceil(8)];
    let mut times = Vec::with_capacity(batch.rows.len());
    let mut rows = Vec::with_capacity(batch.rows.len());
    for (at, row) in batch.rows.into_iter().enumerate() {
        stderr_bits[at / 8] |= u8::from(row.stderr) << (at % 8);
        continued_bits[at / 8] |= u8::from(row.goes_on) << (at % 8);
        times.push(row.time_ms);
        rows.push(row.text);
    }
    if continued_bits.iter().all(|byte| *byte == 0) {
        continued_bits.clear();
    }
    UpdateLogRequest {
        index: batch.index as i64,
        rows,
        times,
        stderr_bits,
        continued_bits,
        no_more: batch.last,
        ..address.clone()
    }
}
