//! Blobs put whole, and removed.

use std::sync::Arc;

use millrace_proto::digest::Digest;

use super::{FUNCTIONS, blob, decoded, get, has, instance, noise, put, sha256, text, zstd_blob};
use crate::blobs::{BlobStore, Encoding, NewBlob};

pub(super) async fn run<F: Future<Output = Arc<dyn BlobStore>>>(open: &impl Fn() -> F) {
    every_function_and_size(&*open().await).await;
    encodings_are_kept(&*open().await).await;
    answers_in_order_and_again(&*open().await).await;
    removed_is_gone_but_for_who_holds_it(&*open().await).await;
    usage_counts(&*open().await).await;
    many_writers(open().await).await;
}

async fn every_function_and_size(store: &dyn BlobStore) {
    let main = instance("main");
    for function in FUNCTIONS {
        for len in [0, 1, 100, 4096, 70_000] {
            let data = noise(len as u64, len);
            let digest = Digest::of(function, &data);
            put(store, &main, NewBlob { digest, encoding: Encoding::Identity, data: data.clone() }).await;
            assert!(get(store, &main, &digest).await == Some(data), "{digest:?}");
            assert_eq!(store.find(&main, function, digest.hash()).await.expect("looks"), Some(digest));
        }
    }
}

/// One frame of bytes that compress, and bytes that don't: whatever a store's policy, these stay as they are.
async fn encodings_are_kept(store: &dyn BlobStore) {
    let main = instance("main");
    for len in [5000, 300_000] {
        for (data, new) in [(text(1, len), zstd_blob(&text(1, len))), (noise(1, len), blob(&noise(1, len)))] {
            put(store, &main, new.clone()).await;
            let open = store.open(&main, &new.digest).await.expect("opens").expect("is here");
            assert_eq!((open.encoding, open.stored_len), (new.encoding, new.data.len() as u64));
            assert!(decoded(&open, &new.digest).await == data);
        }
    }
}

async fn answers_in_order_and_again(store: &dyn BlobStore) {
    let main = instance("main");
    assert!(store.put(&main, Vec::new()).await.is_empty());
    let all: Vec<_> = (0..50).map(|seed| text(seed, 10 + seed as usize * 100)).collect();
    let twice: Vec<_> = all.iter().chain(&all).map(blob).collect();
    let answers = store.put(&main, twice.clone()).await;
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(store.usage().blobs, 50, "the same blob twice is one");
    assert!(store.put(&main, twice).await.iter().all(Result::is_ok), "what is here can be put");
    // In another encoding: it is here, and stays readable.
    put(store, &main, zstd_blob(&all[40])).await;
    assert_eq!(store.usage().blobs, 50);
    for data in &all {
        assert!(get(store, &main, &sha256(data)).await.as_ref() == Some(data));
    }
}

async fn removed_is_gone_but_for_who_holds_it(store: &dyn BlobStore) {
    let main = instance("main");
    for len in [10, 200_000, 1_300_000] {
        let data = noise(3, len);
        let digest = sha256(&data);
        assert!(!store.remove(&main, &digest).await.expect("looks"));
        put(store, &main, blob(&data)).await;
        let open = store.open(&main, &digest).await.expect("opens").expect("is here");
        assert!(store.remove(&main, &digest).await.expect("removes"));
        assert!(!has(store, &main, &digest).await, "{len}");
        assert!(!store.remove(&main, &digest).await.expect("looks"));
        assert!(decoded(&open, &digest).await == data, "an open blob can be read after it is removed: {len}");
        put(store, &main, blob(&data)).await;
        assert!(get(store, &main, &digest).await == Some(data), "it can come again: {len}");
    }
}

async fn usage_counts(store: &dyn BlobStore) {
    let main = instance("main");
    assert_eq!(store.usage().blobs, 0);
    let before = store.usage();
    for seed in 0..10 {
        put(store, &main, blob(&noise(seed, 100_000))).await;
    }
    let after = store.usage();
    assert_eq!(after.blobs, 10);
    assert!(after.stored_bytes >= before.stored_bytes + 1_000_000, "{before:?} {after:?}");
    assert_eq!((after.evicted, after.corrupt), (0, 0));
    for seed in 0..4 {
        assert!(store.remove(&main, &sha256(&noise(seed, 100_000))).await.expect("removes"));
    }
    assert_eq!(store.usage().blobs, 6);
}

async fn many_writers(store: Arc<dyn BlobStore>) {
    let writer = |writer: u64| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let main = instance("main");
            for round in 0..20 {
                // Half of them are the others' too.
                let seed = if round % 2 == 0 { round } else { writer * 100 + round };
                let data = text(seed, 500 + round as usize * 300);
                put(&*store, &main, blob(&data)).await;
                assert!(get(&*store, &main, &sha256(&data)).await == Some(data));
            }
        })
    };
    for task in (0..16).map(writer).collect::<Vec<_>>() {
        task.await.expect("writes");
    }
    assert_eq!(store.usage().blobs, 10 + 16 * 10);
}
