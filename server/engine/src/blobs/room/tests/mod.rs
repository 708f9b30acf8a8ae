mod batches;
mod parked;
mod reads;
mod uploads;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use crate::blobs::*;
use crate::clock::Clock;
use crate::error::Result;
use crate::testing::blob_store::instance;

#[derive(Default)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// A room as the server has it, on a store in memory, and both beside it.
struct Parts {
    room: BlobRoom,
    memory: MemoryBlobs,
    clock: Arc<HandClock>,
}

fn room() -> Parts {
    room_with(BlobLimits::default())
}

fn room_with(limits: BlobLimits) -> Parts {
    let (memory, clock) = (MemoryBlobs::default(), Arc::new(HandClock::default()));
    let store = AtRest::new(Arc::new(memory.clone()), false);
    let store = Verified::new(Arc::new(store), VerifyReads::Checksums);
    let store = SizeLimited::new(Arc::new(store), limits.blob_max_bytes);
    Parts { room: BlobRoom::new(Arc::new(store), limits, Arc::clone(&clock) as Arc<dyn Clock>), memory, clock }
}

fn name(new: &NewBlob) -> UploadName {
    UploadName { instance: instance("main"), uuid: "one".into(), digest: new.digest, encoding: new.encoding }
}

async fn upload(room: &BlobRoom, name: &UploadName, offset: u64) -> Upload {
    match room.upload(name.clone(), offset).await.expect("begins") {
        UploadStart::Upload(upload) => upload,
        UploadStart::Exists => panic!("is here"),
    }
}

async fn collect(stream: Result<BlobStream>) -> Result<Bytes> {
    let mut stream = stream?;
    let mut all = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        assert!(!piece.is_empty());
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}
