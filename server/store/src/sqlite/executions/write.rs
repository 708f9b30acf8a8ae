//! A bundle of changes as few statements.

use millrace_engine::error::Result;
use millrace_engine::execution::store::Change;
use sqlx::query_builder::Separated;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::rows::{spec_text, standing_text};
use crate::sqlite::error::During;
use crate::sqlite::outbox;

/// How many rows a statement has. Few sizes, so that each is prepared once.
const ROWS: [usize; 4] = [128, 16, 4, 1];

const INSERT: &str = "INSERT INTO executions (id, spec, standing) ";
const ON_CONFLICT: &str = " ON CONFLICT (id) DO UPDATE SET spec = excluded.spec, standing = excluded.standing";
const UPDATE: &str = "UPDATE executions SET standing = news.column2 FROM (";
const UPDATE_WHERE: &str = ") AS news WHERE executions.id = news.column1";
const DELETE: &str = "DELETE FROM executions WHERE id IN (";
const FINISH: &str = "INSERT INTO finished_executions
    (id, instance, action_hash, invocation_id, finished_ms, status_code, spec, standing, response) ";
const FINISH_AGAIN: &str = " ON CONFLICT (id) DO NOTHING";

/// Changes, ready to be written.
#[derive(Default)]
pub struct Bundle {
    inserts: Vec<(Id, String, String)>,
    updates: Vec<(Id, String)>,
    finishes: Vec<Finished>,
    /// How many events, and they.
    told: (usize, String),
}

type Id = Vec<u8>;

struct Finished {
    id: Id,
    instance: String,
    action_hash: String,
    invocation_id: String,
    at_ms: i64,
    status_code: i32,
    spec: String,
    standing: String,
    response: Vec<u8>,
}

impl Bundle {
    /// The rows of the changes.
    pub fn of(changes: &[Change]) -> Result<Self> {
        let mut bundle = Self::default();
        for change in changes {
            match change {
                Change::Insert(record) => {
                    let row = (bytes(record.id), spec_text(&record.spec)?, standing_text(&record.standing)?);
                    bundle.inserts.push(row);
                }
                Change::Update(id, standing) => bundle.updates.push((bytes(*id), standing_text(standing)?)),
                Change::Finish(record) => bundle.finishes.push(Finished {
                    id: bytes(record.id),
                    instance: record.spec.instance.to_string(),
                    action_hash: record.spec.action.hex(),
                    invocation_id: record.spec.invocation_id.clone(),
                    at_ms: record.finished_ms,
                    status_code: record.status_code,
                    spec: spec_text(&record.spec)?,
                    standing: standing_text(&record.standing)?,
                    response: record.response.to_vec(),
                }),
                Change::Tell(events) => {
                    bundle.told.0 += events.len();
                    bundle.told.1 += &outbox::body(events);
                }
            }
        }
        Ok(bundle)
    }

    /// Whether something is told.
    pub fn tells(&self) -> bool {
        self.told.0 > 0
    }

    /// Writes them.
    pub async fn write(self, connection: &mut SqliteConnection) -> Result<()> {
        let finished: Vec<Id> = self.finishes.iter().map(|row| row.id.clone()).collect();
        each(connection, self.inserts, |rows| {
            let mut query = QueryBuilder::new(INSERT);
            query.push_values(rows, |mut row, (id, spec, standing)| {
                row.push_bind(id).push_bind(spec).push_bind(standing);
            });
            query.push(ON_CONFLICT);
            query
        })
        .await?;
        each(connection, self.updates, |rows| {
            let mut query = QueryBuilder::new(UPDATE);
            query.push_values(rows, |mut row, (id, standing)| {
                row.push_bind(id).push_bind(standing);
            });
            query.push(UPDATE_WHERE);
            query
        })
        .await?;
        each(connection, finished, |rows| {
            let mut query = QueryBuilder::new(DELETE);
            let mut ids = query.separated(", ");
            for id in rows {
                ids.push_bind(id);
            }
            query.push(")");
            query
        })
        .await?;
        each(connection, self.finishes, |rows| {
            let mut query = QueryBuilder::new(FINISH);
            query.push_values(rows, bind_finished);
            query.push(FINISH_AGAIN);
            query
        })
        .await?;
        let (events, body) = self.told;
        if events == 0 { Ok(()) } else { outbox::put_written(connection, events, body).await }
    }
}

fn bind_finished(mut row: Separated<'_, Sqlite, &'static str>, finished: Finished) {
    row.push_bind(finished.id)
        .push_bind(finished.instance)
        .push_bind(finished.action_hash)
        .push_bind(finished.invocation_id)
        .push_bind(finished.at_ms)
        .push_bind(finished.status_code)
        .push_bind(finished.spec)
        .push_bind(finished.standing)
        .push_bind(finished.response);
}

/// Executes what `statement` makes of the rows, in pieces of few sizes.
async fn each<T>(
    connection: &mut SqliteConnection,
    mut rows: Vec<T>,
    statement: impl Fn(Vec<T>) -> QueryBuilder<Sqlite>,
) -> Result<()> {
    while let Some(size) = ROWS.into_iter().find(|size| *size <= rows.len()) {
        let piece = rows.split_off(rows.len() - size);
        statement(piece).build().execute(&mut *connection).await.during("write executions")?;
    }
    Ok(())
}

fn bytes(id: Uuid) -> Id {
    id.as_bytes().to_vec()
}
