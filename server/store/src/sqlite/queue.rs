//! The queue of ready jobs: the `tasks` rows. A row follows its job, in the same transaction, and is never asked
//! what is true of the job beyond who may take it and when it has to be looked at.

use futures::TryStreamExt;
use millrace_engine::error::{Error, Result};
use millrace_engine::scheduler::store::{Claim, Held};
use millrace_engine::scheduler::waiters::serves;
use millrace_engine::scheduler::{Job, Run, State};
use sqlx::{Row, SqliteConnection, SqliteExecutor};

use super::error::During;

const PUT: &str = "INSERT INTO tasks
    (run_id, idx, state, label_set, priority, queued_ms, runner_uuid, request_id, epoch, started_ms, deadline_ms, run_number, job_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT (run_id, idx) DO UPDATE SET state = excluded.state, label_set = excluded.label_set,
    priority = excluded.priority, queued_ms = excluded.queued_ms, runner_uuid = excluded.runner_uuid,
    request_id = excluded.request_id, epoch = excluded.epoch, started_ms = excluded.started_ms,
    deadline_ms = excluded.deadline_ms, run_number = excluded.run_number, job_key = excluded.job_key";
const MOVE_DEADLINE: &str = "UPDATE tasks SET deadline_ms = $3 WHERE run_id = $1 AND idx = $2";
const DELETE: &str = "DELETE FROM tasks WHERE run_id = $1 AND idx = $2";

/// One step in the index for each distinct set, not one for each task.
const QUEUED_SETS: &str = "WITH RECURSIVE sets (label_set) AS (
    SELECT (SELECT label_set FROM tasks WHERE state = 'queued' ORDER BY label_set LIMIT 1)
    UNION ALL
    SELECT (SELECT label_set FROM tasks WHERE state = 'queued' AND label_set > sets.label_set ORDER BY label_set LIMIT 1)
    FROM sets WHERE sets.label_set IS NOT NULL)
    SELECT label_set FROM sets WHERE label_set IS NOT NULL";
const FIRST_OF_SET: &str =
    "SELECT priority, queued_ms, run_id, idx FROM tasks WHERE state = 'queued' AND label_set = $1
    ORDER BY priority DESC, queued_ms, run_id, idx LIMIT 1";
const HELD_UNDER: &str =
    "SELECT run_id, idx FROM tasks WHERE state = 'leased' AND runner_uuid = $1 AND request_id = $2";
const OVERDUE: &str = "SELECT run_id FROM tasks WHERE state = 'leased' AND deadline_ms <= $1 ORDER BY deadline_ms";
const HELD: &str = "SELECT runner_uuid, run_id, run_number, job_key, started_ms, runs.project
    FROM tasks JOIN runs ON runs.id = tasks.run_id WHERE tasks.state = 'leased'
    ORDER BY runner_uuid, started_ms, run_id, idx";
const DEPTH: &str =
    "SELECT label_set, COUNT(*) AS depth FROM tasks WHERE state = 'queued' GROUP BY label_set ORDER BY label_set";

/// The address of a task: its run and the job's place in it.
pub type Address = (String, i64);

/// A task that goes first.
pub struct First {
    /// Higher goes first.
    pub priority: i64,
    /// Since when it waits, Unix milliseconds.
    pub queued_ms: i64,
    /// Where it is.
    pub address: Address,
}

/// Makes the row of a job what the job says: there, in a runner's hands, or gone.
pub async fn follow(connection: &mut SqliteConnection, run: &Run, index: usize, job: &Job) -> Result<()> {
    let lease = job.lease.as_ref().filter(|_| job.state == State::Running);
    let query = match (job.state, lease) {
        (State::Queued, _) | (State::Running, Some(_)) => sqlx::query(PUT)
            .bind(&run.id)
            .bind(index as i64)
            .bind(if lease.is_some() { "leased" } else { "queued" })
            .bind(label_set(&job.runs_on)?)
            .bind(run.priority)
            .bind(job.queued_ms.unwrap_or(run.created_ms))
            .bind(lease.map(|lease| lease.runner_uuid.as_str()))
            .bind(lease.map(|lease| lease.request_id.as_str()))
            .bind(lease.map(|lease| lease.epoch as i64))
            .bind(lease.and(job.started_ms))
            .bind(job.deadline_ms())
            .bind(run.number as i64)
            .bind(&job.key),
        (State::Running, None) => {
            return Err(Error::Internal(format!("job {} of run {} runs without a lease", job.key, run.id)));
        }
        _ => sqlx::query(DELETE).bind(&run.id).bind(index as i64),
    };
    query.execute(connection).await.during("write the queue")?;
    Ok(())
}

