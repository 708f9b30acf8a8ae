//! How fast the disk store is, durability on: `cargo run --release -p millrace-store --example blob_speed`.
//!
//! Batches, single puts, reads, existence, entries, large blobs; then a start over a million blobs. The folder is the
//! first argument, or a temporary one; the second is how many blobs the start is measured with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace_engine::blobs::{BlobSource, BlobStore, Encoding, EntryKey, EntryStore, NewBlob, Space};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_store::blobs::disk::{DiskBlobs, DiskBlobsOptions};

const CALLERS: u64 = 32;
const BATCH: u64 = 100;
const TIME: Duration = Duration::from_secs(3);
const LARGE_BYTES: usize = 64 << 20;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().map_or_else(|| folder.path().to_owned(), PathBuf::from);
    let many = arguments.next().map_or(1_000_000, |count| count.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = open(&root.join("speed"));
        batches(&store).await;
        single(&store).await;
        reads(&store).await;
        existence(&store).await;
        entries(&store).await;
        large(&store).await;
        println!("{:?}", store.usage());
    });
    runtime.block_on(fill(&root.join("many"), many));
    start(&root.join("many"), many);
}

fn open(root: &Path) -> Arc<DiskBlobs> {
    let options = DiskBlobsOptions { limit_bytes: 16 << 30, ..DiskBlobsOptions::default() };
    Arc::new(DiskBlobs::open(root, options).expect("opens"))
}

fn instance() -> InstanceName {
    InstanceName::parse("main").expect("a name")
}

/// A digest nobody checks: the store does not hash.
fn digest(number: u64, size: usize) -> Digest {
    let mut hash = [0; 32];
    for (at, part) in hash.chunks_mut(8).enumerate() {
        part.copy_from_slice(&(number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 + 2 * at as u64).to_le_bytes());
    }
    Digest::new(DigestFunction::Sha256, &hash, size as u64).expect("a digest")
}

fn blob(number: u64, data: &Bytes) -> NewBlob {
    NewBlob { digest: digest(number, data.len()), encoding: Encoding::Identity, data: data.clone() }
}

/// Runs `work` in all callers for a while; prints how often a second, times `each`.
async fn measure<F: Future<Output = ()> + Send + 'static>(
    what: &str,
    callers: u64,
    each: u64,
    unit: &str,
    work: impl Fn(u64) -> F + Send + Clone + 'static,
) -> u64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let work = work.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while start.elapsed() < TIME {
                    work(done * callers + caller).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.expect("joins");
    }
    println!("{what}: {:.0} {unit}/s", (done * each) as f64 / start.elapsed().as_secs_f64());
    done
}

async fn batches(store: &Arc<DiskBlobs>) {
    for callers in [1, 4, CALLERS] {
        let (store, data) = (store.clone(), Bytes::from(vec![7; 4096]));
        measure(
            &format!("batches of {BATCH} x 4 KiB, {callers} callers"),
            callers,
            BATCH * 4096,
            "bytes",
            move |call| {
                let blobs = (0..BATCH).map(|at| blob(call * BATCH + at + callers * 1_000_000_000, &data)).collect();
                let store = store.clone();
                async move {
                    let answers = store.put_blobs(blobs).await;
                    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
                }
            },
        )
        .await;
    }
}

trait PutBlobs {
    async fn put_blobs(&self, blobs: Vec<NewBlob>) -> Vec<millrace_engine::error::Result<()>>;
}

impl PutBlobs for DiskBlobs {
    async fn put_blobs(&self, blobs: Vec<NewBlob>) -> Vec<millrace_engine::error::Result<()>> {
        BlobStore::put(self, &instance(), blobs).await
    }
}

async fn single(store: &Arc<DiskBlobs>) {
    for callers in [1, CALLERS] {
        let (store, data) = (store.clone(), Bytes::from(vec![7; 1024]));
        measure(&format!("single puts of 1 KiB, {callers} callers"), callers, 1, "puts", move |call| {
            let (store, blob) = (store.clone(), blob(call + (callers + 7) * 1_000_000_000, &data));
            async move { store.put_blobs(vec![blob]).await.pop().expect("an answer").expect("puts") }
        })
        .await;
    }
}

async fn reads(store: &Arc<DiskBlobs>) {
    let count = 50_000_u64;
    let data = Bytes::from(vec![9; 4096]);
    for first in (0..count).step_by(BATCH as usize) {
        store.put_blobs((first..first + BATCH).map(|number| blob(number, &data)).collect()).await;
    }
    let store = store.clone();
    measure("reads of 4 KiB", CALLERS, 1, "reads", move |call| {
        let store = store.clone();
        async move {
            let digest = digest(call.wrapping_mul(7_919_999_983) % count, 4096);
            let found = store.open(&instance(), &digest).await.expect("opens").expect("is here");
            assert!(matches!(found.source, BlobSource::Whole(data) if data.len() == 4096));
        }
    })
    .await;
}

