use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::blobs::*;
use crate::error::Error;
use crate::testing::blob_store::{blob, get, has, instance, noise, put, sha256, text, zstd_blob};

#[tokio::test]
async fn a_miss_is_copied_from_the_second_store() {
    let main = instance("main");
    for new in [blob(&text(1, 100)), zstd_blob(&text(2, 5000)), blob(&noise(3, 2_500_000))] {
        let [first, second] = [MemoryBlobs::default(), MemoryBlobs::default()];
        let store = ReadThrough::new(Arc::new(first.clone()), Arc::new(second.clone()));
        assert_eq!(store.missing(&main, &[new.digest]).await.expect("looks"), [new.digest]);
        put(&second, &main, new.clone()).await;
        assert!(store.missing(&main, &[new.digest]).await.expect("looks").is_empty());
        assert!(!has(&first, &main, &new.digest).await, "asking copies nothing");
        let data = get(&store, &main, &new.digest).await.expect("is served");
        assert!(sha256(&data) == new.digest);
        assert!(get(&first, &main, &new.digest).await == Some(data), "now it is near");
        assert!(get(&store, &instance("other"), &new.digest).await.is_none());
        assert!(store.remove(&main, &new.digest).await.expect("removes"));
        assert!(!has(&store, &main, &new.digest).await, "it does not come back");
    }
}

#[tokio::test]
async fn a_full_first_store_does_not_keep_the_second_from_serving() {
    let main = instance("main");
    let second = MemoryBlobs::default();
    let store = ReadThrough::new(Arc::new(MemoryBlobs::with_limit(10)), Arc::new(second.clone()));
    let data = text(1, 100);
    put(&second, &main, blob(&data)).await;
    assert!(get(&store, &main, &sha256(&data)).await == Some(data));
}

#[tokio::test]
async fn the_meter_counts() {
    let main = instance("main");
    let meter = Arc::new(BlobMeter::default());
    let inner = Verified::new(Arc::new(MemoryBlobs::default()), VerifyReads::Checksums);
    let store = Metered::new(Arc::new(inner), Arc::clone(&meter));
    let (small, large) = (text(1, 100), noise(2, 300_000));
    put(&store, &main, blob(&small)).await;
    let digest = sha256(&large);
    let mut writer = store.begin(&main, digest.function(), Encoding::Identity, None).await.expect("begins");
    writer.write(large.clone()).await.expect("writes");
    writer.commit(digest).await.expect("commits");
    assert!(store.put(&main, vec![NewBlob { data: text(3, 100), ..blob(&small) }]).await[0].is_err());
    assert_eq!(store.missing(&main, &[digest, sha256(b"x")]).await.expect("looks").len(), 1);
    assert!(get(&store, &main, &digest).await.is_some());
    assert!(get(&store, &main, &sha256(&small)).await.is_some());
    assert!(get(&store, &main, &sha256(b"x")).await.is_none());
    assert!(store.remove(&main, &digest).await.expect("removes"));
    let figures = [
        &meter.asked,
        &meter.missing,
        &meter.hits,
        &meter.misses,
        &meter.read_bytes,
        &meter.written,
        &meter.written_bytes,
        &meter.refused,
        &meter.removed,
    ];
    assert_eq!(figures.map(|figure| figure.load(Relaxed)), [2, 1, 2, 1, 300_100, 2, 300_200, 1, 1]);
}

#[tokio::test]
async fn memory_forgets_the_least_recently_used() {
    let main = instance("main");
    let store = MemoryBlobs::with_limit(1000);
    let [a, b, c, d] = [1, 2, 3, 4].map(|seed| noise(seed, 300));
    for data in [&a, &b, &c] {
        put(&store, &main, blob(data)).await;
    }
    assert!(store.missing(&main, &[sha256(&a)]).await.expect("looks").is_empty(), "asking is a use");
    put(&store, &main, blob(&d)).await;
    assert_eq!(store.missing(&main, &[a, b, c, d].map(|data| sha256(&data))).await.expect("looks").len(), 1);
    let usage = store.usage();
    assert_eq!((usage.stored_bytes, usage.evicted, usage.evicted_bytes), (900, 1, 300));
    let answers = BlobStore::put(&store, &main, vec![blob(&noise(5, 1001))]).await;
    assert!(matches!(answers[..], [Err(Error::Exhausted(_))]));
}
