//! Blobs that come piece by piece.

use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::digest::Digest;

use super::{FUNCTIONS, blob, get, has, instance, noise, put, sha256, text, zstd_blob};
use crate::blobs::{BlobStore, BlobWrite, Encoding};

pub(super) async fn run<F: Future<Output = Arc<dyn BlobStore>>>(open: &impl Fn() -> F) {
    every_size_in_any_pieces(&*open().await).await;
    every_function(&*open().await).await;
    zstd_comes_back_decoded(&*open().await).await;
    seen_only_when_committed(&*open().await).await;
    dropped_leaves_nothing(&*open().await).await;
    two_writers_of_one_blob(&*open().await).await;
}

async fn begin(store: &dyn BlobStore, digest: &Digest, encoding: Encoding, sized: bool) -> Box<dyn BlobWrite> {
    let size = sized.then_some(digest.size());
    store.begin(&instance("main"), digest.function(), encoding, size).await.expect("begins")
}

async fn write(writer: &mut dyn BlobWrite, data: &Bytes, piece: usize) {
    let mut rest = data.clone();
    while !rest.is_empty() {
        writer.write(rest.split_to(piece.min(rest.len()))).await.expect("writes");
    }
}

async fn every_size_in_any_pieces(store: &dyn BlobStore) {
    let main = instance("main");
    let mut seed = 0;
    for len in [0, 1, 70_000, 1_300_000] {
        for piece in [5000, 1 << 20, 4 << 20] {
            for sized in [true, false] {
                seed += 1;
                let data = noise(seed, len);
                let digest = sha256(&data);
                let mut writer = begin(store, &digest, Encoding::Identity, sized).await;
                write(&mut *writer, &data, piece).await;
                if let Some(known) = writer.digest() {
                    assert_eq!(known, digest, "who hashes hashes right");
                }
                writer.commit(digest).await.expect("commits");
                assert!(get(store, &main, &digest).await == Some(data), "{len} bytes by {piece}, sized: {sized}");
            }
        }
    }
}

async fn every_function(store: &dyn BlobStore) {
    let data = noise(1, 100_000);
    for function in FUNCTIONS {
        let digest = Digest::of(function, &data);
        let mut writer = begin(store, &digest, Encoding::Identity, true).await;
        write(&mut *writer, &data, 30_000).await;
        writer.commit(digest).await.expect("commits");
        assert!(get(store, &instance("main"), &digest).await.as_ref() == Some(&data), "{digest:?}");
    }
}

async fn zstd_comes_back_decoded(store: &dyn BlobStore) {
    let main = instance("main");
    let mut seed = 0;
    for make in [text, noise] {
        for len in [0, 100, 100_000, 1_300_000] {
            for sized in [true, false] {
                seed += 1;
                let data = make(seed, len);
                let new = zstd_blob(&data);
                let mut writer = begin(store, &new.digest, Encoding::Zstd, sized).await;
                write(&mut *writer, &new.data, 40_000).await;
                writer.commit(new.digest).await.expect("commits");
                assert!(get(store, &main, &new.digest).await == Some(data), "{len} sized: {sized}");
            }
        }
    }
}

async fn seen_only_when_committed(store: &dyn BlobStore) {
    let main = instance("main");
    let data = noise(1, 300_000);
    let digest = sha256(&data);
    let mut writer = begin(store, &digest, Encoding::Identity, true).await;
    assert!(!has(store, &main, &digest).await);
    write(&mut *writer, &data, 100_000).await;
    assert!(!has(store, &main, &digest).await, "all bytes, no commit");
    writer.commit(digest).await.expect("commits");
    assert!(has(store, &main, &digest).await);
    assert!(!has(store, &instance("other"), &digest).await);
}

async fn dropped_leaves_nothing(store: &dyn BlobStore) {
    let main = instance("main");
    put(store, &main, blob(&text(0, 100))).await;
    let before = store.usage();
    for len in [0, 100, 1_300_000] {
        for sized in [true, false] {
            let data = noise(7, len);
            let mut writer = begin(store, &sha256(&data), Encoding::Identity, sized).await;
            write(&mut *writer, &data, 1 << 20).await;
            drop(writer);
            assert!(!has(store, &main, &sha256(&data)).await, "{len}");
        }
    }
    assert_eq!(store.usage().blobs, before.blobs);
}

async fn two_writers_of_one_blob(store: &dyn BlobStore) {
    let main = instance("main");
    let data = noise(9, 600_000);
    let digest = sha256(&data);
    let mut one = begin(store, &digest, Encoding::Identity, true).await;
    let mut two = begin(store, &digest, Encoding::Identity, false).await;
    write(&mut *one, &data, 200_000).await;
    write(&mut *two, &data, 100_000).await;
    one.commit(digest).await.expect("commits");
    assert!(get(store, &main, &digest).await.as_ref() == Some(&data));
    two.commit(digest).await.expect("commits what is here");
    assert!(get(store, &main, &digest).await == Some(data));
    assert_eq!(store.usage().blobs, 1);
}
