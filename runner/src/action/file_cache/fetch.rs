//! Brings files from the CAS into the cache: small ones in batches, large ones as streams, each hashed before it counts.
//! Knows nothing of who waits for them.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::digest::{Digest, Hasher};
use millrace_proto::instance_name::InstanceName;

use super::folder::{Incoming, Written};
use super::{FileCache, Key, Pins};
use crate::action::cas::{BATCH_MAX_BYTES, Cas, CasError, batches};
use crate::action::error::{ActionError, Result};

/// Files beyond this are fetched alone, as streams.
const SMALL_MAX_BYTES: u64 = 1024 * 1024;
// A small file fits in a batch.
const _: () = assert!(SMALL_MAX_BYTES <= BATCH_MAX_BYTES);
/// How often a stream may come to other bytes than those of the digest.
const CORRUPT_TRIES: u32 = 3;

/// Which files are fetched together.
pub fn groups(keys: &[Key]) -> Vec<Vec<Key>> {
    let mut by_digest: HashMap<Digest, Vec<Key>> = HashMap::with_capacity(keys.len());
    for key in keys {
        by_digest.entry(key.digest).or_default().push(*key);
    }
    let (small, large): (Vec<_>, Vec<_>) = by_digest.keys().partition(|digest| digest.size() <= SMALL_MAX_BYTES);
    let groups = batches(small).into_iter().chain(large.into_iter().map(|digest| vec![digest]));
    groups.map(|digests| digests.iter().flat_map(|digest| by_digest[digest].iter().copied()).collect()).collect()
}

/// Fetches one of the groups.
pub async fn fetch(cache: &Arc<FileCache>, cas: &Cas, instance: &InstanceName, group: &[Key]) -> Result<Pins> {
    match group {
        [] => Ok(Pins::default()),
        [first, ..] if first.digest.size() > SMALL_MAX_BYTES => stream(cache, cas, instance, group).await,
        _ => batch(cache, cas, instance, group).await,
    }
}

async fn batch(cache: &Arc<FileCache>, cas: &Cas, instance: &InstanceName, group: &[Key]) -> Result<Pins> {
    let digests: HashSet<_> = group.iter().map(|key| key.digest).collect();
    // The empty blob is everywhere.
    let (empty, digests): (Vec<_>, Vec<_>) = digests.into_iter().partition(Digest::is_empty);
    let mut contents = if digests.is_empty() { HashMap::new() } else { cas.read_batch(instance, &digests).await? };
    contents.extend(empty.into_iter().map(|digest| (digest, Bytes::new())));
    let missing: Vec<_> = digests.into_iter().filter(|digest| !contents.contains_key(digest)).collect();
    if !missing.is_empty() {
        return Err(ActionError::Missing(missing));
    }
    let (cache, group) = (Arc::clone(cache), group.to_vec());
    blocking(move || {
        let stored = group.iter().map(|key| store(&cache, key, &contents[&key.digest]));
        cache.commit(all(&cache, stored).map_err(ActionError::local("the cache of input files"))?)
    })
    .await
}

/// All files, or none of them.
fn all(cache: &FileCache, files: impl Iterator<Item = std::io::Result<Written>>) -> std::io::Result<Vec<Written>> {
    let (mut good, mut failed) = (Vec::new(), None);
    for file in files {
        match file {
            Ok(file) => good.push(file),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let Some(error) = failed else { return Ok(good) };
    for file in &good {
        cache.folder.discard(file);
    }
    Err(error)
}

fn store(cache: &FileCache, key: &Key, content: &[u8]) -> std::io::Result<Written> {
    let mut incoming = cache.folder.begin()?;
    match incoming.write_all(content) {
        Ok(()) => cache.folder.end(incoming, *key),
        Err(error) => {
            cache.folder.abandon(incoming);
            Err(error)
        }
    }
}

async fn stream(cache: &Arc<FileCache>, cas: &Cas, instance: &InstanceName, group: &[Key]) -> Result<Pins> {
    let mut tries = 1;
    loop {
        match stream_once(cache, cas, instance, group).await {
            Err(CasError::Corrupt { digest, found }) if tries < CORRUPT_TRIES => {
                tracing::warn!("blobs/{digest}: the server sent {found}");
                tries += 1;
            }
            Err(CasError::NotFound(_)) => return Err(ActionError::Missing(vec![group[0].digest])),
            Err(error) => return Err(error.into()),
            Ok(written) => {
                let cache = Arc::clone(cache);
                return blocking(move || cache.commit(written)).await;
            }
        }
    }
}

async fn stream_once(
    cache: &Arc<FileCache>,
    cas: &Cas,
    instance: &InstanceName,
    group: &[Key],
) -> std::result::Result<Vec<Written>, CasError> {
    let digest = group[0].digest;
    let mut landing = Landing::begin(cache, group)?;
    let mut reader = cas.read(instance, digest).await;
    while let Some(bytes) = reader.next().await? {
        landing = landing.write(bytes).await?;
    }
    drop(reader);
    if landing.hasher.clone().finish() != digest {
        return Err(CasError::Corrupt { digest, found: format!("{} other bytes", digest.size()) });
    }
    landing.end(group)
}

/// The files of one digest while they come; removed when they come to nothing.
struct Landing {
    cache: Arc<FileCache>,
    files: Vec<Incoming>,
    hasher: Hasher,
}

impl Landing {
    fn begin(cache: &Arc<FileCache>, group: &[Key]) -> std::result::Result<Self, CasError> {
        let mut landing =
            Self { cache: Arc::clone(cache), files: Vec::new(), hasher: Hasher::new(group[0].digest.function()) };
        for _ in group {
            landing.files.push(cache.folder.begin().map_err(disk)?);
        }
        Ok(landing)
    }

    async fn write(mut self, bytes: Bytes) -> std::result::Result<Self, CasError> {
        let write = move || {
            self.hasher.update(&bytes);
            for file in &mut self.files {
                file.write_all(&bytes)?;
            }
            Ok(self)
        };
        tokio::task::spawn_blocking(write).await.map_err(|error| disk(std::io::Error::other(error)))?.map_err(disk)
    }

    fn end(mut self, group: &[Key]) -> std::result::Result<Vec<Written>, CasError> {
        let files = std::mem::take(&mut self.files);
        all(&self.cache, files.into_iter().zip(group).map(|(file, key)| self.cache.folder.end(file, *key)))
            .map_err(disk)
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        for file in self.files.drain(..) {
            self.cache.folder.abandon(file);
        }
    }
}

/// Takes it whole: it stands behind `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn disk(error: std::io::Error) -> CasError {
    CasError::Source(format!("the cache of input files: {error}"))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ActionError::Local(error.to_string()))?
}
