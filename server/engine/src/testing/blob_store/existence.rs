//! Asking what is here.

use std::sync::Arc;

use millrace_proto::digest::{Digest, DigestFunction};

use super::{blob, has, instance, noise, put, sha256, text};
use crate::blobs::BlobStore;

pub(super) async fn run<F: Future<Output = Arc<dyn BlobStore>>>(open: &impl Fn() -> F) {
    missing_answers_each_once_in_order(&*open().await).await;
    another_size_or_function_is_missing(&*open().await).await;
    instances_see_nothing_of_each_other(&*open().await).await;
    many_at_once(&*open().await).await;
}

async fn missing_answers_each_once_in_order(store: &dyn BlobStore) {
    let main = instance("main");
    assert_eq!(store.missing(&main, &[]).await.expect("looks"), []);
    let here = text(0, 100);
    put(store, &main, blob(&here)).await;
    let [here, a, b, c] = [here, text(1, 10), text(2, 10), text(3, 10)].map(|data| sha256(&data));
    let asked = [c, here, a, c, b, here, a, c];
    assert_eq!(store.missing(&main, &asked).await.expect("looks"), [c, a, b]);
    assert_eq!(store.find(&main, DigestFunction::Sha256, here.hash()).await.expect("looks"), Some(here));
    assert_eq!(store.find(&main, DigestFunction::Sha256, a.hash()).await.expect("looks"), None);
}

async fn another_size_or_function_is_missing(store: &dyn BlobStore) {
    let main = instance("main");
    let data = text(0, 100);
    put(store, &main, blob(&data)).await;
    let right = sha256(&data);
    for size in [0, 99, 101, u64::from(u32::MAX)] {
        let wrong = Digest::new(right.function(), right.hash(), size).expect("is a digest");
        assert_eq!(store.missing(&main, &[wrong, right]).await.expect("looks"), [wrong]);
        assert!(store.open(&main, &wrong).await.expect("opens").is_none());
        assert!(!store.remove(&main, &wrong).await.expect("looks"), "another size is not removed");
    }
    // Two functions with hashes of the same length.
    let blake3 = Digest::new(DigestFunction::Blake3, right.hash(), right.size()).expect("is a digest");
    assert!(!has(store, &main, &blake3).await);
    assert!(has(store, &main, &right).await);
}

async fn instances_see_nothing_of_each_other(store: &dyn BlobStore) {
    let names = ["", "main", "main/sub", "mai", "other"].map(instance);
    let data = text(0, 1000);
    let digest = sha256(&data);
    for (count, name) in names.iter().enumerate() {
        assert!(!has(store, name, &digest).await, "{name}");
        put(store, name, blob(&data)).await;
        assert!(has(store, name, &digest).await, "{name}");
        assert_eq!(store.usage().blobs, count as u64 + 1, "a blob of each instance is its own");
    }
    assert!(store.remove(&names[1], &digest).await.expect("removes"));
    for (at, name) in names.iter().enumerate() {
        assert_eq!(has(store, name, &digest).await, at != 1, "{name}");
    }
}

async fn many_at_once(store: &dyn BlobStore) {
    let main = instance("main");
    let all: Vec<_> = (0..2000).map(|seed| noise(seed, 64)).collect();
    let here: Vec<_> = all.iter().step_by(2).map(blob).collect();
    assert!(store.put(&main, here).await.iter().all(Result::is_ok));
    let asked: Vec<Digest> = all.iter().map(|data| sha256(data)).collect();
    let expected: Vec<Digest> = asked.iter().skip(1).step_by(2).copied().collect();
    assert!(store.missing(&main, &asked).await.expect("looks") == expected);
}
