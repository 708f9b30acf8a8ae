//! Invocations that go.

use millrace_engine::error::Result;
use sqlx::{Row, SqliteConnection};

use crate::sqlite::SqliteStore;
use crate::sqlite::error::During;

const OLD: &str = "SELECT id FROM invocations WHERE updated_ms < $1
    UNION SELECT id FROM (SELECT id FROM invocations ORDER BY created_ms DESC, id DESC LIMIT -1 OFFSET $2)
    LIMIT $3";
const BUILD: &str = "SELECT instance, build_id FROM invocations WHERE id = $1";
/// $1: instance, $2: build, $3: invocation. What is said of the build goes with its last invocation.
const FORGET: [&str; 4] = [
    "DELETE FROM invocations WHERE id = $3 AND instance = $1 AND build_id = $2",
    "DELETE FROM invocation_targets WHERE invocation_id = $3 AND $1 = $1 AND $2 = $2",
    "DELETE FROM build_events WHERE instance = $1 AND build_id = $2 AND (invocation_id = $3 OR invocation_id = ''
        AND NOT EXISTS (SELECT 1 FROM invocations WHERE instance = $1 AND build_id = $2))",
    "DELETE FROM build_streams WHERE instance = $1 AND build_id = $2 AND (invocation_id = $3 OR invocation_id = ''
        AND NOT EXISTS (SELECT 1 FROM invocations WHERE instance = $1 AND build_id = $2))",
];
const OLD_BUILDS: &str = "SELECT instance, build_id FROM build_streams AS stream
    WHERE invocation_id = '' AND updated_ms < $1 AND NOT EXISTS (SELECT 1 FROM invocations
        WHERE invocations.instance = stream.instance AND invocations.build_id = stream.build_id)
    LIMIT $2";
/// So many builds are forgotten at a time.
const BUILDS_MAX: u32 = 100;

pub async fn outdated(store: &SqliteStore, before_ms: i64, kept_max: u32, limit: u32) -> Result<Vec<String>> {
    let query = sqlx::query(OLD).bind(before_ms).bind(kept_max).bind(limit);
    let rows = query.fetch_all(store.readers()).await.during("look for old invocations")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

pub async fn invocation(connection: &mut SqliteConnection, id: String) -> Result<()> {
    let query = sqlx::query(BUILD).bind(&id);
    let Some(row) = query.fetch_optional(&mut *connection).await.during("forget an invocation")? else { return Ok(()) };
    forget(connection, row.get(0), row.get(1), &id).await
}

pub async fn builds(connection: &mut SqliteConnection, before_ms: i64) -> Result<()> {
    let query = sqlx::query(OLD_BUILDS).bind(before_ms).bind(BUILDS_MAX);
    for row in query.fetch_all(&mut *connection).await.during("look for old builds")? {
        forget(connection, row.get(0), row.get(1), "").await?;
    }
    Ok(())
}

async fn forget(connection: &mut SqliteConnection, instance: &str, build_id: &str, id: &str) -> Result<()> {
    for statement in FORGET {
        let query = sqlx::query(statement).bind(instance).bind(build_id).bind(id);
        query.execute(&mut *connection).await.during("forget an invocation")?;
    }
    Ok(())
}