async fn existence(store: &Arc<DiskBlobs>) {
    let digests: Arc<Vec<Vec<Digest>>> = Arc::new(
        (0..50_u64)
            .map(|group| (0..1000).map(|at| digest((group * 1000 + at) * (1 + at % 2 * 50_000), 4096)).collect())
            .collect(),
    );
    for callers in [1, CALLERS] {
        let (store, digests) = (store.clone(), digests.clone());
        measure(
            &format!("missing() of 1000, half missing, {callers} callers"),
            callers,
            1000,
            "digests",
            move |call| {
                let (store, digests) = (store.clone(), digests.clone());
                async move {
                    let missing = store.missing(&instance(), &digests[call as usize % 50]).await.expect("answers");
                    assert!(missing.len() > 400 && missing.len() < 600, "{}", missing.len());
                }
            },
        )
        .await;
    }
}

fn key(number: u64) -> EntryKey {
    let name = Bytes::copy_from_slice(digest(number, 0).hash());
    EntryKey { space: Space::Action, instance: instance(), name }
}

async fn entries(store: &Arc<DiskBlobs>) {
    let (putting, value) = (store.clone(), Bytes::from(vec![1; 600]));
    let work = move |call| {
        let (store, value) = (putting.clone(), value.clone());
        async move { EntryStore::put(&*store, &key(call), value).await.expect("puts") }
    };
    let count = measure("entry puts of 600 bytes", CALLERS, 1, "puts", work).await;
    let store = store.clone();
    measure("entry gets", CALLERS, 1, "gets", move |call| {
        let store = store.clone();
        async move {
            assert!(store.get(&key(call.wrapping_mul(7_919_999_983) % (count / 2))).await.expect("gets").is_some());
        }
    })
    .await;
}

async fn large(store: &Arc<DiskBlobs>) {
    for callers in [1, 8] {
        let (putting, data) = (store.clone(), Bytes::from(vec![3; 1 << 20]));
        let base = (callers + 100) * 1_000_000_000;
        let what = format!("writes of 64 MiB, {callers} callers");
        let count = measure(&what, callers, LARGE_BYTES as u64 / 1_000_000, "MB", move |call| {
            let (store, data) = (putting.clone(), data.clone());
            async move {
                let (instance, size) = (instance(), Some(LARGE_BYTES as u64));
                let begun = store.begin(&instance, DigestFunction::Sha256, Encoding::Identity, size).await;
                let mut blob = begun.expect("begins");
                for _ in 0..LARGE_BYTES / data.len() {
                    blob.write(data.clone()).await.expect("writes");
                }
                blob.commit(digest(base + call, LARGE_BYTES)).await.expect("commits");
            }
        })
        .await;
        let store = store.clone();
        measure(
            &format!("reads of 64 MiB, {callers} callers"),
            callers,
            LARGE_BYTES as u64 / 1_000_000,
            "MB",
            move |call| {
                let store = store.clone();
                async move {
                    let digest = digest(base + call % (count / 2).max(1), LARGE_BYTES);
                    let found = store.open(&instance(), &digest).await.expect("opens").expect("is here");
                    let BlobSource::Pieces(pieces) = found.source else { panic!("a large blob comes in pieces") };
                    let mut at = 0;
                    while at < LARGE_BYTES as u64 {
                        at += pieces.read_at(at, 1 << 20).await.expect("reads").len() as u64;
                    }
                }
            },
        )
        .await;
    }
}

async fn fill(root: &Path, many: u64) {
    let store = open(root);
    let data = Bytes::from(vec![5; 1000]);
    for first in (0..many).step_by(1000) {
        store.put_blobs((first..first + 1000).map(|number| blob(number, &data)).collect()).await;
    }
}

fn start(root: &Path, many: u64) {
    let before = resident_bytes();
    let begun = Instant::now();
    let store = open(root);
    println!("a start over {many} blobs: {:.2?}", begun.elapsed());
    let usage = store.usage();
    assert_eq!(usage.blobs, many);
    println!("{:.1} bytes of memory a blob", resident_bytes().saturating_sub(before) as f64 / many as f64);
}

/// What the process has in memory; 0 where that can't be asked.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(0, |kilobytes| kilobytes * 1024)
}
