//! Runs and their jobs. A run is a head (a document without jobs) and a row for each job, so that a heartbeat rewrites
//! one job and not the run. What an event does is the engine's; it is run here inside the transaction.

use async_trait::async_trait;
use millrace_engine::error::{Error, Result};
use millrace_engine::scheduler::store::{Applied, Claim, Claimed, Held, RunEnd, RunQuery, RunStore};
use millrace_engine::scheduler::{Effects, Event, Job, Lease, Run, State, created_event, transition};
use serde::Deserialize;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqliteExecutor};

use super::SqliteStore;
use super::error::{During, is_duplicate};
use super::outbox;
use super::queue::{self, First};

/// How many runs a page of a listing has at most, whatever is asked for.
pub const RUNS_PAGE_MAX: u32 = 1000;

/// The place of a run's parts that are not jobs in the answer to [`LOAD`].
const WORKFLOW_IDX: i64 = -2;
const HEAD_IDX: i64 = -1;
/// One statement: all parts are of the same moment, without a transaction.
const LOAD: &str = "SELECT -2 AS idx, workflow AS doc FROM runs WHERE id = $1
    UNION ALL SELECT -1, head FROM runs WHERE id = $1
    UNION ALL SELECT idx, doc FROM jobs WHERE run_id = $1
    ORDER BY 1";
const INSERT: &str = "INSERT INTO runs (id, project, number, attempt, state, created_ms, request_id, head, workflow)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const UPDATE_HEAD: &str = "UPDATE runs SET state = $2, head = $3 WHERE id = $1";
const PUT_JOB: &str = "INSERT INTO jobs (run_id, idx, stage, stage_row, state, doc) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (run_id, idx) DO UPDATE SET stage = excluded.stage, stage_row = excluded.stage_row,
    state = excluded.state, doc = excluded.doc";
const UPDATE_JOB: &str = "UPDATE jobs SET doc = $3 WHERE run_id = $1 AND idx = $2";
const NEXT_NUMBER: &str = "INSERT INTO projects (name, last_number) VALUES ($1, 1)
    ON CONFLICT (name) DO UPDATE SET last_number = projects.last_number + 1 RETURNING last_number";
const NOTE_NUMBER: &str = "INSERT INTO projects (name, last_number) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET last_number = excluded.last_number WHERE excluded.last_number > projects.last_number";
const BY_REQUEST: &str = "SELECT id FROM runs WHERE project = $1 AND request_id = $2 AND request_id <> ''";
const FIND: &str = "SELECT id FROM runs WHERE number = $1 AND project = $2 ORDER BY attempt DESC LIMIT 1";
const NEWEST_ATTEMPT: &str = "SELECT newest.project, newest.head FROM runs asked
    JOIN runs newest ON newest.number = asked.number AND newest.project = asked.project
    WHERE asked.id = $1 ORDER BY newest.attempt DESC LIMIT 1";
const FIND_ANY: &str = "SELECT id FROM runs WHERE number = $1 ORDER BY created_ms DESC, attempt DESC, id DESC LIMIT 1";
const JOB_AT: &str = "SELECT doc FROM jobs WHERE run_id = $1 AND stage = $2 AND stage_row = $3";

/// What a run's head says of its end.
#[derive(Deserialize)]
struct HeadEnd {
    state: State,
    created_ms: i64,
    finished_ms: Option<i64>,
}

#[async_trait]
impl RunStore for SqliteStore {
    async fn create(&self, run: Run) -> Result<Run> {
        let (run, told) = self.write("store a run", move |connection| Box::pin(create(connection, run))).await?;
        self.told(told);
        Ok(run)
    }

    async fn get(&self, id: &str) -> Result<Option<Run>> {
        load(self.readers(), id).await
    }

    async fn end(&self, id: &str) -> Result<Option<RunEnd>> {
        let query = sqlx::query_as(NEWEST_ATTEMPT).bind(id);
        let found: Option<(String, String)> = query.fetch_optional(self.readers()).await.during("read a run's end")?;
        let Some((project, head)) = found else { return Ok(None) };
        let head: HeadEnd = serde_json::from_str(&head).during("read a stored run's end")?;
        let ended_ms = head.state.is_final().then(|| head.finished_ms.unwrap_or(head.created_ms));
        Ok(Some(RunEnd { project, ended_ms }))
    }

