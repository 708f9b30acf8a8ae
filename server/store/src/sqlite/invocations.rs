//! Invocations: what builds told by events, and what was folded out of that.

mod events;
mod forget;
mod targets;

use async_trait::async_trait;
use millrace_engine::error::{Error, Result};
use millrace_engine::events::NewEvent;
use millrace_engine::invocations::{
    EventPage, EventPosition, InvocationChange, InvocationFilter, InvocationRow, InvocationStore, StoredStream,
    StreamKey, TargetFilter, TargetPage,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::SqliteStore;
use super::error::During;
use super::outbox;

const PUT: &str =
    "INSERT INTO invocations (id, instance, build_id, status, complete, created_ms, updated_ms, timeout_ms,
        user_name, search, events_bytes, summary, document)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT (id) DO UPDATE SET
        status = excluded.status, complete = excluded.complete, updated_ms = excluded.updated_ms,
        timeout_ms = excluded.timeout_ms, user_name = excluded.user_name, search = excluded.search,
        events_bytes = excluded.events_bytes, summary = excluded.summary, document = excluded.document";
const UPDATE: &str = "UPDATE invocations SET status = $2, complete = $3, updated_ms = $4, timeout_ms = $5,
        user_name = $6, search = $7, events_bytes = $8, summary = $9, document = $10
    WHERE id = $1";
const GET: &str =
    "SELECT id, instance, build_id, status, complete, created_ms, updated_ms, timeout_ms, user_name, search,
        events_bytes, summary, document
    FROM invocations WHERE id = $1";
/// An empty document stands for what lists do not show. $1: the project or NULL; $2: statuses in JSON or NULL; $3: user;
/// $4: text; $5, $6: the place after which the page begins, or NULL.
macro_rules! list {
    ($instance:literal) => {
        concat!(
            "SELECT id, instance, build_id, status, complete, created_ms, updated_ms, timeout_ms, user_name, search,
                events_bytes, summary, x'' FROM invocations
            WHERE ",
            $instance,
            " AND ($2 IS NULL OR status IN (SELECT value FROM json_each($2)))
                AND ($3 = '' OR user_name = $3)
                AND ($4 = '' OR instr(search, $4) > 0)
                AND ($5 IS NULL OR (created_ms, id) < ($5, $6))
            ORDER BY created_ms DESC, id DESC LIMIT $7"
        )
    };
}
const LIST: &str = list!("$1 IS NULL");
const LIST_OF_INSTANCE: &str = list!("instance = $1");
const SILENT: &str = "SELECT id FROM invocations WHERE complete = 0 AND updated_ms + timeout_ms <= $1
    ORDER BY updated_ms LIMIT $2";

#[async_trait]
impl InvocationStore for SqliteStore {
    async fn commit(&self, change: InvocationChange) -> Result<()> {
        let told = self.write("store build events", move |connection| Box::pin(commit(connection, change))).await?;
        self.told(told);
        Ok(())
    }

    async fn update(&self, row: InvocationRow, told: Vec<NewEvent>) -> Result<()> {
        let told = self.write("store an invocation", move |connection| Box::pin(update(connection, row, told))).await?;
        self.told(told);
        Ok(())
    }

    async fn invocation(&self, id: &str) -> Result<Option<InvocationRow>> {
        let row = sqlx::query(GET).bind(id).fetch_optional(self.readers()).await.during("read an invocation")?;
        Ok(row.as_ref().map(row_of))
    }

    async fn stream(&self, stream: &StreamKey) -> Result<StoredStream> {
        let mut connection = self.readers().acquire().await.during("read a stream of build events")?;
        events::position(&mut connection, stream).await
    }

