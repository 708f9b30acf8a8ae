//! The action cache: results by the digest of their action. A result is a hit only while every blob it names is here, and
//! a hit is a use of all of them.
//!
//! What is found incomplete stays where it is: the blobs may come back (a client that heals uploads them again), a new
//! result replaces it anyway, and dropping it here could drop the new one. Not used, it goes by itself.

use std::collections::HashSet;
use std::sync::Arc;

use buffa::Message;
use bytes::{BufMut, Bytes, BytesMut};
use millrace_proto::digest::{Digest, HASH_MAX_BYTES};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::ActionResult;

use super::activity::{ActionEvent, CacheActivity, SeenAction};
use super::closures::{Closures, TREE_MESSAGE_MAX_BYTES, Top};
use super::executed::executed_ms;
use super::inline::Inline;
use super::outputs::{Outputs, carried};
use super::walk::TREE_NODES_MAX;
use crate::blobs::{BlobRoom, Encoding, EntryKey, EntryStore, NewBlob, Space};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The largest result, in bytes: it has to fit in a message of 4 MiB.
pub const ACTION_RESULT_MAX_BYTES: usize = 4 * 1024 * 1024 - 64 * 1024;

/// What an operator decides.
#[derive(Clone, Debug, Default)]
pub struct ActionCacheOptions {
    /// A result that names blobs which are not here is refused when it is stored, instead of being a miss later.
    pub check_outputs_on_update: bool,
}

/// What a client said about the call (RequestMetadata), for people.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// `action_mnemonic`.
    pub mnemonic: String,
    /// `target_id`.
    pub target: String,
}

/// Results of actions.
pub struct ActionCache {
    entries: Arc<dyn EntryStore>,
    room: Arc<BlobRoom>,
    closures: Closures,
    activity: Arc<CacheActivity>,
    clock: Arc<dyn Clock>,
    options: ActionCacheOptions,
}

impl ActionCache {
    /// A cache whose results are entries and whose outputs are in the room.
    pub fn new(
        entries: Arc<dyn EntryStore>,
        room: Arc<BlobRoom>,
        activity: Arc<CacheActivity>,
        clock: Arc<dyn Clock>,
        options: ActionCacheOptions,
    ) -> Self {
        let closures = Closures::new(Arc::clone(&room));
        Self { entries, room, closures, activity, clock, options }
    }

    /// The result of an action, if it is known and all it names is here; that is a use of all of it. The size of the
    /// action's digest does not matter.
    pub async fn get(
        &self,
        instance: &InstanceName,
        action: &Digest,
        inline: &Inline,
        origin: Origin,
    ) -> Result<Option<ActionResult>> {
        let Some((value, mut result)) = self.look_up(instance, action).await? else {
            self.note(instance, action, ActionEvent::Miss, &ActionResult::default(), origin);
            return Ok(None);
        };
        self.note(instance, action, ActionEvent::Hit, &result, origin);
        let left = ACTION_RESULT_MAX_BYTES.saturating_sub(value.len());
        inline.fill(&self.room, instance, action.function(), &mut result, left as u64).await;
        Ok(Some(with_metadata(result)))
    }

    /// The same as it was stored.
    pub async fn get_bytes(&self, instance: &InstanceName, action: &Digest, origin: Origin) -> Result<Option<Bytes>> {
        let Some((value, result)) = self.look_up(instance, action).await? else {
            self.note(instance, action, ActionEvent::Miss, &ActionResult::default(), origin);
            return Ok(None);
        };
        self.note(instance, action, ActionEvent::Hit, &result, origin);
        Ok(Some(value))
    }

    /// Stores a result, durable when this returns; gives it back as a later `get` without anything inline would. Neither
    /// the Action nor its Command need be here: clients that only cache don't upload them.
    pub async fn update(
        &self,
        instance: &InstanceName,
        action: &Digest,
        result: ActionResult,
        origin: Origin,
    ) -> Result<ActionResult> {
        // Fields that are not known here are in the message, and so in these bytes.
        let value = Bytes::from(result.encode_to_vec());
        self.store(instance, action, value, &result, origin).await?;
        Ok(with_metadata(result))
    }

    /// The same for a result as bytes, which are kept as they are.
    pub async fn update_bytes(
        &self,
        instance: &InstanceName,
        action: &Digest,
        value: Bytes,
        origin: Origin,
    ) -> Result<()> {
        check_len(value.len())?;
        let result = ActionResult::decode(&mut value.clone())
            .map_err(|error| Error::invalid("action_result", format!("not an ActionResult message: {error}")))?;
        self.store(instance, action, value, &result, origin).await
    }

