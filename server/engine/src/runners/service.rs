//! Runners come, say who they are, and go. Tokens are made and checked here; stores see their hashes only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::store::{Declaration, NewRunner, RegistrationToken, Runner, RunnerStore};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The longest runner name, in characters.
const NAME_MAX_CHARS: usize = 128;
/// The most labels of a runner.
const LABELS_MAX: usize = 64;
/// The longest label, in characters.
const LABEL_MAX_CHARS: usize = 128;
/// The most slots of a runner.
const SLOTS_MAX: u32 = 1_024;
/// How long a runner token that was good is taken for good without another look, in milliseconds: so long may one that
/// another process takes back still work. What this process changes counts at once.
const AUTHENTICATED_MS: i64 = 1_000;
/// How many of them are remembered.
const AUTHENTICATED_MAX: usize = 10_000;
/// How often at most it is written down that a runner was heard of, in milliseconds.
const SEEN_EVERY_MS: i64 = 10_000;
/// After how long a silent runner counts as offline, in milliseconds: a long poll and a pause.
pub const OFFLINE_AFTER_MS: i64 = 75_000;

/// The runners of a server.
pub struct Runners {
    store: Arc<dyn RunnerStore>,
    clock: Arc<dyn Clock>,
    opened_ms: i64,
    // When each was last written down as heard of. Held for map operations only.
    seen: Mutex<HashMap<String, i64>>,
    // Who had which token, by its hash, and when that was looked up. An agent calls thousands of times a second. Held for
    // map operations only.
    authenticated: Mutex<Authenticated>,
}

#[derive(Default)]
struct Authenticated {
    // Counts what was changed: what was read before a change is not remembered after it.
    changes: u64,
    runners: HashMap<String, (Runner, i64)>,
}

/// What an agent says to register.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// The registration token.
    pub token: String,
    /// The runner's name.
    pub name: String,
    /// The agent's version.
    pub version: String,
    /// What it serves.
    pub labels: Vec<String>,
    /// Leaves after one task.
    pub ephemeral: bool,
    /// How many tasks it takes at once.
    pub slots: u32,
}

impl Runners {
    /// Runners over a store.
    pub fn new(store: Arc<dyn RunnerStore>, clock: Arc<dyn Clock>) -> Self {
        let opened_ms = clock.now_ms();
        Self { store, clock, opened_ms, seen: Mutex::default(), authenticated: Mutex::default() }
    }

    /// Makes a registration token.
    pub async fn create_registration_token(&self, reusable: bool, ttl_ms: i64) -> Result<(String, i64)> {
        let token = new_secret("mrr");
        let expires_ms = self.clock.now_ms().saturating_add(ttl_ms);
        self.preset_registration_token(&token, reusable, expires_ms).await?;
        Ok((token, expires_ms))
    }

    /// Makes a given secret a registration token: for provisioning.
    pub async fn preset_registration_token(&self, token: &str, reusable: bool, expires_ms: i64) -> Result<()> {
        self.store.put_registration_token(RegistrationToken { hash: hash(token), reusable, expires_ms }).await
    }

    /// Makes a runner of a registration token; the answer's second part is the runner token.
    pub async fn register(&self, registration: Registration) -> Result<(Runner, String)> {
        check_name(&registration.name)?;
        check_labels(&registration.labels)?;
        let now = self.clock.now_ms();
        let token = new_secret("mrt");
        let runner = Runner {
            id: 0,
            uuid: Uuid::new_v4().to_string(),
            name: registration.name,
            version: registration.version,
            labels: registration.labels,
            slots: check_slots(registration.slots)?,
            ephemeral: registration.ephemeral,
            registered_ms: now,
            last_seen_ms: now,
            ..Default::default()
        };
        let new = NewRunner { runner, token_hash: hash(&token) };
        let runner = self.store.register(&hash(&registration.token), new, now).await?;
        Ok((runner, token))
    }

    /// Who has this runner token.
    pub async fn authenticate(&self, token: &str) -> Result<Runner> {
        let (hash, now) = (hash(token), self.clock.now_ms());
        let changes = {
            let known = self.known();
            match known.runners.get(&hash) {
                Some((runner, at)) if (0..AUTHENTICATED_MS).contains(&(now - at)) => return Ok(runner.clone()),
                _ => known.changes,
            }
        };
        let runner =
            self.store.by_token(&hash).await?.ok_or_else(|| {
                Error::Unauthenticated("token: no runner has this runner token; register again".into())
            })?;
        let mut known = self.known();
        if known.changes == changes {
            if known.runners.len() >= AUTHENTICATED_MAX {
                known.runners.clear();
            }
            known.runners.insert(hash, (runner.clone(), now));
        }
        Ok(runner)
    }

