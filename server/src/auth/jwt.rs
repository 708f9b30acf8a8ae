//! API tokens: JWTs signed with EdDSA, with role, project and expiry, that can be taken back. Knows nothing of HTTP.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use jsonwebtoken::{Algorithm, Header, Validation, decode, encode};
use millrace_engine::clock::Clock;
use millrace_engine::tokens::{IssuedToken, TokenStore};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keys::{self, Keys};
use super::{Caller, Role};

/// Who makes the tokens and whom they are for.
const ISSUER: &str = "millrace";
/// How far clocks may differ, in seconds.
const LEEWAY_SECONDS: u64 = 30;
/// The longest a token is good, in days.
pub const TTL_MAX_DAYS: u64 = 3_650;

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    role: String,
    #[serde(default)]
    project: String,
    iat: i64,
    exp: i64,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct Issue {
    /// What it is for, for people.
    pub label: String,
    /// What it may do.
    pub role: Role,
    /// The project it is for; empty: all.
    pub project: String,
    /// How long it is good, in milliseconds.
    pub ttl_ms: i64,
}

/// Makes and checks API tokens.
pub struct Tokens {
    keys: Keys,
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
}

impl Tokens {
    /// With the key of a data folder, which is made when there is none.
    pub fn open(data: &Path, store: Arc<dyn TokenStore>, clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Self { keys: keys::load_or_create(data)?, store, clock })
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn TokenStore> {
        &self.store
    }

    /// Makes a token; it is written down before it is handed out.
    pub async fn issue(&self, issue: Issue) -> Result<String> {
        let now = self.clock.now_ms();
        let issued = IssuedToken {
            id: Uuid::new_v4().to_string(),
            label: issue.label,
            role: issue.role.word().to_owned(),
            project: issue.project,
            created_ms: now,
            expires_ms: now + issue.ttl_ms,
            revoked: false,
        };
        let claims = Claims {
            iss: ISSUER.into(),
            aud: ISSUER.into(),
            sub: issued.label.clone(),
            jti: issued.id.clone(),
            role: issued.role.clone(),
            project: issued.project.clone(),
            iat: now / 1_000,
            exp: issued.expires_ms / 1_000,
        };
        let token = encode(&Header::new(Algorithm::EdDSA), &claims, &self.keys.signing)?;
        self.store.issued(issued).await?;
        Ok(token)
    }

    /// Who bears this token.
    pub async fn check(&self, token: &str) -> Caller {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_SECONDS;
        validation.set_audience(&[ISSUER]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        let claims = match decode::<Claims>(token, &self.keys.checking, &validation) {
            Ok(token) => token.claims,
            Err(error) => return Caller::Refused(format!("the token is not good: {error}")),
        };
        let Some(role) = Role::parse(&claims.role) else {
            return Caller::Refused(format!("the token has an unknown role: {}", claims.role));
        };
        match self.store.is_good(&claims.jti).await {
            Ok(true) => Caller::Token { label: claims.sub, role, project: claims.project },
            Ok(false) => Caller::Refused("the token was revoked".into()),
            Err(error) => Caller::Refused(format!("the token can't be checked now: {error}")),
        }
    }
}
