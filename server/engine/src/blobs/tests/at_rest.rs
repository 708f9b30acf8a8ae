use std::sync::Arc;

use bytes::Bytes;

use crate::blobs::*;
use crate::testing::blob_store::{blob, decoded, encoded, instance, noise, put, sha256, text, zstd_blob};

/// Puts by a stream in pieces of `piece` bytes.
async fn stream(store: &dyn BlobStore, new: &NewBlob, piece: usize) {
    let (function, size) = (new.digest.function(), Some(new.digest.size()));
    let mut writer = store.begin(&instance("main"), function, new.encoding, size).await.expect("begins");
    for piece in new.data.chunks(piece) {
        writer.write(Bytes::copy_from_slice(piece)).await.expect("writes");
    }
    writer.commit(new.digest).await.expect("commits");
}

/// How a blob is kept, put in both ways, and that it is right.
async fn kept(compress: bool, new: &NewBlob, data: &Bytes) -> Vec<Encoding> {
    let mut kept = Vec::new();
    for piece in [None, Some(1000), Some(300_000), Some(usize::MAX)] {
        let memory = MemoryBlobs::default();
        let store = AtRest::new(Arc::new(memory.clone()), compress);
        match piece {
            None => put(&store, &instance("main"), new.clone()).await,
            Some(piece) => stream(&store, new, piece).await,
        }
        let open = memory.open(&instance("main"), &new.digest).await.expect("opens").expect("is here");
        assert!(decoded(&open, &new.digest).await == data);
        if open.encoding == Encoding::Zstd && data.len() <= 1 << 20 {
            assert!(zstd::is_one_frame(&encoded(&open).await, new.digest.size()), "small ones say their size");
        }
        kept.push(open.encoding);
    }
    kept
}

/// A blob as many frames without sizes: as clients that stream send it.
fn frames(data: &Bytes) -> NewBlob {
    let mut encoded = Vec::new();
    for part in data.chunks(40_000) {
        let mut encoder = zstd::Encoder::new(None).expect("makes");
        encoder.encode(part, &mut encoded).expect("encodes");
        encoder.finish(&mut encoded).expect("ends");
    }
    NewBlob { digest: sha256(data), encoding: Encoding::Zstd, data: encoded.into() }
}

#[tokio::test]
async fn zstd_stays_where_it_pays() {
    for len in [1000, 100_000, 1 << 20, 1_500_000] {
        let (good, bad) = (text(1, len), noise(1, len));
        assert_eq!(kept(false, &zstd_blob(&good), &good).await, [Encoding::Zstd; 4], "{len}");
        assert_eq!(kept(false, &frames(&good), &good).await, [Encoding::Zstd; 4], "{len}");
        assert_eq!(kept(false, &zstd_blob(&bad), &bad).await, [Encoding::Identity; 4], "{len}");
        assert_eq!(kept(false, &frames(&bad), &bad).await, [Encoding::Identity; 4], "{len}");
    }
    let empty = Bytes::new();
    assert_eq!(kept(false, &zstd_blob(&empty), &empty).await, [Encoding::Identity; 4]);
}

#[tokio::test]
async fn identity_is_compressed_only_where_asked_and_where_it_pays() {
    for len in [1000, 200_000, 1_500_000] {
        let (good, bad) = (text(1, len), noise(1, len));
        assert_eq!(kept(false, &blob(&good), &good).await, [Encoding::Identity; 4], "{len}");
        assert_eq!(kept(true, &blob(&good), &good).await, [Encoding::Zstd; 4], "{len}");
        assert_eq!(kept(true, &blob(&bad), &bad).await, [Encoding::Identity; 4], "{len}");
    }
    let tiny = text(1, 100);
    assert_eq!(kept(true, &blob(&tiny), &tiny).await, [Encoding::Identity; 4], "not worth it");
}

#[tokio::test]
async fn a_batch_of_all_kinds_is_answered_in_order() {
    let memory = MemoryBlobs::default();
    let store = AtRest::new(Arc::new(memory.clone()), false);
    let main = instance("main");
    let broken = NewBlob { data: Bytes::from("no zstd"), ..zstd_blob(&text(9, 1000)) };
    let all = vec![blob(&text(1, 500)), broken, frames(&text(2, 90_000)), zstd_blob(&noise(3, 900))];
    let answers = store.put(&main, all).await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    assert_eq!(memory.usage().blobs, 3);
}