    async fn list_invocations(&self, filter: InvocationFilter) -> Result<Vec<InvocationRow>> {
        let statuses = json(&filter.statuses)?;
        let query = if filter.instance.is_some() { LIST_OF_INSTANCE } else { LIST };
        let (created_ms, id) = filter.after.map(|after| (after.created_ms, after.id)).unzip();
        let rows = sqlx::query(query)
            .bind(filter.instance)
            .bind(statuses)
            .bind(filter.user)
            .bind(filter.text)
            .bind(created_ms)
            .bind(id)
            .bind(filter.limit)
            .fetch_all(self.readers())
            .await
            .during("list invocations")?;
        Ok(rows.iter().map(row_of).collect())
    }

    async fn silent(&self, now_ms: i64, limit: u32) -> Result<Vec<String>> {
        let query = sqlx::query(SILENT).bind(now_ms).bind(limit);
        let rows = query.fetch_all(self.readers()).await.during("look for silent invocations")?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn targets(&self, id: &str, filter: TargetFilter) -> Result<TargetPage> {
        targets::page(self, id, filter).await
    }

    async fn events(
        &self,
        instance: &str,
        build_id: &str,
        id: &str,
        after: EventPosition,
        limit: u32,
        max_bytes: usize,
    ) -> Result<EventPage> {
        events::page(self, [instance, build_id, id], after, limit, max_bytes).await
    }

    async fn outdated(&self, before_ms: i64, kept_max: u32, limit: u32) -> Result<Vec<String>> {
        forget::outdated(self, before_ms, kept_max, limit).await
    }

    async fn forget(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.write("forget an invocation", move |connection| Box::pin(forget::invocation(connection, id))).await
    }

    async fn forget_builds(&self, before_ms: i64) -> Result<()> {
        self.write("forget old builds", move |connection| Box::pin(forget::builds(connection, before_ms))).await
    }
}

/// Whether something was told.
async fn commit(connection: &mut SqliteConnection, change: InvocationChange) -> Result<bool> {
    let last = events::position(connection, &change.stream).await?.last_sequence;
    if change.events.first().is_some_and(|first| first.sequence != last + 1) {
        return Err(Error::Conflict(format!("the stream of events has come to {last} meanwhile")));
    }
    events::put(connection, &change).await?;
    if let Some(row) = change.row {
        sqlx::query(PUT)
            .bind(row.id)
            .bind(row.instance)
            .bind(row.build_id)
            .bind(row.status)
            .bind(row.complete)
            .bind(row.created_ms)
            .bind(row.updated_ms)
            .bind(row.timeout_ms)
            .bind(row.user)
            .bind(row.search)
            .bind(row.events_bytes)
            .bind(row.summary)
            .bind(row.document)
            .execute(&mut *connection)
            .await
            .during("store an invocation")?;
    }
    targets::put(connection, &change.stream.invocation_id, change.targets).await?;
    outbox::put(connection, &change.told).await
}

/// Whether something was told.
async fn update(connection: &mut SqliteConnection, row: InvocationRow, told: Vec<NewEvent>) -> Result<bool> {
    let updated = sqlx::query(UPDATE)
        .bind(row.id)
        .bind(row.status)
        .bind(row.complete)
        .bind(row.updated_ms)
        .bind(row.timeout_ms)
        .bind(row.user)
        .bind(row.search)
        .bind(row.events_bytes)
        .bind(row.summary)
        .bind(row.document)
        .execute(&mut *connection)
        .await
        .during("store an invocation")?;
    if updated.rows_affected() == 0 {
        return Ok(false);
    }
    outbox::put(connection, &told).await
}

fn row_of(row: &SqliteRow) -> InvocationRow {
    InvocationRow {
        id: row.get(0),
        instance: row.get(1),
        build_id: row.get(2),
        status: row.get(3),
        complete: row.get(4),
        created_ms: row.get(5),
        updated_ms: row.get(6),
        timeout_ms: row.get(7),
        user: row.get(8),
        search: row.get(9),
        events_bytes: row.get(10),
        summary: row.get(11),
        document: row.get(12),
    }
}

/// A list of statuses for a query; none stands for all.
fn json(statuses: &[i32]) -> Result<Option<String>> {
    if statuses.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(statuses).during("list statuses").map(Some)
}
