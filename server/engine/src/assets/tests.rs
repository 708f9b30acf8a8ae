//! The service on a room in memory, with a downloader whose every answer is scripted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use tokio::sync::Semaphore;

use super::*;
use crate::blobs::{
    BlobLimits, BlobRoom, BlobStore, Encoding, EntryStore, MemoryBlobs, NewBlob, Verified, VerifyReads,
};
use crate::clock::Clock;
use crate::error::Error;

const FUNCTION: DigestFunction = DigestFunction::Sha256;

#[derive(Default)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(SeqCst)
    }
}

/// Brings in the URI itself as content, if it begins with `http://good`; each as soon as it may.
struct Script {
    brought: AtomicUsize,
    gate: Semaphore,
}

#[async_trait]
impl Downloader for Script {
    fn check(&self, wanted: &Wanted) -> Result<(), Vec<Violation>> {
        let unknown = wanted.qualifiers.iter().filter(|(name, _)| *name != CHECKSUM);
        let wrong: Vec<_> =
            unknown.map(|(name, _)| Violation { field: "qualifiers.name".into(), description: name.into() }).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    fn reaches(&self, uri: &str) -> bool {
        uri.starts_with("http://")
    }

    async fn bring(&self, wanted: &Wanted, uri: usize, landing: &Landing) -> Result<Brought, Fault> {
        self.brought.fetch_add(1, SeqCst);
        let _open = self.gate.acquire().await;
        if !wanted.uris[uri].starts_with("http://good") {
            return Err(Fault::upstream(Upstream::NotFound, format!("{}: HTTP 404", wanted.uris[uri])));
        }
        let content = Bytes::from(wanted.uris[uri].clone());
        if wanted.kind == AssetKind::Directory {
            let mut tree = landing.tree(1_000);
            tree.file("a/file", true).await?;
            tree.data(content).await?;
            return tree.finish("").await;
        }
        let mut receive = landing.receive(None).await?;
        receive.write(content).await?;
        Ok(Brought { digest: receive.finish(None).await?, with: Vec::new() })
    }
}

struct Parts {
    assets: Arc<Assets>,
    memory: MemoryBlobs,
    room: Arc<BlobRoom>,
    script: Arc<Script>,
    clock: Arc<HandClock>,
}

fn parts() -> Parts {
    let (memory, clock) = (MemoryBlobs::default(), Arc::new(HandClock(AtomicI64::new(1_000))));
    let store = Arc::new(Verified::new(Arc::new(memory.clone()), VerifyReads::Checksums));
    let room = Arc::new(BlobRoom::new(store, BlobLimits::default(), Arc::clone(&clock) as Arc<dyn Clock>));
    let script = Arc::new(Script { brought: AtomicUsize::new(0), gate: Semaphore::new(100) });
    let assets = Assets::new(
        Arc::clone(&room),
        Arc::new(memory.clone()) as Arc<dyn EntryStore>,
        Arc::clone(&clock) as Arc<dyn Clock>,
        Some(Arc::clone(&script) as Arc<dyn Downloader>),
        Duration::from_secs(30),
    );
    Parts { assets: Arc::new(assets), memory, room, script, clock }
}

fn fetch(uris: &[&str], pairs: &[(&str, &str)]) -> Fetch {
    let uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
    let qualifiers = Qualifiers::new(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect());
    let (instance, kind) = (InstanceName::default(), AssetKind::Blob);
    let wanted = Wanted { instance, kind, function: FUNCTION, uris, qualifiers: qualifiers.unwrap() };
    Fetch { wanted, function_named: false, oldest_ms: None, timeout: None, may_download: true }
}

fn push(uri: &str, digest: Digest) -> Push {
    Push {
        instance: InstanceName::default(),
        kind: AssetKind::Blob,
        uris: vec![uri.to_owned()],
        qualifiers: Qualifiers::default(),
        expire_ms: None,
        digest,
        blobs: Vec::new(),
        directories: Vec::new(),
    }
}

async fn put(parts: &Parts, function: DigestFunction, text: &'static str) -> Digest {
    let data = Bytes::from_static(text.as_bytes());
    let digest = Digest::of(function, &data);
    let blob = NewBlob { digest, encoding: Encoding::Identity, data };
    parts.room.write_many(&InstanceName::default(), vec![blob]).await.unwrap().remove(0).unwrap();
    digest
}

fn is_missing(found: &Result<Found, FetchError>) -> bool {
    matches!(found, Err(FetchError::Engine(Error::NotFound(_))))
}

#[tokio::test]
async fn a_newer_push_replaces_an_older_one_whatever_its_function() {
    let parts = parts();
    let (old, new) = (put(&parts, FUNCTION, "old").await, put(&parts, DigestFunction::Blake3, "new").await);
    assert!(is_missing(&parts.assets.fetch(fetch(&["urn:x"], &[])).await));
    parts.assets.push(push("urn:x", old)).await.unwrap();
    assert_eq!(parts.assets.fetch(fetch(&["urn:y", "urn:x"], &[])).await.unwrap().digest, old);
    parts.clock.0.store(2_000, SeqCst);
    parts.assets.push(push("urn:x", new)).await.unwrap();
    let found = parts.assets.fetch(fetch(&["urn:x"], &[])).await.unwrap();
    assert_eq!((found.digest, found.uri.as_str()), (new, "urn:x"));
    let named = Fetch { function_named: true, ..fetch(&["urn:x"], &[]) };
    assert_eq!(parts.assets.fetch(named).await.unwrap().digest, old);
    let young = Fetch { oldest_ms: Some(2_001), ..fetch(&["urn:x"], &[]) };
    assert!(is_missing(&parts.assets.fetch(young).await));
    assert!(matches!(parts.assets.fetch(fetch(&["urn:x"], &[("a", "b")])).await, Err(FetchError::Refused(_))));
    assert_eq!(parts.script.brought.load(SeqCst), 0);
}

#[tokio::test]
async fn an_asset_goes_with_what_it_refers_to_and_at_its_time() {
    let parts = parts();
    let (blob, other) = (put(&parts, FUNCTION, "blob").await, put(&parts, FUNCTION, "other").await);
    let absent = Digest::of(FUNCTION, b"absent");
    for wrong in [
        push("urn:x", absent),
        Push { blobs: vec![absent], ..push("urn:x", blob) },
        Push { directories: vec![absent], ..push("urn:x", blob) },
    ] {
        assert!(matches!(parts.assets.push(wrong).await, Err(Error::Precondition(_))));
    }
    let pushed = Push { blobs: vec![other], expire_ms: Some(5_000), ..push("urn:x", blob) };
    parts.assets.push(pushed).await.unwrap();
    assert_eq!(parts.assets.fetch(fetch(&["urn:x"], &[])).await.unwrap().expire_ms, Some(5_000));
    assert!(BlobStore::remove(&parts.memory, &InstanceName::default(), &other).await.unwrap());
    assert!(is_missing(&parts.assets.fetch(fetch(&["urn:x"], &[])).await));
    put(&parts, FUNCTION, "other").await;
    parts.assets.fetch(fetch(&["urn:x"], &[])).await.unwrap();
    parts.clock.0.store(5_000, SeqCst);
    assert!(is_missing(&parts.assets.fetch(fetch(&["urn:x"], &[])).await));
}

#[tokio::test]
async fn identical_fetches_share_one_download_and_later_ones_need_none() {
    let parts = parts();
    parts.script.gate.forget_permits(100);
    let fetching: Vec<_> = (0..10)
        .map(|_| {
            let assets = Arc::clone(&parts.assets);
            tokio::spawn(async move { assets.fetch(fetch(&["http://bad", "http://good/1"], &[])).await })
        })
        .collect();
    while parts.script.brought.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    parts.script.gate.add_permits(100);
    for one in fetching {
        assert_eq!(one.await.unwrap().unwrap().uri, "http://good/1");
    }
    assert_eq!(parts.script.brought.load(SeqCst), 2);
    parts.assets.fetch(fetch(&["http://good/1"], &[])).await.unwrap();
    assert_eq!(parts.script.brought.load(SeqCst), 2);
    let again = Fetch { oldest_ms: Some(1_001), ..fetch(&["http://good/1"], &[]) };
    parts.clock.0.store(2_000, SeqCst);
    parts.assets.fetch(again).await.unwrap();
    assert_eq!(parts.script.brought.load(SeqCst), 3);
}

#[tokio::test]
async fn a_download_outlives_the_caller_who_could_not_wait() {
    let parts = parts();
    parts.script.gate.forget_permits(100);
    let short = Fetch { timeout: Some(Duration::from_millis(10)), ..fetch(&["http://good/1"], &[]) };
    let late = parts.assets.fetch(short).await;
    assert!(matches!(late, Err(FetchError::Upstream { kind: Upstream::Deadline, .. })), "{late:?}");
    parts.script.gate.add_permits(1);
    parts.assets.fetch(fetch(&["http://good/1"], &[])).await.unwrap();
    assert_eq!(parts.script.brought.load(SeqCst), 1);
}

#[tokio::test]
async fn who_may_not_fill_the_cache_gets_what_is_in_it() {
    let parts = parts();
    let reader = || Fetch { may_download: false, ..fetch(&["http://good/1"], &[]) };
    assert!(matches!(parts.assets.fetch(reader()).await, Err(FetchError::Engine(Error::Denied(_)))));
    parts.assets.fetch(fetch(&["http://good/1"], &[])).await.unwrap();
    parts.assets.fetch(reader()).await.unwrap();
    let failed = parts.assets.fetch(fetch(&["http://bad/1", "http://bad/2"], &[])).await;
    let Err(FetchError::Upstream { uri, kind: Upstream::NotFound, message }) = failed else { panic!("{failed:?}") };
    assert_eq!((uri.as_str(), message.as_str()), ("http://bad/2", "http://bad/1: HTTP 404; http://bad/2: HTTP 404"));
}

#[tokio::test]
async fn content_with_the_checksum_needs_no_download() {
    use base64::Engine as _;
    let parts = parts();
    let digest = put(&parts, FUNCTION, "content").await;
    let checksum = format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(digest.hash()));
    let found = parts.assets.fetch(fetch(&["http://bad"], &[(CHECKSUM, &checksum)])).await.unwrap();
    assert_eq!(found.digest, digest);
    let elsewhere = InstanceName::parse("other").unwrap();
    let mut other = fetch(&["http://bad"], &[(CHECKSUM, &checksum)]);
    other.wanted.instance = elsewhere;
    assert!(matches!(parts.assets.fetch(other).await, Err(FetchError::Upstream { .. })));
}

