use std::sync::Arc;

use crate::blobs::*;
use crate::testing::{blob_store, entry_store};

async fn suite(wrap: impl Fn(Arc<dyn BlobStore>) -> Arc<dyn BlobStore>) {
    blob_store::run(|| async { wrap(Arc::new(MemoryBlobs::default())) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    suite(|store| store).await;
    entry_store::run(|| async { Arc::new(MemoryBlobs::default()) as Arc<dyn EntryStore> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verified() {
    suite(|store| Arc::new(Verified::new(store, VerifyReads::Checksums))).await;
    suite(|store| Arc::new(Verified::new(store, VerifyReads::Always))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metered() {
    suite(|store| Arc::new(Metered::new(store, Arc::default()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn size_limited() {
    suite(|store| Arc::new(SizeLimited::new(store, 64 << 20))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_through() {
    suite(|store| Arc::new(ReadThrough::new(store, Arc::new(MemoryBlobs::default())))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_rest() {
    suite(|store| Arc::new(AtRest::new(store, false))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_them() {
    suite(|store| {
        let store = Arc::new(ReadThrough::new(store, Arc::new(MemoryBlobs::default())));
        let store = Arc::new(AtRest::new(Arc::new(Metered::new(store, Arc::default())), false));
        Arc::new(SizeLimited::new(Arc::new(Verified::new(store, VerifyReads::Always)), 64 << 20))
    })
    .await;
}
