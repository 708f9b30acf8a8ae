//! What is kept about API tokens: they carry their own rights (JWT), so only what takes them back is stored. Knows
//! nothing of signatures.

use async_trait::async_trait;

use crate::error::Result;

/// An API token that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    /// The token's id (`jti`).
    pub id: String,
    /// What it is for, for people.
    pub label: String,
    /// Its role.
    pub role: String,
    /// Its project; empty: all.
    pub project: String,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Unix milliseconds.
    pub expires_ms: i64,
    /// It was taken back.
    pub revoked: bool,
}

/// Issued API tokens and one-time login links.
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// Notes a token that was made.
    async fn issued(&self, token: IssuedToken) -> Result<()>;

    /// All tokens, newest first.
    async fn list_tokens(&self) -> Result<Vec<IssuedToken>>;

    /// Takes a token back; `NotFound` for an unknown one.
    async fn revoke(&self, id: &str) -> Result<()>;

    /// Whether a token is known and good: issued here and not taken back.
    async fn is_good(&self, id: &str) -> Result<bool>;

    /// Stores a login link by the hash of its secret.
    async fn put_login_link(&self, hash: &str, expires_ms: i64) -> Result<()>;

    /// Uses a login link up; whether it was good.
    async fn use_login_link(&self, hash: &str, now_ms: i64) -> Result<bool>;
}