    async fn find(&self, project: Option<&str>, number: u64) -> Result<Option<String>> {
        let Ok(number) = i64::try_from(number) else { return Ok(None) };
        let query = match project {
            Some(project) => sqlx::query_scalar(FIND).bind(number).bind(project),
            None => sqlx::query_scalar(FIND_ANY).bind(number),
        };
        query.fetch_optional(self.readers()).await.during("find a run")
    }

    async fn list(&self, query: RunQuery) -> Result<Vec<Run>> {
        list(self.readers(), query).await
    }

    async fn apply(&self, id: &str, event: Event, now_ms: i64) -> Result<Applied> {
        let id = id.to_owned();
        let (run, effects, told) = self
            .write("change a run", move |connection| {
                Box::pin(async move { apply(connection, &id, event, now_ms).await })
            })
            .await?;
        self.told(told);
        Ok(Applied { run, effects })
    }

    async fn claim(&self, claim: Claim, now_ms: i64) -> Result<Option<Claimed>> {
        // Idle runners ask often; they must not stand in the way of those who write.
        if !queue::may_serve(self.readers(), &claim).await? {
            return Ok(None);
        }
        let claimed = self.write("claim a task", move |connection| Box::pin(give(connection, claim, now_ms))).await?;
        self.told(claimed.as_ref().is_some_and(|claimed| !claimed.repeated));
        Ok(claimed)
    }

    async fn first_queued(&self, claim: &Claim) -> Result<Option<(i64, i64)>> {
        if !queue::held_under(self.readers(), claim).await?.is_empty() {
            return Ok(Some((i64::from(i32::MAX), i64::MIN)));
        }
        let mut connection = self.readers().acquire().await.during("read the queue")?;
        Ok(queue::first_served(&mut connection, &claim.labels).await?.map(|first| (first.priority, first.queued_ms)))
    }

    async fn job_at(&self, run_id: &str, stage: u32, row: u32) -> Result<Option<Job>> {
        let query = sqlx::query_scalar(JOB_AT).bind(run_id).bind(stage).bind(row);
        let doc: Option<String> = query.fetch_optional(self.readers()).await.during("read a job")?;
        doc.map(|doc| serde_json::from_str(&doc).during("read a stored job")).transpose()
    }

    async fn overdue(&self, now_ms: i64, limit: u32) -> Result<Vec<String>> {
        queue::overdue(self.readers(), now_ms, limit).await
    }

    async fn held(&self) -> Result<Vec<Held>> {
        queue::held(self.readers()).await
    }

    async fn queue_depth(&self) -> Result<Vec<(Vec<String>, u64)>> {
        queue::depth(self.readers()).await
    }
}

/// The run, and whether it is a new one, which is told.
async fn create(connection: &mut SqliteConnection, mut run: Run) -> Result<(Run, bool)> {
    if !run.request_id.is_empty() {
        let query = sqlx::query_scalar(BY_REQUEST).bind(&run.project).bind(&run.request_id);
        let known: Option<String> = query.fetch_optional(&mut *connection).await.during("look for a request id")?;
        if let Some(id) = known {
            let run = load(connection, &id).await?;
            return run.map(|run| (run, false)).ok_or_else(|| Error::Internal(format!("run {id} has gone")));
        }
    }
    number(connection, &mut run).await?;
    let inserted = sqlx::query(INSERT)
        .bind(&run.id)
        .bind(&run.project)
        .bind(run.number as i64)
        .bind(run.attempt)
        .bind(run.state.word())
        .bind(run.created_ms)
        .bind(&run.request_id)
        .bind(head(&mut run)?)
        .bind(&run.workflow)
        .execute(&mut *connection)
        .await;
    if inserted.as_ref().is_err_and(is_duplicate) {
        let (number, attempt, project, id) = (run.number, run.attempt, &run.project, &run.id);
        return Err(Error::Conflict(format!(
            "attempt {attempt} of run {number} of project {project:?} (or the id {id}) is there already"
        )));
    }
    inserted.during("store a run")?;
    for (index, job) in run.jobs.iter().enumerate() {
        put_job(connection, &run, index, job).await?;
    }
    let told = outbox::put(connection, &[created_event(&run)]).await?;
    Ok((run, told))
}

