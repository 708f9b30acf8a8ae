//! Events that wait to be told. A row has what one transaction tells; it is written by that transaction.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use millrace_engine::error::{Error, Result};
use millrace_engine::events::{EventOutbox, NewEvent, OutboxRow, lost};
use sqlx::{Row, SqliteConnection};
use tokio::sync::Notify;

use super::SqliteStore;
use super::error::During;

const PUT: &str = "INSERT INTO event_outbox (events, stands_for, body) VALUES ($1, $1, $2)";
const READ: &str = "SELECT id, events, body FROM event_outbox WHERE id > $1 ORDER BY id";
const NEWEST: &str = "SELECT MAX(id) FROM event_outbox";
const REMOVE: &str = "DELETE FROM event_outbox WHERE id < $1";
const REMOVE_OTHERS: &str = "DELETE FROM event_outbox WHERE id < $1 AND id NOT IN (SELECT value FROM json_each($2))";
const REMOVE_BETWEEN: &str = "DELETE FROM event_outbox WHERE id > $1 AND id < $2";
/// The last row is emptied and stays, so that its number is not given again.
const EMPTY: &str = "UPDATE event_outbox SET events = 0, stands_for = 0, body = '' WHERE id = $1";
const COUNT: &str = "SELECT COALESCE(SUM(events), 0) FROM event_outbox WHERE id > $1";
const SIZES: &str = "SELECT id, events, stands_for FROM event_outbox WHERE id > $1 ORDER BY id";
const LOSE: &str = "UPDATE event_outbox SET events = 1, stands_for = $2, body = $3 WHERE id = $1";

/// Writes events with whatever else the transaction writes; whether there were any.
pub async fn put(connection: &mut SqliteConnection, events: &[NewEvent]) -> Result<bool> {
    if events.is_empty() {
        return Ok(false);
    }
    put_written(connection, events.len(), body(events)).await.map(|()| true)
}

/// The same for events that were made a body before.
pub async fn put_written(connection: &mut SqliteConnection, events: usize, body: String) -> Result<()> {
    let query = sqlx::query(PUT).bind(events as i64).bind(body);
    query.execute(connection).await.during("tell of a change").map(|_| ())
}

/// Events as they are stored. Neither a project nor JSON has a line end in it.
pub fn body(events: &[NewEvent]) -> String {
    let mut body = String::with_capacity(events.iter().map(|event| event.project.len() + event.body.len() + 2).sum());
    for NewEvent { project, body: text } in events {
        // Writing to a string can't fail.
        let _ = writeln!(body, "{project}\n{text}");
    }
    body
}

#[async_trait]
impl EventOutbox for SqliteStore {
    async fn read(&self, after: u64, max_events: u32) -> Result<Vec<OutboxRow>> {
        let mut rows = sqlx::query(READ).bind(after as i64).fetch(self.readers());
        let (mut read, mut events) = (Vec::new(), 0);
        while events < i64::from(max_events) {
            let Some(row) = rows.try_next().await.during("read what is to be told")? else { break };
            events += row.get::<i64, _>(1);
            read.push(OutboxRow { id: row.get::<i64, _>(0) as u64, events: events_of(row.get(2))? });
        }
        Ok(read)
    }

    async fn newest(&self) -> Result<Option<u64>> {
        let query = sqlx::query_scalar(NEWEST);
        let newest: Option<i64> = query.fetch_one(self.readers()).await.during("read what is to be told")?;
        Ok(newest.map(|newest| newest as u64))
    }

    async fn remove(&self, up_to: u64, kept: &BTreeSet<u64>) -> Result<()> {
        let (empties, kept) = (!kept.contains(&up_to), serde_json::to_string(kept).map_err(Error::internal)?);
        self.write("remove what was told", move |connection| {
            Box::pin(async move {
                let remove = match kept.as_str() {
                    "[]" => sqlx::query(REMOVE).bind(up_to as i64),
                    _ => sqlx::query(REMOVE_OTHERS).bind(up_to as i64).bind(kept),
                };
                remove.execute(&mut *connection).await.during("remove what was told")?;
                if empties {
                    let empty = sqlx::query(EMPTY).bind(up_to as i64);
                    empty.execute(&mut *connection).await.during("remove what was told")?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn put(&self, events: Vec<NewEvent>) -> Result<()> {
        let told = self
            .write("tell of something", move |connection| Box::pin(async move { put(connection, &events).await }))
            .await?;
        self.told(told);
        Ok(())
    }

    async fn shorten(&self, after: u64, max_events: u64, now_ms: i64) -> Result<Option<u64>> {
        let after = after as i64;
        let query = sqlx::query_scalar(COUNT).bind(after);
        let count: i64 = query.fetch_one(self.readers()).await.during("count what is to be told")?;
        if count as u64 <= max_events {
            return Ok(None);
        }
        self.write("give up events", move |connection| Box::pin(shorten(connection, after, max_events as i64, now_ms)))
            .await
    }

    fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.inner.news)
    }
}

async fn shorten(connection: &mut SqliteConnection, after: i64, max_events: i64, now_ms: i64) -> Result<Option<u64>> {
    let query = sqlx::query_scalar(COUNT).bind(after);
    let mut left: i64 = query.fetch_one(&mut *connection).await.during("count what is to be told")?;
    let (mut gone, mut place) = (0, None);
    {
        let mut rows = sqlx::query(SIZES).bind(after).fetch(&mut *connection);
        // One more for what tells of those that go.
        while left + i64::from(place.is_some()) > max_events {
            let Some(row) = rows.try_next().await.during("count what is to be told")? else { break };
            place = Some(row.get::<i64, _>(0));
            left -= row.get::<i64, _>(1);
            gone += row.get::<i64, _>(2);
        }
    }
    let Some(place) = place else { return Ok(None) };
    let query = sqlx::query(REMOVE_BETWEEN).bind(after).bind(place);
    query.execute(&mut *connection).await.during("give up events")?;
    let query = sqlx::query(LOSE).bind(place).bind(gone).bind(body(&[lost("", gone as u64, now_ms)]));
    query.execute(&mut *connection).await.during("give up events")?;
    Ok(Some(gone as u64))
}

fn events_of(body: &str) -> Result<Vec<NewEvent>> {
    let mut lines = body.lines();
    let mut events = Vec::new();
    while let Some(project) = lines.next() {
        let body = lines.next().ok_or_else(|| Error::internal("an event that waits has no body"))?;
        events.push(NewEvent { project: project.to_owned(), body: body.to_owned() });
    }
    Ok(events)
}