    async fn store(
        &self,
        instance: &InstanceName,
        action: &Digest,
        value: Bytes,
        result: &ActionResult,
        origin: Origin,
    ) -> Result<()> {
        check_len(value.len())?;
        let outputs = Outputs::of(action.function(), result)?;
        if let Some(tree) = outputs.trees.iter().find(|tree| tree.size() > TREE_MESSAGE_MAX_BYTES) {
            let message = format!("{} bytes; the limit of a Tree is {TREE_MESSAGE_MAX_BYTES}", tree.size());
            return Err(Error::invalid("action_result.output_directories.tree_digest", message));
        }
        self.keep_contents(instance, action, result).await?;
        if self.options.check_outputs_on_update && !self.is_here(instance, outputs).await? {
            return Err(Error::Precondition("action_result: not all outputs it names are in the cache".into()));
        }
        self.entries.put(&key(instance, action), value).await?;
        self.note(instance, action, ActionEvent::Stored, result, origin);
        Ok(())
    }

    /// Contents that came in the result and have a digest in it are made blobs: without them it would never be a hit, and
    /// some clients send them in no other way.
    pub(crate) async fn keep_contents(
        &self,
        instance: &InstanceName,
        action: &Digest,
        result: &ActionResult,
    ) -> Result<()> {
        let carried = carried(action.function(), result)?;
        if carried.is_empty() {
            return Ok(());
        }
        let mut blobs = Vec::with_capacity(carried.len());
        for (digest, data, field) in carried {
            if Digest::of(digest.function(), &data) != digest {
                return Err(Error::invalid(field, format!("not what the digest {digest} beside it says")));
            }
            blobs.push(NewBlob { digest, encoding: Encoding::Identity, data });
        }
        self.room.write_many(instance, blobs).await?.into_iter().collect()
    }

    /// The result as stored and decoded, if all it names is here. One read of an entry, one look for all blobs.
    async fn look_up(&self, instance: &InstanceName, action: &Digest) -> Result<Option<(Bytes, ActionResult)>> {
        let Some(value) = self.entries.get(&key(instance, action)).await? else { return Ok(None) };
        let decoded = ActionResult::decode(&mut value.clone()).map_err(|error| error.to_string());
        let parsed = decoded.and_then(|result| match Outputs::of(action.function(), &result) {
            Ok(outputs) => Ok((result, outputs)),
            Err(error) => Err(error.to_string()),
        });
        let (result, outputs) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                tracing::warn!(%instance, %action, %error, "a stored action result is no use; it is a miss");
                return Ok(None);
            }
        };
        Ok(self.is_here(instance, outputs).await?.then_some((value, result)))
    }

    /// Whether all blobs are here, with what Trees and Directories name. That is a use of them.
    async fn is_here(&self, instance: &InstanceName, outputs: Outputs) -> Result<bool> {
        let (mut blobs, mut seen) = (outputs.blobs, HashSet::new());
        for (kind, tops) in [(Top::Tree, outputs.trees), (Top::Directory, outputs.roots)] {
            for top in tops {
                // One that is named again and again is looked at once.
                if !seen.insert((kind, top)) {
                    continue;
                }
                let Some(closure) = self.closures.of(instance, &top, kind).await? else { return Ok(false) };
                if blobs.len() + closure.len() > TREE_NODES_MAX {
                    tracing::warn!(%instance, limit = TREE_NODES_MAX, "a result names too many blobs; it is a miss");
                    return Ok(false);
                }
                blobs.push(top);
                blobs.extend_from_slice(&closure);
            }
        }
        Ok(blobs.is_empty() || self.room.find_missing(instance, &blobs).await?.is_empty())
    }

    fn note(&self, instance: &InstanceName, action: &Digest, event: ActionEvent, result: &ActionResult, said: Origin) {
        self.activity.action(SeenAction {
            instance: instance.clone(),
            digest: *action,
            time_ms: self.clock.now_ms(),
            event,
            exit_code: result.exit_code,
            outputs: (result.output_files.len() + result.output_directories.len()) as u32,
            executed_ms: executed_ms(result),
            mnemonic: said.mnemonic,
            target: said.target,
        });
    }
}

fn check_len(len: usize) -> Result<()> {
    if len > ACTION_RESULT_MAX_BYTES {
        let message = format!("{len} bytes; the limit of a result is {ACTION_RESULT_MAX_BYTES}");
        return Err(Error::invalid("action_result", message));
    }
    Ok(())
}

/// Clients rely on it being set.
fn with_metadata(mut result: ActionResult) -> ActionResult {
    result.execution_metadata.get_or_insert_default();
    result
}

/// The function and the hash. Not the size: over HTTP only the hash is said.
fn key(instance: &InstanceName, action: &Digest) -> EntryKey {
    let mut name = BytesMut::with_capacity(1 + HASH_MAX_BYTES);
    name.put_u8(action.function().wire() as u8);
    name.put_slice(action.hash());
    EntryKey { space: Space::Action, instance: instance.clone(), name: name.freeze() }
}
