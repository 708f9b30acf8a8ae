//! API tokens: JWTs signed with EdDSA, with role, project and expiry, that can be taken back. Knows nothing of HTTP.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use jsonwebtoken::{Algorithm, Header, Validation, decode, encode};
use lru::LruCache;
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
/// How long a token that was good is taken for good without another look, in milliseconds: so long may one that is taken
/// back still work.
pub const RECHECK_MS: i64 = 1_000;
/// So many tokens are remembered.
const CHECKED_TOKENS_MAX: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
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
    /// Tokens that were found good, by themselves. Held for one look-up.
    checked: Mutex<LruCache<String, Checked>>,
}

/// A token that was found good.
struct Checked {
    caller: Caller,
    /// Until when it is taken for good unasked.
    until_ms: i64,
}

impl Tokens {
    /// With the key of a data folder, which is made when there is none.
    pub fn open(data: &Path, store: Arc<dyn TokenStore>, clock: Arc<dyn Clock>) -> Result<Self> {
        let checked = Mutex::new(LruCache::new(CHECKED_TOKENS_MAX));
        Ok(Self { keys: keys::load_or_create(data)?, store, clock, checked })
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

    /// Who bears this token. A good one is looked at again after [`RECHECK_MS`]: build tools send the same token with
    /// thousands of calls a second.
    pub async fn check(&self, token: &str) -> Caller {
        let now = self.clock.now_ms();
        let known = |checked: &mut LruCache<String, Checked>| {
            checked.get(token).filter(|found| now < found.until_ms).map(|found| found.caller.clone())
        };
        if let Some(caller) = known(&mut self.checked.lock().unwrap_or_else(PoisonError::into_inner)) {
            return caller;
        }
        let (caller, expires_ms) = self.look_at(token).await;
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        match caller {
            Caller::Token { .. } => {
                let until_ms = expires_ms.min(now + RECHECK_MS);
                checked.put(token.to_owned(), Checked { caller: caller.clone(), until_ms });
            }
            _ => {
                checked.pop(token);
            }
        }
        caller
    }

    /// Who bears this token, and until when it is good.
    async fn look_at(&self, token: &str) -> (Caller, i64) {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_SECONDS;
        validation.set_audience(&[ISSUER]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        let claims = match decode::<Claims>(token, &self.keys.checking, &validation) {
            Ok(token) => token.claims,
            Err(error) => return (Caller::Refused(format!("the token is not good: {error}")), 0),
        };
        let Some(role) = Role::parse(&claims.role) else {
            return (Caller::Refused(format!("the token has an unknown role: {}", claims.role)), 0);
        };
        let caller = match self.store.is_good(&claims.jti).await {
            Ok(true) => Caller::Token { label: claims.sub, role, project: claims.project },
            Ok(false) => Caller::Refused("the token was revoked".into()),
            Err(error) => Caller::Refused(format!("the token can't be checked now: {error}")),
        };
        (caller, claims.exp.saturating_mul(1_000))
    }
}
