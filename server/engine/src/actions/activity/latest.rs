//! The actions that passed through the cache last: each once, with what happened to it last. In memory only.

use std::num::NonZeroUsize;

use lru::LruCache;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;

/// How many actions are remembered.
pub const LATEST_ACTIONS_MAX: usize = 512;
/// How much is kept of a text that a client sent along, in bytes.
const TEXT_MAX_BYTES: usize = 256;

/// What happened to an action last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionEvent {
    /// Asked for and found.
    Hit,
    /// Asked for and not found.
    Miss,
    /// Stored.
    Stored,
}

/// An action that passed through the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenAction {
    /// The instance.
    pub instance: InstanceName,
    /// The action's digest. Its size is 0 where only the hash was said (HTTP).
    pub digest: Digest,
    /// Unix milliseconds.
    pub time_ms: i64,
    /// What happened.
    pub event: ActionEvent,
    /// The exit code, of a hit or a stored result.
    pub exit_code: i32,
    /// Output files and directories, of a hit or a stored result.
    pub outputs: u32,
    /// How long it ran when it was executed, in milliseconds; 0: not said.
    pub executed_ms: u64,
    /// The mnemonic that the client sent along, or nothing.
    pub mnemonic: String,
    /// The target that the client sent along, or nothing.
    pub target: String,
}

/// A bounded memory of actions, the latest first.
pub struct Latest(LruCache<Key, SeenAction>);

/// Instance and digest, the size left out: not every door knows it.
type Key = (InstanceName, Digest);

impl Latest {
    /// Remembers nothing yet.
    pub fn new() -> Self {
        Self(LruCache::new(NonZeroUsize::new(LATEST_ACTIONS_MAX).unwrap_or(NonZeroUsize::MIN)))
    }

    /// Takes note of an action.
    pub fn see(&mut self, mut action: SeenAction) {
        truncate(&mut action.mnemonic);
        truncate(&mut action.target);
        let Ok(unsized_digest) = Digest::new(action.digest.function(), action.digest.hash(), 0) else { return };
        let key = (action.instance.clone(), unsized_digest);
        if action.digest.size() == 0
            && let Some(before) = self.0.peek(&key)
        {
            action.digest = before.digest;
        }
        self.0.put(key, action);
    }

    /// The latest of those that may be shown, the latest first.
    pub fn list(&self, shown: impl Fn(&InstanceName) -> bool, limit: usize) -> Vec<SeenAction> {
        self.0.iter().map(|(_, action)| action).filter(|action| shown(&action.instance)).take(limit).cloned().collect()
    }
}

fn truncate(text: &mut String) {
    if text.len() > TEXT_MAX_BYTES {
        text.truncate(text.floor_char_boundary(TEXT_MAX_BYTES));
    }
}