/// Gives the run its number, or notes the one it has, so that it is not given again.
async fn number(connection: &mut SqliteConnection, run: &mut Run) -> Result<()> {
    if run.number == 0 {
        let query = sqlx::query_scalar(NEXT_NUMBER).bind(&run.project);
        let number: i64 = query.fetch_one(connection).await.during("number a run")?;
        run.number = number as u64;
        return Ok(());
    }
    let number = i64::try_from(run.number)
        .map_err(|_| Error::invalid("number", format!("{} is over {}", run.number, i64::MAX)))?;
    sqlx::query(NOTE_NUMBER).bind(&run.project).bind(number).execute(connection).await.during("number a run")?;
    Ok(())
}

/// A run after an event, what the world has to do, and whether something was told.
type Happened = (Run, Effects, bool);

/// Lets an event happen to a run and writes what it changed.
async fn apply(connection: &mut SqliteConnection, id: &str, event: Event, now_ms: i64) -> Result<Happened> {
    let run = load(&mut *connection, id).await?.ok_or_else(|| Error::NotFound(format!("run {id}")))?;
    happen(connection, run, event, now_ms).await
}

async fn happen(connection: &mut SqliteConnection, mut run: Run, event: Event, now_ms: i64) -> Result<Happened> {
    let jobs = std::mem::take(&mut run.jobs);
    let before = run.clone();
    run.jobs = jobs;
    let mut effects = transition::apply(&mut run, event, now_ms)?;
    for &index in &effects.changed_jobs {
        let job =
            run.jobs.get(index).ok_or_else(|| Error::Internal(format!("run {}: no job {index} to write", run.id)))?;
        if effects.visible {
            put_job(connection, &run, index, job).await?;
        } else {
            // Only the lease's end has moved.
            let query = sqlx::query(UPDATE_JOB).bind(&run.id).bind(index as i64).bind(document(job)?);
            query.execute(&mut *connection).await.during("write a job")?;
            queue::move_deadline(connection, &run, index, job).await?;
        }
    }
    let jobs = std::mem::take(&mut run.jobs);
    if run != before {
        let query = sqlx::query(UPDATE_HEAD).bind(&run.id).bind(run.state.word()).bind(head(&mut run)?);
        query.execute(&mut *connection).await.during("write a run")?;
    }
    run.jobs = jobs;
    let told = outbox::put(connection, &std::mem::take(&mut effects.events)).await?;
    Ok((run, effects, told))
}

/// The inside of a claim.
async fn give(connection: &mut SqliteConnection, claim: Claim, now_ms: i64) -> Result<Option<Claimed>> {
    if let Some(again) = given_before(connection, &claim, now_ms).await? {
        return Ok(Some(again));
    }
    let Some(First { address: (run_id, index), .. }) = queue::first_served(connection, &claim.labels).await? else {
        return Ok(None);
    };
    let run = load(&mut *connection, &run_id)
        .await?
        .ok_or_else(|| Error::Internal(format!("the queue has a task of run {run_id}, which is not there")))?;
    let job = usize::try_from(index).ok().filter(|index| *index < run.jobs.len());
    let job =
        job.ok_or_else(|| Error::Internal(format!("the queue has job {index} of run {run_id}, which is not there")))?;
    let lease = Lease {
        runner_uuid: claim.runner_uuid,
        runner_name: claim.runner_name,
        // Set by the transition.
        epoch: 0,
        expires_ms: claim.expires_ms,
        request_id: claim.request_id,
    };
    let (run, _, _) = happen(connection, run, Event::Claimed { job, lease }, now_ms).await?;
    Ok(Some(Claimed { run, job, repeated: false }))
}

