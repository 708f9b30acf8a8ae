//! The mapping from URIs and qualifiers to digests: what was pushed, what was fetched before, and what has to be brought
//! in now. Knows no wire and dials nothing itself.

use std::sync::Arc;
use std::time::Duration;

use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use tokio::sync::Semaphore;

use super::directory;
use super::downloader::{Brought, Downloader, Fault, Upstream, Violation, Wanted};
use super::flights::{Ending, Flights};
use super::integrity::Integrity;
use super::landing::Landing;
use super::lookup::{Found, Lookup};
use super::qualifiers::{CHECKSUM, Qualifiers};
use super::record::{AssetKind, AssetRecord, asset_key};
use crate::blobs::{BlobRoom, EntryStore};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The most URIs of a request.
pub const URIS_MAX: usize = 100;
/// The longest URI, in bytes.
pub const URI_MAX_BYTES: usize = 8 * 1024;
/// How many downloads go on at once; the others wait.
const DOWNLOADS_MAX: usize = 64;
/// The most digests that are written down with an asset; for more, a directory is walked each time.
const CLOSURE_MAX: usize = 20_000;

/// Pushed and fetched assets.
pub struct Assets {
    parts: Parts,
    downloader: Option<Arc<dyn Downloader>>,
    /// The longest a download may take.
    timeout_max: Duration,
    flights: Flights,
    slots: Arc<Semaphore>,
}

/// What a flight takes along.
#[derive(Clone)]
struct Parts {
    room: Arc<BlobRoom>,
    entries: Arc<dyn EntryStore>,
    clock: Arc<dyn Clock>,
}

/// An asset to be remembered.
#[derive(Clone, Debug)]
pub struct Push {
    /// Whose.
    pub instance: InstanceName,
    /// A blob or a directory.
    pub kind: AssetKind,
    /// The names it gets; each will do.
    pub uris: Vec<String>,
    /// What else is said about it, to be said again when it is fetched.
    pub qualifiers: Qualifiers,
    /// From when on it is no longer given out, in Unix milliseconds.
    pub expire_ms: Option<i64>,
    /// The blob, or the root Directory.
    pub digest: Digest,
    /// Blobs that have to be there with it.
    pub blobs: Vec<Digest>,
    /// Roots of directories that have to be there with it.
    pub directories: Vec<Digest>,
}

/// An asset that is asked for.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// What. Its function counts when it has to be fetched.
    pub wanted: Wanted,
    /// Whether the request names the function; else an asset pushed with another one will do.
    pub function_named: bool,
    /// Nothing older than this, in Unix milliseconds.
    pub oldest_ms: Option<i64>,
    /// How long to wait for a download.
    pub timeout: Option<Duration>,
    /// Whether the caller may fill the cache.
    pub may_download: bool,
}

/// Why an asset was not found.
#[derive(Debug)]
pub enum FetchError {
    /// The request can't be what it is.
    Refused(Vec<Violation>),
    /// The other side is at fault.
    Upstream {
        /// The URI that was tried last.
        uri: String,
        /// What kind of fault.
        kind: Upstream,
        /// For people.
        message: String,
    },
    /// Ours, or the request's.
    Engine(Error),
}

impl From<Error> for FetchError {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// How a download ended.
pub(super) type Landed = std::result::Result<Found, FetchError>;

impl Assets {
    /// Over a room and its entries. Without a downloader only what was pushed is found.
    pub fn new(
        room: Arc<BlobRoom>,
        entries: Arc<dyn EntryStore>,
        clock: Arc<dyn Clock>,
        downloader: Option<Arc<dyn Downloader>>,
        timeout_max: Duration,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(DOWNLOADS_MAX));
        Self { parts: Parts { room, entries, clock }, downloader, timeout_max, flights: Flights::default(), slots }
    }