#[tokio::test]
async fn a_directory_is_whole_or_fetched_again() {
    let parts = parts();
    let mut wanted = fetch(&["http://good/tree"], &[]);
    wanted.wanted.kind = AssetKind::Directory;
    let root = parts.assets.fetch(wanted.clone()).await.unwrap().digest;
    parts.assets.fetch(wanted.clone()).await.unwrap();
    assert_eq!(parts.script.brought.load(SeqCst), 1);
    let file = Digest::of(FUNCTION, b"http://good/tree");
    assert!(BlobStore::remove(&parts.memory, &InstanceName::default(), &file).await.unwrap());
    assert_eq!(parts.assets.fetch(wanted.clone()).await.unwrap().digest, root);
    assert_eq!(parts.script.brought.load(SeqCst), 2);
    // Pushed by another name, its files count as well.
    let named = Push { kind: AssetKind::Directory, ..push("urn:tree", root) };
    parts.assets.push(named).await.unwrap();
    assert!(BlobStore::remove(&parts.memory, &InstanceName::default(), &file).await.unwrap());
    wanted.wanted.uris = vec!["urn:tree".into()];
    assert!(is_missing(&parts.assets.fetch(wanted).await));
    let broken = Push { kind: AssetKind::Directory, ..push("urn:tree", root) };
    assert!(matches!(parts.assets.push(broken).await, Err(Error::Precondition(_))));
}
