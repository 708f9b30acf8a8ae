//! API tokens that were issued, and one-time login links. Knows neither a token nor a link's secret.

use async_trait::async_trait;
use millrace_engine::error::{Error, Result};
use millrace_engine::tokens::{IssuedToken, TokenStore};
use sqlx::Row;

use super::SqliteStore;
use super::error::{During, is_duplicate};

const INSERT: &str = "INSERT INTO api_tokens (id, label, role, project, created_ms, expires_ms, revoked)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const LIST: &str = "SELECT id, label, role, project, created_ms, expires_ms, revoked FROM api_tokens
    ORDER BY created_ms DESC, id DESC";
const REVOKE: &str = "UPDATE api_tokens SET revoked = 1 WHERE id = $1";
const GOOD: &str = "SELECT 1 FROM api_tokens WHERE id = $1 AND revoked = 0";
const PUT_LINK: &str = "INSERT INTO login_links (hash, expires_ms) VALUES ($1, $2)
    ON CONFLICT (hash) DO UPDATE SET expires_ms = excluded.expires_ms";
const USE_LINK: &str = "DELETE FROM login_links WHERE hash = $1 AND expires_ms > $2";
const DELETE_OLD_LINKS: &str = "DELETE FROM login_links WHERE expires_ms <= $1";

#[async_trait]
impl TokenStore for SqliteStore {
    async fn issued(&self, token: IssuedToken) -> Result<()> {
        self.write("store a token", move |connection| {
            Box::pin(async move {
                let inserted = sqlx::query(INSERT)
                    .bind(&token.id)
                    .bind(token.label)
                    .bind(token.role)
                    .bind(token.project)
                    .bind(token.created_ms)
                    .bind(token.expires_ms)
                    .bind(token.revoked)
                    .execute(connection)
                    .await;
                if inserted.as_ref().is_err_and(is_duplicate) {
                    return Err(Error::Conflict(format!("token {} is there already", token.id)));
                }
                inserted.during("store a token").map(|_| ())
            })
        })
        .await
    }

    async fn list_tokens(&self) -> Result<Vec<IssuedToken>> {
        let rows = sqlx::query(LIST).fetch_all(self.readers()).await.during("list tokens")?;
        let token = |row: sqlx::sqlite::SqliteRow| IssuedToken {
            id: row.get(0),
            label: row.get(1),
            role: row.get(2),
            project: row.get(3),
            created_ms: row.get(4),
            expires_ms: row.get(5),
            revoked: row.get(6),
        };
        Ok(rows.into_iter().map(token).collect())
    }

    async fn revoke(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.write("revoke a token", move |connection| {
            Box::pin(async move {
                let revoked = sqlx::query(REVOKE).bind(&id).execute(connection).await.during("revoke a token")?;
                if revoked.rows_affected() == 0 { Err(Error::NotFound(format!("token {id}"))) } else { Ok(()) }
            })
        })
        .await
    }

    async fn is_good(&self, id: &str) -> Result<bool> {
        let row = sqlx::query(GOOD).bind(id).fetch_optional(self.readers()).await.during("read a token")?;
        Ok(row.is_some())
    }

    async fn put_login_link(&self, hash: &str, expires_ms: i64) -> Result<()> {
        let hash = hash.to_owned();
        self.write("store a login link", move |connection| {
            Box::pin(async move {
                let query = sqlx::query(PUT_LINK).bind(hash).bind(expires_ms);
                query.execute(connection).await.during("store a login link").map(|_| ())
            })
        })
        .await
    }

    async fn use_login_link(&self, hash: &str, now_ms: i64) -> Result<bool> {
        let hash = hash.to_owned();
        self.write("use a login link", move |connection| {
            Box::pin(async move {
                let used = sqlx::query(USE_LINK)
                    .bind(hash)
                    .bind(now_ms)
                    .execute(&mut *connection)
                    .await
                    .during("use a login link")?;
                sqlx::query(DELETE_OLD_LINKS).bind(now_ms).execute(connection).await.during("tidy login links")?;
                Ok(used.rows_affected() > 0)
            })
        })
        .await
    }
}