    /// Remembers an asset, in place of an earlier one of that name. All it refers to must be there.
    pub async fn push(&self, push: Push) -> Result<()> {
        check_uris(&push.uris)?;
        let mut needed = push.blobs.clone();
        let mut walk = Vec::new();
        match push.kind {
            AssetKind::Blob => needed.push(push.digest),
            AssetKind::Directory => walk.push(push.digest),
        }
        walk.extend(&push.directories);
        let (mut blobs, mut directories) = (push.blobs, Vec::new());
        for root in walk {
            let closure = directory::closure(&self.parts.room, &push.instance, root).await?;
            let closure = closure.ok_or_else(|| incomplete(&root))?;
            if blobs.len() + closure.len() > CLOSURE_MAX {
                directories.push(root);
            } else {
                blobs.extend(closure);
            }
        }
        if let Some(missing) = self.parts.room.find_missing(&push.instance, &needed).await?.first() {
            return Err(incomplete(missing));
        }
        let (digest, since_ms) = (push.digest, self.parts.clock.now_ms());
        let record = AssetRecord { digest, since_ms, expire_ms: push.expire_ms, blobs, directories };
        for uri in &push.uris {
            let key = asset_key(&push.instance, push.kind, digest.function(), uri, &push.qualifiers);
            self.parts.entries.put(&key, record.encode()?).await?;
        }
        Ok(())
    }

    /// Finds an asset, or brings it in.
    pub async fn fetch(&self, fetch: Fetch) -> Landed {
        let Fetch { wanted, oldest_ms, .. } = &fetch;
        check_uris(&wanted.uris)?;
        let lookup =
            Lookup { room: &self.parts.room, entries: &*self.parts.entries, now_ms: self.parts.clock.now_ms() };
        if let Some(found) = lookup.find(wanted, fetch.function_named, *oldest_ms).await? {
            return Ok(found);
        }
        let Some(downloader) = &self.downloader else { return Err(not_found(wanted).into()) };
        downloader.check(wanted).map_err(FetchError::Refused)?;
        if oldest_ms.is_none()
            && let Some(found) = self.by_checksum(wanted).await?
        {
            return Ok(found);
        }
        if !wanted.uris.iter().any(|uri| downloader.reaches(uri)) {
            return Err(not_found(wanted).into());
        }
        if !fetch.may_download {
            let message = "the asset is not in the cache, and to bring it in the role cache-write is needed";
            return Err(Error::Denied(message.into()).into());
        }
        let flight = self.flights.join(wanted, lookup.now_ms, *oldest_ms, || {
            let (parts, downloader, slots) = (self.parts.clone(), Arc::clone(downloader), Arc::clone(&self.slots));
            let (wanted, timeout) = (wanted.clone(), self.timeout_max);
            async move {
                let _slot = slots.acquire_owned().await;
                let brought = tokio::time::timeout(timeout, bring(&parts, &*downloader, &wanted)).await;
                brought.unwrap_or_else(|_| Err(late(&wanted, timeout)))
            }
        });
        let timeout = fetch.timeout.map_or(self.timeout_max, |asked| asked.min(self.timeout_max));
        // The flight has its own end; to those who asked for less, it is late before.
        match tokio::time::timeout(timeout, flight).await {
            Ok(Some(ending)) => copy(&ending),
            Ok(None) => Err(Error::Unavailable("the download was given up: the server is stopping".into()).into()),
            Err(_) => Err(late(wanted, timeout)),
        }
    }

    /// Content with the checksum may be here by another name.
    async fn by_checksum(&self, wanted: &Wanted) -> Result<Option<Found>> {
        let (AssetKind::Blob, Some(checksum)) = (wanted.kind, wanted.qualifiers.get(CHECKSUM)) else {
            return Ok(None);
        };
        let integrity = Integrity::parse(checksum)?;
        for hash in integrity.hashes(wanted.function) {
            let Some(digest) = self.parts.room.find(&wanted.instance, wanted.function, hash).await? else { continue };
            if self.parts.room.find_missing(&wanted.instance, &[digest]).await?.is_empty() {
                return Ok(Some(Found { uri: wanted.uris[0].clone(), digest, expire_ms: None }));
            }
        }
        Ok(None)
    }
}

