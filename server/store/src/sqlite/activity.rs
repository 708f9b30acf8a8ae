//! Counts of the cache's use by instance and minute.

use async_trait::async_trait;
use millrace_engine::actions::activity::{ActivityCounts, ActivityMinute, ActivityStore};
use millrace_engine::error::Result;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::SqliteStore;
use super::error::During;

const ADD: &str = "INSERT INTO cache_activity (instance, minute, action_hits, action_misses, action_updates,
        blobs_present, blobs_missing, bytes_read, bytes_written, saved_ms, key_hits, key_misses)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (instance, minute) DO UPDATE SET
        action_hits = cache_activity.action_hits + excluded.action_hits,
        action_misses = cache_activity.action_misses + excluded.action_misses,
        action_updates = cache_activity.action_updates + excluded.action_updates,
        blobs_present = cache_activity.blobs_present + excluded.blobs_present,
        blobs_missing = cache_activity.blobs_missing + excluded.blobs_missing,
        bytes_read = cache_activity.bytes_read + excluded.bytes_read,
        bytes_written = cache_activity.bytes_written + excluded.bytes_written,
        saved_ms = cache_activity.saved_ms + excluded.saved_ms,
        key_hits = cache_activity.key_hits + excluded.key_hits,
        key_misses = cache_activity.key_misses + excluded.key_misses";
const NOTE_INSTANCE: &str = "INSERT INTO cache_instances (name, last_minute) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET last_minute = excluded.last_minute
    WHERE cache_instances.last_minute < excluded.last_minute";
const INSTANCES: &str = "SELECT name FROM cache_instances ORDER BY name LIMIT $1";
const PRUNE: &str = "DELETE FROM cache_activity WHERE minute < $1";
const PRUNE_INSTANCES: &str = "DELETE FROM cache_instances WHERE last_minute < $1";

/// The sums in the order in which [`counts_of`] reads them. CAST: PostgreSQL's sum of BIGINT is a NUMERIC.
macro_rules! sums {
    ($filter:literal) => {
        concat!(
            "SELECT (minute - $1) / $3 AS step, CAST(SUM(action_hits) AS BIGINT), CAST(SUM(action_misses) AS BIGINT),
                CAST(SUM(action_updates) AS BIGINT), CAST(SUM(blobs_present) AS BIGINT),
                CAST(SUM(blobs_missing) AS BIGINT), CAST(SUM(bytes_read) AS BIGINT),
                CAST(SUM(bytes_written) AS BIGINT), CAST(SUM(saved_ms) AS BIGINT), CAST(SUM(key_hits) AS BIGINT),
                CAST(SUM(key_misses) AS BIGINT)
            FROM cache_activity WHERE minute >= $1 AND minute < $2",
            $filter,
            " GROUP BY (minute - $1) / $3 ORDER BY step"
        )
    };
}

const SUMS: &str = sums!("");
const SUMS_OF_INSTANCE: &str = sums!(" AND instance = $4");

#[async_trait]
impl ActivityStore for SqliteStore {
    async fn add(&self, minutes: Vec<ActivityMinute>) -> Result<()> {
        if minutes.is_empty() {
            return Ok(());
        }
        self.write("store the cache's activity", move |connection| Box::pin(add(connection, minutes))).await
    }

    async fn sums(
        &self,
        instance: Option<&str>,
        first_minute: i64,
        end_minute: i64,
        step_minutes: i64,
    ) -> Result<Vec<(i64, ActivityCounts)>> {
        let query = sqlx::query(if instance.is_some() { SUMS_OF_INSTANCE } else { SUMS });
        let mut query = query.bind(first_minute).bind(end_minute).bind(step_minutes);
        if let Some(instance) = instance {
            query = query.bind(instance);
        }
        let rows = query.fetch_all(self.readers()).await.during("read the cache's activity")?;
        Ok(rows.iter().map(|row| (row.get(0), counts_of(row))).collect())
    }

    async fn instances(&self, limit: u32) -> Result<Vec<String>> {
        let rows = sqlx::query(INSTANCES).bind(limit).fetch_all(self.readers()).await.during("list instances")?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn prune(&self, before_minute: i64) -> Result<()> {
        self.write("forget old activity of the cache", move |connection| {
            Box::pin(async move {
                for statement in [PRUNE, PRUNE_INSTANCES] {
                    let query = sqlx::query(statement).bind(before_minute);
                    query.execute(&mut *connection).await.during("forget old activity of the cache")?;
                }
                Ok(())
            })
        })
        .await
    }
}

async fn add(connection: &mut SqliteConnection, minutes: Vec<ActivityMinute>) -> Result<()> {
    for ActivityMinute { instance, minute, counts } in minutes {
        sqlx::query(ADD)
            .bind(&instance)
            .bind(minute)
            .bind(counts.action_hits as i64)
            .bind(counts.action_misses as i64)
            .bind(counts.action_updates as i64)
            .bind(counts.blobs_present as i64)
            .bind(counts.blobs_missing as i64)
            .bind(counts.bytes_read as i64)
            .bind(counts.bytes_written as i64)
            .bind(counts.saved_ms as i64)
            .bind(counts.key_hits as i64)
            .bind(counts.key_misses as i64)
            .execute(&mut *connection)
            .await
            .during("store the cache's activity")?;
        let query = sqlx::query(NOTE_INSTANCE).bind(&instance).bind(minute);
        query.execute(&mut *connection).await.during("note an instance")?;
    }
    Ok(())
}

fn counts_of(row: &SqliteRow) -> ActivityCounts {
    let count = |index: usize| row.get::<i64, _>(index) as u64;
    ActivityCounts {
        action_hits: count(1),
        action_misses: count(2),
        action_updates: count(3),
        blobs_present: count(4),
        blobs_missing: count(5),
        bytes_read: count(6),
        bytes_written: count(7),
        saved_ms: count(8),
        key_hits: count(9),
        key_misses: count(10),
    }
}
