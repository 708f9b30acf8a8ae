//! What is known of runners and registration tokens, and what is needed of a store for it. Tokens come here as hashes
//! only.

use async_trait::async_trait;
use millrace_proto::platform_properties::Properties;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// A runner as the server holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// Its number on this server; given by the store.
    pub id: i64,
    /// Its lasting identity.
    pub uuid: String,
    /// Its name, for people; names need not differ.
    pub name: String,
    /// The agent's version.
    pub version: String,
    /// What it serves.
    pub labels: Vec<String>,
    /// linux, darwin, windows; empty: never declared.
    pub os: String,
    /// amd64, arm64.
    pub arch: String,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// Finishes what it has and gets nothing new.
    pub draining: bool,
    /// Leaves after one task.
    pub ephemeral: bool,
    /// What it offers to actions of remote execution.
    #[serde(default)]
    pub properties: Properties,
    /// It runs actions of remote execution.
    #[serde(default)]
    pub runs_actions: bool,
    /// Unix milliseconds.
    pub registered_ms: i64,
    /// Unix milliseconds.
    pub last_seen_ms: i64,
    /// It was told that it is there: see [`RunnerStore::note_presence`].
    #[serde(default)]
    pub told_online: bool,
}

/// A runner that is being registered.
#[derive(Clone, Debug)]
pub struct NewRunner {
    /// What is to be stored; its id is ignored.
    pub runner: Runner,
    /// The SHA-256 of the runner token, hex.
    pub token_hash: String,
}

/// What an agent says at its start.
#[derive(Clone, Debug, Default)]
pub struct Declaration {
    /// The agent's version.
    pub version: String,
    /// What it serves; empty: as registered.
    pub labels: Vec<String>,
    /// linux, darwin, windows.
    pub os: String,
    /// amd64, arm64.
    pub arch: String,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// What it offers to actions of remote execution.
    pub properties: Properties,
    /// It runs actions of remote execution.
    pub runs_actions: bool,
}

/// A token to register runners with.
#[derive(Clone, Debug)]
pub struct RegistrationToken {
    /// The SHA-256 of the token, hex.
    pub hash: String,
    /// It may be used more than once.
    pub reusable: bool,
    /// Unix milliseconds.
    pub expires_ms: i64,
}

/// Runners and registration tokens.
#[async_trait]
pub trait RunnerStore: Send + Sync + 'static {
    /// Stores a registration token; one with the same hash is replaced.
    async fn put_registration_token(&self, token: RegistrationToken) -> Result<()>;

    /// Uses a registration token, stores the runner and tells of it in one transaction. `Unauthenticated` when there is no such
    /// token, it was used up, or its time is over.
    async fn register(&self, token_hash: &str, new: NewRunner, now_ms: i64) -> Result<Runner>;

    /// Takes an agent's declaration; `NotFound` for an unknown runner.
    async fn declare(&self, uuid: &str, declaration: Declaration, now_ms: i64) -> Result<Runner>;

    /// The runner with this token.
    async fn by_token(&self, token_hash: &str) -> Result<Option<Runner>>;

    /// All runners, by name.
    async fn list(&self) -> Result<Vec<Runner>>;

    /// Notes when runners were heard of: (uuid, Unix milliseconds).
    async fn seen(&self, seen: Vec<(String, i64)>) -> Result<()>;

    /// Notes who is there and who is not, (uuid, whether it is), and tells of those of whom something else was noted. A
    /// new runner is not noted to be there.
    async fn note_presence(&self, online: Vec<(String, bool)>, now_ms: i64) -> Result<()>;

    /// Sets or takes back the drain; `NotFound` for an unknown runner.
    async fn set_draining(&self, uuid: &str, draining: bool, now_ms: i64) -> Result<Runner>;

    /// Forgets a runner; `NotFound` for an unknown one.
    async fn remove(&self, uuid: &str, now_ms: i64) -> Result<()>;
}