/// The job this runner was given under this request, if its lease still runs.
async fn given_before(connection: &mut SqliteConnection, claim: &Claim, now_ms: i64) -> Result<Option<Claimed>> {
    for (run_id, index) in queue::held_under(&mut *connection, claim).await? {
        let Some(run) = load(&mut *connection, &run_id).await? else { continue };
        let Ok(job) = usize::try_from(index) else { continue };
        let lease = run.jobs.get(job).and_then(|job| job.lease.as_ref());
        if lease.is_some_and(|lease| lease.expires_ms > now_ms) {
            return Ok(Some(Claimed { run, job, repeated: true }));
        }
    }
    Ok(None)
}

async fn load(executor: impl SqliteExecutor<'_>, id: &str) -> Result<Option<Run>> {
    let rows = sqlx::query(LOAD).bind(id).fetch_all(executor).await.during("read a run")?;
    let mut workflow = String::new();
    let mut run: Option<Run> = None;
    for row in &rows {
        match (row.get::<i64, _>(0), &mut run) {
            (WORKFLOW_IDX, _) => workflow = row.get(1),
            (HEAD_IDX, _) => run = Some(run_of(row.get(1), std::mem::take(&mut workflow))?),
            (_, Some(run)) => run.jobs.push(serde_json::from_str(row.get(1)).during("read a stored job")?),
            (index, None) => return Err(Error::Internal(format!("run {id} has job {index} and no head"))),
        }
    }
    Ok(run)
}

async fn list(executor: impl SqliteExecutor<'_>, query: RunQuery) -> Result<Vec<Run>> {
    let limit = query.limit.min(RUNS_PAGE_MAX);
    let states: Vec<Option<State>> =
        if query.states.is_empty() { vec![None] } else { query.states.iter().copied().map(Some).collect() };
    // A branch for each state: each reads its index from the end and stops at the limit.
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT runs.head, runs.workflow FROM (");
    for (place, state) in states.into_iter().enumerate() {
        sql.push(if place == 0 { "SELECT * FROM (" } else { " UNION SELECT * FROM (" });
        sql.push("SELECT created_ms, id FROM runs WHERE 1 = 1");
        if let Some(project) = &query.project {
            sql.push(" AND project = ").push_bind(project.clone());
        }
        if let Some(state) = state {
            sql.push(" AND state = ").push_bind(state.word());
        }
        if let Some((created_ms, id)) = &query.before {
            sql.push(" AND (created_ms, id) < (").push_bind(*created_ms).push(", ").push_bind(id.clone()).push(")");
        }
        sql.push(" ORDER BY created_ms DESC, id DESC LIMIT ").push_bind(i64::from(limit)).push(") AS branch");
    }
    sql.push(") AS page JOIN runs ON runs.id = page.id ORDER BY page.created_ms DESC, page.id DESC LIMIT ")
        .push_bind(i64::from(limit));
    let rows = sql.build().fetch_all(executor).await.during("list runs")?;
    rows.iter().map(|row| run_of(row.get(0), row.get(1))).collect()
}

async fn put_job(connection: &mut SqliteConnection, run: &Run, index: usize, job: &Job) -> Result<()> {
    let query = sqlx::query(PUT_JOB)
        .bind(&run.id)
        .bind(index as i64)
        .bind(job.stage)
        .bind(job.row)
        .bind(job.state.word())
        .bind(document(job)?);
    query.execute(&mut *connection).await.during("write a job")?;
    queue::follow(connection, run, index, job).await
}

fn document(job: &Job) -> Result<String> {
    serde_json::to_string(job).during("write a job")
}

/// The stored head. The workflow's text has a column of its own: it never changes, and may be long.
fn head(run: &mut Run) -> Result<String> {
    let workflow = std::mem::take(&mut run.workflow);
    let head = serde_json::to_string(run).during("write a run");
    run.workflow = workflow;
    head
}

fn run_of(head: &str, workflow: String) -> Result<Run> {
    let run: Run = serde_json::from_str(head).during("read a stored run")?;
    Ok(Run { workflow, ..run })
}