/// Tries the URIs in order.
async fn bring(parts: &Parts, downloader: &dyn Downloader, wanted: &Wanted) -> Landed {
    let room = Arc::clone(&parts.room);
    let landing = Landing { room, instance: wanted.instance.clone(), function: wanted.function };
    let mut failed: Vec<(usize, Upstream, String)> = Vec::new();
    for (index, uri) in wanted.uris.iter().enumerate().filter(|(_, uri)| downloader.reaches(uri)) {
        let since_ms = parts.clock.now_ms();
        match downloader.bring(wanted, index, &landing).await {
            Ok(brought) => {
                remember(parts, wanted, uri, &brought, since_ms).await?;
                return Ok(Found { uri: uri.clone(), digest: brought.digest, expire_ms: None });
            }
            Err(Fault::Ours(error)) => return Err(error.into()),
            Err(Fault::Upstream(kind, message)) => failed.push((index, kind, message)),
        }
    }
    let Some((index, kind, _)) = failed.last() else { return Err(not_found(wanted).into()) };
    let (uri, kind) = (wanted.uris[*index].clone(), *kind);
    let messages: Vec<_> = failed.into_iter().map(|(_, _, message)| message).collect();
    Err(FetchError::Upstream { uri, kind, message: messages.join("; ") })
}

async fn remember(parts: &Parts, wanted: &Wanted, uri: &str, brought: &Brought, since_ms: i64) -> Result<()> {
    let digest = brought.digest;
    let (mut blobs, mut directories) = (brought.with.clone(), Vec::new());
    if blobs.len() > CLOSURE_MAX {
        blobs.clear();
        directories.push(digest);
    }
    let record = AssetRecord { digest, since_ms, expire_ms: None, blobs, directories };
    let key = asset_key(&wanted.instance, wanted.kind, digest.function(), uri, &wanted.qualifiers);
    parts.entries.put(&key, record.encode()?).await
}

fn check_uris(uris: &[String]) -> Result<()> {
    if uris.is_empty() {
        return Err(Error::invalid("uris", "at least one is needed"));
    }
    if uris.len() > URIS_MAX {
        return Err(Error::invalid("uris", format!("{} of them; the limit is {URIS_MAX}", uris.len())));
    }
    for uri in uris {
        if uri.is_empty() || uri.len() > URI_MAX_BYTES {
            return Err(Error::invalid("uris", format!("one of {} bytes; it has 1 to {URI_MAX_BYTES}", uri.len())));
        }
    }
    Ok(())
}

fn incomplete(missing: &Digest) -> Error {
    Error::Precondition(format!("blobs/{missing} is not in the cache, or something that it refers to; upload it first"))
}

fn not_found(wanted: &Wanted) -> Error {
    Error::NotFound(format!("asset {:?}", wanted.uris[0]))
}

fn late(wanted: &Wanted, timeout: Duration) -> FetchError {
    let message = format!("not there after {} ms, which is the timeout", timeout.as_millis());
    FetchError::Upstream { uri: wanted.uris[0].clone(), kind: Upstream::Deadline, message }
}

/// An ending for each who waited.
fn copy(ending: &Ending) -> Landed {
    match &**ending {
        Ok(found) => Ok(found.clone()),
        Err(FetchError::Refused(violations)) => Err(FetchError::Refused(violations.clone())),
        Err(FetchError::Upstream { uri, kind, message }) => {
            Err(FetchError::Upstream { uri: uri.clone(), kind: *kind, message: message.clone() })
        }
        Err(FetchError::Engine(error)) => Err(FetchError::Engine(match error {
            Error::Exhausted(message) => Error::Exhausted(message.clone()),
            Error::Unavailable(message) => Error::Unavailable(message.clone()),
            Error::NotFound(message) => Error::NotFound(message.clone()),
            Error::Invalid { field, message } => Error::invalid(field, message.clone()),
            other => Error::Internal(other.to_string()),
        })),
    }
}

/// The function of an asset whose request names none.
pub const FUNCTION_DEFAULT: DigestFunction = DigestFunction::Sha256;
