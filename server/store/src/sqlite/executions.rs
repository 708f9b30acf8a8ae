//! Executions: what is queued or held, and the history of what has ended. Changes come in bundles and are written with
//! statements of many rows each: the time that a statement takes does not depend much on how many it has.

mod rows;
mod write;

use async_trait::async_trait;
use millrace_engine::error::Result;
use millrace_engine::execution::store::{ActiveRecord, Change, ExecutionStore, FinishedQuery, FinishedRecord};
use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use super::SqliteStore;
use super::error::During;

const LOAD: &str = "SELECT id, spec, standing FROM executions ORDER BY id";
const FINISHED: &str = "SELECT id, spec, standing, finished_ms, status_code, response FROM finished_executions";
const FORGET: &str = "DELETE FROM finished_executions WHERE id = $1";
/// The time at which the first of those ended that are too many.
const KEPT_SINCE: &str = "SELECT finished_ms FROM finished_executions ORDER BY finished_ms DESC LIMIT 1 OFFSET $1";
const PRUNE: &str = "DELETE FROM finished_executions WHERE id IN
    (SELECT id FROM finished_executions WHERE finished_ms < $1 ORDER BY finished_ms LIMIT $2)";

#[async_trait]
impl ExecutionStore for SqliteStore {
    async fn load(&self) -> Result<Vec<ActiveRecord>> {
        let read = sqlx::query(LOAD).fetch_all(self.readers()).await.during("read the executions")?;
        read.iter().map(rows::active).collect()
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        // Made here, where nobody waits for it but who asked.
        let bundle = write::Bundle::of(&changes)?;
        let told = bundle.tells();
        self.write("write executions", move |connection| Box::pin(bundle.write(connection))).await?;
        self.told(told);
        Ok(())
    }

    async fn finished(&self, id: Uuid) -> Result<Option<FinishedRecord>> {
        let mut query = QueryBuilder::<Sqlite>::new(FINISHED);
        query.push(" WHERE id = ").push_bind(id.as_bytes().to_vec());
        let row = query.build().fetch_optional(self.readers()).await.during("read an execution")?;
        row.as_ref().map(rows::finished).transpose()
    }

    async fn list(&self, asked: FinishedQuery) -> Result<Vec<FinishedRecord>> {
        let mut query = QueryBuilder::<Sqlite>::new(FINISHED);
        query.push(" WHERE 1 = 1");
        if let Some(before) = asked.before {
            query.push(" AND id < ").push_bind(before.as_bytes().to_vec());
        }
        if !asked.action_hash.is_empty() {
            query.push(" AND action_hash = ").push_bind(asked.action_hash);
        }
        if !asked.invocation_id.is_empty() {
            // Said twice, so that the index is seen to be of use.
            query.push(" AND invocation_id <> '' AND invocation_id = ").push_bind(asked.invocation_id);
        }
        if let Some(instance) = asked.instance {
            query.push(" AND instance = ").push_bind(instance);
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(asked.limit));
        let read = query.build().fetch_all(self.readers()).await.during("list executions")?;
        read.iter().map(rows::finished).collect()
    }

    async fn forget(&self, id: Uuid) -> Result<bool> {
        self.write("forget an execution", move |connection| {
            Box::pin(async move {
                let query = sqlx::query(FORGET).bind(id.as_bytes().to_vec());
                let done = query.execute(connection).await.during("forget an execution")?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }

    async fn prune(&self, before_ms: i64, keep: u64, limit: u32) -> Result<u64> {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let query = sqlx::query_scalar(KEPT_SINCE).bind(keep);
        let beyond: Option<i64> = query.fetch_optional(self.readers()).await.during("read the history")?;
        let before_ms = beyond.map_or(before_ms, |beyond| before_ms.max(beyond.saturating_add(1)));
        self.write("forget old executions", move |connection| {
            Box::pin(async move {
                let query = sqlx::query(PRUNE).bind(before_ms).bind(limit);
                let done = query.execute(connection).await.during("forget old executions")?;
                Ok(done.rows_affected())
            })
        })
        .await
    }
}
