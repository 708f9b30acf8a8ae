//! Runners and the tokens they register with. Knows tokens as hashes only.

use async_trait::async_trait;
use millrace_engine::error::{Error, Result};
use millrace_engine::runners::{Declaration, NewRunner, RegistrationToken, Runner, RunnerStore, told};
use millrace_proto::platform_properties::Properties;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::SqliteStore;
use super::error::{During, is_duplicate};
use super::outbox;

/// The columns in the order in which [`runner_of`] reads them.
macro_rules! columns {
    () => {
        "id, uuid, name, version, labels, os, arch, slots, draining, ephemeral, registered_ms, last_seen_ms, properties, runs_actions, told_online"
    };
}

const PUT_TOKEN: &str = "INSERT INTO registration_tokens (hash, reusable, expires_ms) VALUES ($1, $2, $3)
    ON CONFLICT (hash) DO UPDATE SET reusable = excluded.reusable, expires_ms = excluded.expires_ms";
const TOKEN: &str = "SELECT reusable FROM registration_tokens WHERE hash = $1 AND expires_ms > $2";
/// Takes what is over along.
const DELETE_TOKENS: &str = "DELETE FROM registration_tokens WHERE (hash = $1 AND reusable = 0) OR expires_ms <= $2";
const INSERT: &str = concat!(
    "INSERT INTO runners (uuid, name, version, labels, os, arch, slots, draining, ephemeral, registered_ms, last_seen_ms, token_hash,
    properties, runs_actions)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING ",
    columns!()
);
const DECLARE: &str = concat!(
    "UPDATE runners SET version = $2, labels = COALESCE($3, labels), os = $4, arch = $5, slots = $6, last_seen_ms = $7,
    properties = $8, runs_actions = $9 WHERE uuid = $1 RETURNING ",
    columns!()
);
const BY_TOKEN: &str = concat!("SELECT ", columns!(), " FROM runners WHERE token_hash = $1");
const LIST: &str = concat!("SELECT ", columns!(), " FROM runners ORDER BY name, id");
const SEEN: &str = "UPDATE runners SET last_seen_ms = $2 WHERE uuid = $1 AND last_seen_ms < $2";
const PRESENCE: &str =
    concat!("UPDATE runners SET told_online = $2 WHERE uuid = $1 AND told_online <> $2 RETURNING ", columns!());
const DRAIN: &str =
    concat!("UPDATE runners SET draining = $2 WHERE uuid = $1 AND draining <> $2 RETURNING ", columns!());
const GET: &str = concat!("SELECT ", columns!(), " FROM runners WHERE uuid = $1");
const REMOVE: &str = concat!("DELETE FROM runners WHERE uuid = $1 RETURNING ", columns!());

#[async_trait]
impl RunnerStore for SqliteStore {
    async fn put_registration_token(&self, token: RegistrationToken) -> Result<()> {
        self.write("store a registration token", move |connection| {
            Box::pin(async move {
                let query = sqlx::query(PUT_TOKEN).bind(token.hash).bind(token.reusable).bind(token.expires_ms);
                query.execute(connection).await.during("store a registration token").map(|_| ())
            })
        })
        .await
    }

    async fn register(&self, token_hash: &str, new: NewRunner, now_ms: i64) -> Result<Runner> {
        let token_hash = token_hash.to_owned();
        let runner = self
            .write("register a runner", move |connection| Box::pin(register(connection, token_hash, new, now_ms)))
            .await?;
        self.told(true);
        Ok(runner)
    }

    async fn declare(&self, uuid: &str, declaration: Declaration, now_ms: i64) -> Result<Runner> {
        let uuid = uuid.to_owned();
        self.write("declare a runner", move |connection| {
            Box::pin(async move {
                let labels = if declaration.labels.is_empty() { None } else { Some(labels(&declaration.labels)?) };
                let query = sqlx::query(DECLARE)
                    .bind(&uuid)
                    .bind(declaration.version)
                    .bind(labels)
                    .bind(declaration.os)
                    .bind(declaration.arch)
                    .bind(declaration.slots)
                    .bind(now_ms)
                    .bind(properties(&declaration.properties)?)
                    .bind(declaration.runs_actions);
                known(query.fetch_optional(connection).await.during("declare a runner")?, &uuid)
            })
        })
        .await
    }

    async fn by_token(&self, token_hash: &str) -> Result<Option<Runner>> {
        let row =
            sqlx::query(BY_TOKEN).bind(token_hash).fetch_optional(self.readers()).await.during("read a runner")?;
        row.map(|row| runner_of(&row)).transpose()
    }

    async fn list(&self) -> Result<Vec<Runner>> {
        let rows = sqlx::query(LIST).fetch_all(self.readers()).await.during("list runners")?;
        rows.iter().map(runner_of).collect()
    }

