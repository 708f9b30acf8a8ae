//! A disk that is full for a while: blobs are refused with a reason, what is there can be read, nothing partial is seen,
//! and when there is space again everything goes on. The disk is a small tmpfs in a mount namespace of its own.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use millrace_engine::blobs::{BlobStore, Encoding};
use millrace_engine::error::Error;
use millrace_engine::testing::blob_store::{blob, instance, noise};
use millrace_store::blobs::disk::{DiskBlobs, DiskBlobsOptions};
use tempfile::TempDir;

use super::{get, open, options};

const CHILD_FOLDER: &str = "MILLRACE_TEST_SMALL_DISK";
const DISK_MAX_BYTES: u64 = 24 << 20;

/// What others leave.
const LEFT_BYTES: u64 = 4 << 20;

/// The disk is smaller than the limit, so that it decides.
fn on_small_disk(free_min_bytes: u64) -> DiskBlobsOptions {
    DiskBlobsOptions { limit_bytes: 1 << 30, free_min_bytes, ..options() }
}

/// Not a test by itself: runs on a disk that is mounted for it, when [`CHILD_FOLDER`] is set.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // With nothing left to others it is the disk that says no, otherwise the store does so before.
    for (number, free_min) in [0, 1 << 20].into_iter().enumerate() {
        let root = Path::new(&folder).join(number.to_string());
        runtime.block_on(until_full(&root, free_min));
        std::fs::remove_dir_all(&root).unwrap();
    }
}

async fn until_full(root: &Path, free_min: u64) {
    let store = open(root, on_small_disk(free_min));
    // Others take most of the rest: what the disk had at the start was the limit.
    let other = vec![7; (fs_free(root) - free_min - LEFT_BYTES) as usize];
    std::fs::write(root.join("other"), other).unwrap();
    let kept: Vec<Bytes> = (0..100).map(|seed| noise(seed, 100 + seed as usize * 100)).collect();
    for data in &kept {
        put(&store, data).await.unwrap();
    }
    let mut filler = Vec::new();
    let refused = loop {
        let data = noise(1_000 + filler.len() as u64, if filler.len() % 2 == 0 { 3_000 } else { 300_000 });
        match put(&store, &data).await {
            Ok(()) => filler.push(data),
            Err(error) => break (error, data),
        }
        assert!(filler.len() < 1000, "the disk never was full");
    };
    assert!(matches!(&refused.0, Error::Exhausted(message) if message.contains("no space for blobs")), "{}", refused.0);
    assert!(get(&store, &blob(&refused.1).digest).await.is_none(), "a partial blob is visible");
    // One of unknown size, too.
    let mut large =
        store.begin(&instance("main"), blob(&kept[0]).digest.function(), Encoding::Identity, None).await.unwrap();
    let written = async {
        for seed in 0..40 {
            large.write(noise(seed, 1 << 20)).await?;
        }
        large.commit(blob(&kept[0]).digest).await
    };
    assert!(matches!(written.await, Err(Error::Exhausted(_) | Error::Internal(_))));
    for data in kept.iter().chain(&filler) {
        assert_eq!(get(&store, &blob(data).digest).await.as_ref(), Some(data));
    }
    assert_eq!(store.usage().evicted, 0);
    let free = fs_free(root);
    // Each of the many small files ends within a block of the disk's.
    assert!(free + (256 << 10) >= free_min, "only {free} bytes are left to others");
    // Space again: somebody removed something.
    for data in &filler[..filler.len() / 2] {
        if data.len() > 10_000 {
            assert!(BlobStore::remove(&store, &instance("main"), &blob(data).digest).await.is_ok());
        }
    }
    super::eviction::eventually(async || put(&store, &refused.1).await.is_ok()).await;
    drop(store);
    let store = open(root, on_small_disk(free_min));
    for data in kept.iter().chain(&filler[filler.len() / 2..]).chain([&refused.1]) {
        assert_eq!(get(&store, &blob(data).digest).await.as_ref(), Some(data));
    }
}

async fn put(store: &DiskBlobs, data: &Bytes) -> Result<(), Error> {
    BlobStore::put(store, &instance("main"), vec![blob(data)]).await.remove(0)
}

fn fs_free(root: &Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(root).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().nth(1).unwrap().trim().parse().unwrap()
}

#[test]
fn a_full_disk_refuses_blobs_and_goes_on_when_there_is_space() {
    let folder = TempDir::new().unwrap();
    let script =
        format!("set -e; mount -t tmpfs -o size={DISK_MAX_BYTES} tmpfs '{}'; exec \"$@\"", folder.path().display());
    // Root makes a mount namespace; anybody else makes it within a user namespace.
    let root = std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    let output = Command::new("unshare")
        .args(if root { &["-m"][..] } else { &["-r", "-m"] })
        .args(["sh", "-c", &script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["blobs::full::child", "--exact", "--nocapture"])
        .env(CHILD_FOLDER, folder.path())
        .output()
        .expect("unshare is needed for this test (Debian: util-linux)");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