/// The cheap form of [`follow`] for a job of which only the lease's end has moved.
pub async fn move_deadline(connection: &mut SqliteConnection, run: &Run, index: usize, job: &Job) -> Result<()> {
    let query = sqlx::query(MOVE_DEADLINE).bind(&run.id).bind(index as i64).bind(job.deadline_ms());
    query.execute(connection).await.during("write the queue")?;
    Ok(())
}

/// The task that a runner with these labels gets: of the highest priority the oldest.
pub async fn first_served(connection: &mut SqliteConnection, labels: &[String]) -> Result<Option<First>> {
    let mut best = None;
    for set in served_sets(&mut *connection, labels).await? {
        let row =
            sqlx::query(FIRST_OF_SET).bind(set).fetch_optional(&mut *connection).await.during("read the queue")?;
        if let Some(row) = row {
            let order = (
                std::cmp::Reverse(row.get::<i64, _>(0)),
                row.get::<i64, _>(1),
                row.get::<String, _>(2),
                row.get::<i64, _>(3),
            );
            if best.as_ref().is_none_or(|best| order < *best) {
                best = Some(order);
            }
        }
    }
    Ok(best.map(|(priority, queued_ms, run_id, index)| First {
        priority: priority.0,
        queued_ms,
        address: (run_id, index),
    }))
}

/// Whether a claim may find something; looks only.
pub async fn may_serve(readers: &sqlx::SqlitePool, claim: &Claim) -> Result<bool> {
    Ok(!served_sets(readers, &claim.labels).await?.is_empty() || !held_under(readers, claim).await?.is_empty())
}

/// What the runner was given under the same request.
pub async fn held_under(executor: impl SqliteExecutor<'_>, claim: &Claim) -> Result<Vec<Address>> {
    if claim.request_id.is_empty() {
        return Ok(Vec::new());
    }
    let query = sqlx::query(HELD_UNDER).bind(&claim.runner_uuid).bind(&claim.request_id);
    let rows = query.fetch_all(executor).await.during("read the queue")?;
    Ok(rows.into_iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Runs with a task whose deadline has come, the longest overdue first.
pub async fn overdue(executor: impl SqliteExecutor<'_>, now_ms: i64, limit: u32) -> Result<Vec<String>> {
    let mut rows = sqlx::query_scalar(OVERDUE).bind(now_ms).fetch(executor);
    // Grouped here: a database that groups by run reads the whole table for it.
    let mut runs = indexmap::IndexSet::new();
    while runs.len() < limit as usize {
        let Some(run) = rows.try_next().await.during("read the queue")? else { break };
        runs.insert(run);
    }
    Ok(runs.into_iter().collect())
}

/// What runners have in their hands.
pub async fn held(executor: impl SqliteExecutor<'_>) -> Result<Vec<Held>> {
    let rows = sqlx::query(HELD).fetch_all(executor).await.during("read the queue")?;
    let held = |row: sqlx::sqlite::SqliteRow| Held {
        runner_uuid: row.get(0),
        run_id: row.get(1),
        run_number: row.get::<i64, _>(2) as u64,
        job_key: row.get(3),
        started_ms: row.get::<Option<i64>, _>(4).unwrap_or(0),
        project: row.get(5),
    };
    Ok(rows.into_iter().map(held).collect())
}

/// How many tasks are queued, by label set.
pub async fn depth(executor: impl SqliteExecutor<'_>) -> Result<Vec<(Vec<String>, u64)>> {
    let rows = sqlx::query(DEPTH).fetch_all(executor).await.during("read the queue")?;
    rows.into_iter().map(|row| Ok((labels_of(row.get(0))?, row.get::<i64, _>(1) as u64))).collect()
}

async fn served_sets(executor: impl SqliteExecutor<'_>, labels: &[String]) -> Result<Vec<String>> {
    let rows = sqlx::query(QUEUED_SETS).fetch_all(executor).await.during("read the queue")?;
    let mut served = Vec::new();
    for row in rows {
        let set: String = row.get(0);
        if serves(labels, &labels_of(&set)?) {
            served.push(set);
        }
    }
    Ok(served)
}

/// One form for all ways to write a set of labels.
fn label_set(labels: &[String]) -> Result<String> {
    let mut labels: Vec<String> = labels.iter().map(|label| label.to_ascii_lowercase()).collect();
    labels.sort_unstable();
    labels.dedup();
    serde_json::to_string(&labels).during("write a label set")
}

fn labels_of(set: &str) -> Result<Vec<String>> {
    serde_json::from_str(set).during("read a label set")
}

#[cfg(test)]
mod tests;