    async fn seen(&self, seen: Vec<(String, i64)>) -> Result<()> {
        if seen.is_empty() {
            return Ok(());
        }
        self.write("note runners", move |connection| {
            Box::pin(async move {
                for (uuid, at_ms) in seen {
                    sqlx::query(SEEN).bind(uuid).bind(at_ms).execute(&mut *connection).await.during("note a runner")?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn note_presence(&self, online: Vec<(String, bool)>, now_ms: i64) -> Result<()> {
        let told = self
            .write("note who is there", move |connection| Box::pin(note_presence(connection, online, now_ms)))
            .await?;
        self.told(told);
        Ok(())
    }

    async fn set_draining(&self, uuid: &str, draining: bool, now_ms: i64) -> Result<Runner> {
        let uuid = uuid.to_owned();
        let (runner, told) =
            self.write("drain a runner", move |connection| Box::pin(drain(connection, uuid, draining, now_ms))).await?;
        self.told(told);
        Ok(runner)
    }

    async fn remove(&self, uuid: &str, now_ms: i64) -> Result<()> {
        let uuid = uuid.to_owned();
        self.write("remove a runner", move |connection| {
            Box::pin(async move {
                let query = sqlx::query(REMOVE).bind(&uuid);
                let runner = known(query.fetch_optional(&mut *connection).await.during("remove a runner")?, &uuid)?;
                outbox::put(connection, &[told::removed(&runner, now_ms)]).await
            })
        })
        .await?;
        self.told(true);
        Ok(())
    }
}

async fn register(
    connection: &mut SqliteConnection,
    token_hash: String,
    new: NewRunner,
    now_ms: i64,
) -> Result<Runner> {
    let query = sqlx::query(TOKEN).bind(&token_hash).bind(now_ms);
    if query.fetch_optional(&mut *connection).await.during("read a registration token")?.is_none() {
        return Err(Error::Unauthenticated("the registration token is unknown, used up or over".into()));
    }
    sqlx::query(DELETE_TOKENS)
        .bind(&token_hash)
        .bind(now_ms)
        .execute(&mut *connection)
        .await
        .during("use a registration token up")?;
    let runner = new.runner;
    let inserted = sqlx::query(INSERT)
        .bind(&runner.uuid)
        .bind(runner.name)
        .bind(runner.version)
        .bind(labels(&runner.labels)?)
        .bind(runner.os)
        .bind(runner.arch)
        .bind(runner.slots)
        .bind(runner.draining)
        .bind(runner.ephemeral)
        .bind(runner.registered_ms)
        .bind(runner.last_seen_ms)
        .bind(new.token_hash)
        .bind(properties(&runner.properties)?)
        .bind(runner.runs_actions)
        .fetch_one(&mut *connection)
        .await;
    if inserted.as_ref().is_err_and(is_duplicate) {
        return Err(Error::Conflict(format!("runner {} is registered already", runner.uuid)));
    }
    let runner = runner_of(&inserted.during("store a runner")?)?;
    outbox::put(connection, &[told::registered(&runner, now_ms)]).await?;
    Ok(runner)
}

/// Whether there was anything to tell.
async fn note_presence(connection: &mut SqliteConnection, online: Vec<(String, bool)>, now_ms: i64) -> Result<bool> {
    let mut events = Vec::new();
    for (uuid, online) in online {
        let query = sqlx::query(PRESENCE).bind(uuid).bind(online);
        if let Some(row) = query.fetch_optional(&mut *connection).await.during("note who is there")? {
            events.push(told::presence(&runner_of(&row)?, online, now_ms));
        }
    }
    outbox::put(connection, &events).await
}

/// The runner, and whether there was anything to tell.
async fn drain(connection: &mut SqliteConnection, uuid: String, draining: bool, now_ms: i64) -> Result<(Runner, bool)> {
    let query = sqlx::query(DRAIN).bind(&uuid).bind(draining);
    if let Some(row) = query.fetch_optional(&mut *connection).await.during("drain a runner")? {
        let runner = runner_of(&row)?;
        outbox::put(connection, &[told::draining(&runner, now_ms)]).await?;
        return Ok((runner, true));
    }
    // It is so already, or there is none.
    let query = sqlx::query(GET).bind(&uuid);
    Ok((known(query.fetch_optional(connection).await.during("read a runner")?, &uuid)?, false))
}

fn known(row: Option<SqliteRow>, uuid: &str) -> Result<Runner> {
    row.map_or_else(|| Err(unknown(uuid)), |row| runner_of(&row))
}

fn unknown(uuid: &str) -> Error {
    Error::NotFound(format!("runner {uuid}"))
}

fn labels(labels: &[String]) -> Result<String> {
    serde_json::to_string(labels).during("write labels")
}

fn properties(properties: &Properties) -> Result<String> {
    serde_json::to_string(properties).during("write properties")
}

fn runner_of(row: &SqliteRow) -> Result<Runner> {
    Ok(Runner {
        id: row.get(0),
        uuid: row.get(1),
        name: row.get(2),
        version: row.get(3),
        labels: serde_json::from_str(row.get(4)).during("read labels")?,
        os: row.get(5),
        arch: row.get(6),
        slots: row.get(7),
        draining: row.get(8),
        ephemeral: row.get(9),
        registered_ms: row.get(10),
        last_seen_ms: row.get(11),
        properties: serde_json::from_str(row.get(12)).during("read properties")?,
        runs_actions: row.get(13),
        told_online: row.get(14),
    })
}
