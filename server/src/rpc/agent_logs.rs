//! Rows of a job's logs, from who holds the job.

use millrace_engine::error::Error;
use millrace_engine::logs::{LogId, Row};
use millrace_engine::runners::Runner;
use millrace_engine::scheduler::Report;
use millrace_proto::runner_v1 as wire;

use super::agent_jobs::check_step;
use crate::app::App;

/// Stores rows of an action's log for who holds the job.
pub async fn append(app: &App, request: wire::UpdateLogRequest, runner: Option<&Runner>) -> Result<u64, Error> {
    let index =
        u64::try_from(request.index).map_err(|_| Error::invalid("index", format!("{} is below 0", request.index)))?;
    if !request.times.is_empty() && request.times.len() != request.rows.len() {
        let message = format!("has {} entries for {} rows: as many, or none", request.times.len(), request.rows.len());
        return Err(Error::invalid("times", message));
    }
    check_step(request.step_idx)?;
    let owner = Report {
        stage: request.stage_idx,
        row: request.step_row_idx,
        runner_uuid: runner.map(|runner| runner.uuid.clone()),
        epoch: (request.epoch != 0).then_some(request.epoch),
        ..Default::default()
    };
    let job = app.scheduler.owned_job(&request.tx_uuid, &owner).await?;
    let action = request.action_idx as usize;
    if action >= job.steps.len() {
        return Err(Error::invalid(
            "action_idx",
            format!("{action} is not below {}, the job's number of actions", job.steps.len()),
        ));
    }
    let id = job.log_id(&request.tx_uuid, action).ok_or_else(|| Error::Precondition("the job has not begun".into()))?;
    let id = LogId::parse(&id)?;
    let mut batch = app.logs.batch_for(&id);
    let now_ms = app.clock.now_ms();
    for (place, text) in request.rows.iter().enumerate() {
        let stderr = is_set(&request.stderr_bits, place);
        let time_ms = request.times.get(place).copied().unwrap_or(now_ms);
        let row = Row { time_ms, stderr, text: text.as_bytes() };
        if is_set(&request.continued_bits, place) {
            batch.push_part(row)?;
        } else {
            batch.push(row)?;
        }
    }
    app.metrics.log_rows(&request.rows);
    Ok(app.logs.append(&id, index, batch, request.no_more).await?)
}

/// The bit of a row, packed from the lowest bit of the first byte.
fn is_set(bits: &[u8], place: usize) -> bool {
    bits.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1)
}
