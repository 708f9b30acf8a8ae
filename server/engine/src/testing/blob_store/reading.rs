//! Open blobs.

use std::sync::Arc;

use super::{blob, encoded, instance, noise, put, sha256};
use crate::blobs::{BlobSource, BlobStore};

pub(super) async fn run<F: Future<Output = Arc<dyn BlobStore>>>(open: &impl Fn() -> F) {
    pieces_from_anywhere(&*open().await).await;
    readers_do_not_mind_each_other(open().await).await;
}

async fn pieces_from_anywhere(store: &dyn BlobStore) {
    let main = instance("main");
    let data = noise(1, 2_000_000);
    put(store, &main, blob(&data)).await;
    let open = store.open(&main, &sha256(&data)).await.expect("opens").expect("is here");
    assert_eq!(open.stored_len, 2_000_000);
    let BlobSource::Pieces(pieces) = &open.source else { return };
    for offset in [0, 1, 4095, 4096, 999_999, 1_999_999, 12] {
        for max in [1, 1000, 1 << 20, 1 << 30] {
            let piece = pieces.read_at(offset, max).await.expect("reads");
            assert!(!piece.is_empty() && piece.len() <= max, "{offset} {max} {}", piece.len());
            let start = offset as usize;
            assert!(piece == data[start..start + piece.len()], "{offset} {max}");
        }
    }
    for offset in [2_000_000, 2_000_001, u64::MAX] {
        assert!(pieces.read_at(offset, 100).await.expect("reads").is_empty(), "{offset}: nothing at the end");
    }
}

async fn readers_do_not_mind_each_other(store: Arc<dyn BlobStore>) {
    let main = instance("main");
    let data = noise(2, 1_300_000);
    put(&*store, &main, blob(&data)).await;
    let read = |_| {
        let (store, data, main) = (Arc::clone(&store), data.clone(), main.clone());
        tokio::spawn(async move {
            let open = store.open(&main, &sha256(&data)).await.expect("opens").expect("is here");
            assert!(encoded(&open).await == data);
        })
    };
    for task in (0..8).map(read).collect::<Vec<_>>() {
        task.await.expect("reads");
    }
}
