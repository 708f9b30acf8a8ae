//! Blobs on disk: what the engine's suites ask of every store, and what this one promises beyond that.

mod damage;
mod eviction;
mod full;
mod kill;
mod model;

mod restart;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace_engine::blobs::{BlobStore, EntryKey, EntryStore, NewBlob, Space};
use millrace_engine::testing::blob_store::{self, blob, instance};
use millrace_engine::testing::entry_store;
use millrace_proto::digest::Digest;
use millrace_store::blobs::disk::{DiskBlobs, DiskBlobsOptions};
use tempfile::TempDir;

/// Room for 64 MiB, and large files from 4 KiB on, so that both ways are taken.
pub fn options() -> DiskBlobsOptions {
    DiskBlobsOptions {
        limit_bytes: 64 << 20,
        small_max_bytes: 4096,
        pack_max_bytes: 1 << 20,
        ..DiskBlobsOptions::default()
    }
}

/// How long a dropped store may hold its folder.
const FREED_WITHIN: Duration = Duration::from_secs(10);

/// Opens a store; one that was dropped here just now may still have a file to remove, and holds its folder until then.
pub fn open(root: &Path, options: DiskBlobsOptions) -> DiskBlobs {
    let begun = Instant::now();
    loop {
        match DiskBlobs::open(root, options) {
            Err(error) if error.to_string().contains("another server") && begun.elapsed() < FREED_WITHIN => {}
            opened => return opened.unwrap(),
        }
    }
}

/// Keeps the folders of the suites' stores for as long as the test runs.
fn suite_store(folders: &TempDir, options: DiskBlobsOptions) -> Arc<DiskBlobs> {
    let root = tempfile::Builder::new().tempdir_in(folders.path()).unwrap().keep();
    Arc::new(open(&root, options))
}

pub async fn put(store: &DiskBlobs, data: &Bytes) -> Digest {
    let NewBlob { digest, .. } = blob(data);
    blob_store::put(store, &instance("main"), blob(data)).await;
    digest
}

pub async fn get(store: &DiskBlobs, digest: &Digest) -> Option<Bytes> {
    blob_store::get(store, &instance("main"), digest).await
}

pub fn key(name: &str) -> EntryKey {
    EntryKey { space: Space::Http, instance: instance("main"), name: Bytes::copy_from_slice(name.as_bytes()) }
}

pub async fn put_entry(store: &DiskBlobs, name: &str, value: impl Into<Bytes>) {
    EntryStore::put(store, &key(name), value.into()).await.unwrap();
}

pub async fn get_entry(store: &DiskBlobs, name: &str) -> Option<Bytes> {
    EntryStore::get(store, &key(name)).await.unwrap()
}

/// All bytes of all files in a folder.
pub fn bytes_on_disk(root: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(root) else { return 0 };
    // What is removed meanwhile counts nothing.
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_on_disk(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[tokio::test]
async fn is_a_blob_store() {
    let folders = TempDir::new().unwrap();
    blob_store::run(async || suite_store(&folders, options()) as Arc<dyn BlobStore>).await;
    let small = DiskBlobsOptions { small_max_bytes: 1 << 20, ..options() };
    blob_store::run(async || suite_store(&folders, small) as Arc<dyn BlobStore>).await;
}

#[tokio::test]
async fn is_an_entry_store() {
    let folders = TempDir::new().unwrap();
    entry_store::run(async || suite_store(&folders, options()) as Arc<dyn EntryStore>).await;
}

#[tokio::test]
async fn two_servers_can_not_share_a_folder() {
    let folder = TempDir::new().unwrap();
    let first = open(folder.path(), options());
    let second = DiskBlobs::open(folder.path(), options()).map(|_| ()).unwrap_err();
    assert!(second.to_string().contains("another server uses this folder"), "{second}");
    drop(first);
    open(folder.path(), options());
}

#[tokio::test]
async fn a_size_that_lies_is_refused() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path(), options());
    let digest = Digest::new(millrace_proto::digest::DigestFunction::Sha256, &[7; 32], 3).unwrap();
    let lie =
        NewBlob { digest, encoding: millrace_engine::blobs::Encoding::Identity, data: Bytes::from_static(b"four") };
    let answers = BlobStore::put(&store, &instance("main"), vec![lie]).await;
    assert!(answers[0].as_ref().unwrap_err().to_string().starts_with("size_bytes: 3"), "{answers:?}");
    assert_eq!(store.usage().blobs, 0);
}
