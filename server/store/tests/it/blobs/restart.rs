//! What a start finds.

use bytes::Bytes;
use millrace_engine::blobs::{BlobStore, EntryStore};
use millrace_engine::testing::blob_store::{instance, noise};
use millrace_store::blobs::disk::DiskBlobsOptions;
use tempfile::TempDir;

use super::{bytes_on_disk, get, get_entry, key, open, options, put, put_entry};

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    // Many packs, some complete, the last one not.
    let options = DiskBlobsOptions { pack_max_bytes: 20_000, ..options() };
    let mut all = Vec::new();
    for round in 0..4_u64 {
        let store = open(folder.path(), options);
        for seed in 0..40 {
            let data = noise(round * 1000 + seed, (seed * 150) as usize);
            all.push((put(&store, &data).await, data));
            put_entry(&store, "counter", Bytes::from(format!("{round}/{seed}"))).await;
        }
        put_entry(&store, &format!("round {round}"), Bytes::from_static(b"value")).await;
        let usage = store.usage();
        drop(store);
        let store = open(folder.path(), options);
        let again = store.usage();
        assert_eq!((again.blobs, again.entries), (usage.blobs, usage.entries));
        assert!(again.stored_bytes >= bytes_on_disk(folder.path()) - 100, "{again:?}");
        for (digest, data) in &all {
            assert_eq!(get(&store, digest).await.as_ref(), Some(data));
        }
        assert_eq!(get_entry(&store, "counter").await.unwrap(), format!("{round}/39"));
    }
}

#[tokio::test]
async fn what_was_removed_stays_removed() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path(), options());
    let (small, large) = (noise(1, 100), noise(2, 10_000));
    let digests = [put(&store, &small).await, put(&store, &large).await];
    put_entry(&store, "a", Bytes::from_static(b"old")).await;
    put_entry(&store, "a", Bytes::from_static(b"new")).await;
    for digest in &digests {
        assert!(BlobStore::remove(&store, &instance("main"), digest).await.unwrap());
        assert!(!BlobStore::remove(&store, &instance("main"), digest).await.unwrap());
    }
    assert!(EntryStore::remove(&store, &key("a")).await.unwrap());
    drop(store);
    let store = open(folder.path(), options());
    for digest in &digests {
        assert_eq!(get(&store, digest).await, None);
    }
    assert_eq!(get_entry(&store, "a").await, None);
    // And a second life is kept.
    assert_eq!(put(&store, &small).await, digests[0]);
    put_entry(&store, "a", Bytes::from_static(b"third")).await;
    drop(store);
    let store = open(folder.path(), options());
    assert_eq!(get(&store, &digests[0]).await, Some(small));
    assert_eq!(get_entry(&store, "a").await.unwrap(), "third");
}

#[tokio::test]
async fn the_order_of_use_survives_a_clean_stop() {
    let folder = TempDir::new().unwrap();
    let options = DiskBlobsOptions { limit_bytes: 400_000, pack_max_bytes: 16 << 10, ..options() };
    let store = open(folder.path(), options);
    let mut digests = Vec::new();
    for seed in 0..40 {
        digests.push(put(&store, &noise(seed, 2000)).await);
    }
    // The oldest are used again.
    for digest in &digests[..10] {
        assert!(get(&store, digest).await.is_some());
    }
    drop(store);
    let store = open(folder.path(), options);
    let mut seed = 1000;
    while store.usage().evicted < 20 {
        put(&store, &noise(seed, 2000)).await;
        seed += 1;
        assert!(seed < 2000, "nothing was evicted: {:?}", store.usage());
    }
    for digest in &digests[..10] {
        assert!(get(&store, digest).await.is_some(), "used last, and evicted: {:?}", store.usage());
    }
    assert!(get(&store, &digests[10]).await.is_none());
}

#[tokio::test]
async fn a_blob_begun_and_not_committed_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path(), options());
    let before = bytes_on_disk(folder.path());
    let used = store.usage().stored_bytes;
    for size in [Some(3_000_000), None] {
        let function = millrace_proto::digest::DigestFunction::Sha256;
        let encoding = millrace_engine::blobs::Encoding::Identity;
        let mut blob = store.begin(&instance("main"), function, encoding, size).await.unwrap();
        for seed in 0..3 {
            blob.write(noise(seed, 1_000_000)).await.unwrap();
        }
        drop(blob);
    }
    assert_eq!(store.usage().stored_bytes, used);
    drop(store);
    // The thread that was writing may end after the drop: the next start removes what it left.
    drop(open(folder.path(), options()));
    assert!(bytes_on_disk(folder.path()) < before + 100);
}