    fn known(&self) -> MutexGuard<'_, Authenticated> {
        self.authenticated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of runners is no longer true.
    fn forget(&self) {
        let mut known = self.known();
        known.changes += 1;
        known.runners.clear();
    }

    /// Takes an agent's declaration.
    pub async fn declare(&self, runner: &Runner, mut declaration: Declaration) -> Result<Runner> {
        check_labels(&declaration.labels)?;
        declaration.slots = check_slots(declaration.slots)?;
        if declaration.labels.is_empty() {
            declaration.labels.clone_from(&runner.labels);
        }
        let declared = self.store.declare(&runner.uuid, declaration, self.clock.now_ms()).await;
        self.forget();
        declared
    }

    /// A runner was heard of; written down now and then.
    pub async fn seen(&self, uuid: &str) -> Result<()> {
        let now = self.clock.now_ms();
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let last = seen.entry(uuid.to_owned()).or_insert(0);
            if now - *last < SEEN_EVERY_MS {
                return Ok(());
            }
            *last = now;
        }
        self.store.seen(vec![(uuid.to_owned(), now)]).await
    }

    /// All runners, by name.
    pub async fn list(&self) -> Result<Vec<Runner>> {
        self.store.list().await
    }

    /// Whether a runner counts as there.
    pub fn is_online(&self, runner: &Runner) -> bool {
        self.clock.now_ms() - runner.last_seen_ms < OFFLINE_AFTER_MS
    }

    /// Tells which of these runners have come or gone. To be called with all of them, every now and then.
    pub async fn tell_presence(&self, runners: &[Runner]) -> Result<()> {
        let now = self.clock.now_ms();
        let changed = |runner: &&Runner| {
            let online = self.is_online(runner);
            // While this server was away, it heard of nobody: that says nothing.
            let may_be_told = online || now - self.opened_ms >= OFFLINE_AFTER_MS;
            online != runner.told_online && may_be_told
        };
        let changed: Vec<(String, bool)> =
            runners.iter().filter(changed).map(|runner| (runner.uuid.clone(), !runner.told_online)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        self.store.note_presence(changed, now).await
    }

    /// Lets a runner finish what it has, or takes that back.
    pub async fn set_draining(&self, uuid: &str, draining: bool) -> Result<Runner> {
        let runner = self.store.set_draining(uuid, draining, self.clock.now_ms()).await;
        self.forget();
        runner
    }

    /// Forgets a runner.
    pub async fn remove(&self, uuid: &str) -> Result<()> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(uuid);
        let removed = self.store.remove(uuid, self.clock.now_ms()).await;
        self.forget();
        removed
    }
}

/// A new secret of 256 random bits behind a prefix that says what it is.
pub fn new_secret(prefix: &str) -> String {
    format!("{prefix}_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// What is stored of a secret: its SHA-256, hex. The secrets are random, so that no salt is needed.
pub fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_name(name: &str) -> Result<()> {
    let length = name.chars().count();
    if length == 0 || length > NAME_MAX_CHARS || name.chars().any(char::is_control) {
        return Err(Error::invalid("name", format!("must be 1 to {NAME_MAX_CHARS} printable characters")));
    }
    Ok(())
}

fn check_labels(labels: &[String]) -> Result<()> {
    if labels.len() > LABELS_MAX {
        return Err(Error::invalid(
            "labels",
            format!("{} are more than the {LABELS_MAX} a runner may have", labels.len()),
        ));
    }
    let bad = labels.iter().find(|label| {
        label.is_empty() || label.chars().count() > LABEL_MAX_CHARS || label.chars().any(|c| c.is_control() || c == ',')
    });
    match bad {
        Some(label) => Err(Error::invalid(
            "labels",
            format!("{label:?} must be 1 to {LABEL_MAX_CHARS} printable characters without a comma"),
        )),
        None => Ok(()),
    }
}

fn check_slots(slots: u32) -> Result<u32> {
    if slots > SLOTS_MAX {
        return Err(Error::invalid("slots", format!("{slots} is more than {SLOTS_MAX}")));
    }
    Ok(slots.max(1))
}
