use super::*;
use crate::error::Error;
use crate::testing::blob_store::{blob, get, noise, text, zstd_blob};

/// Takes the first `len` bytes and goes away.
async fn leave(room: &BlobRoom, new: &NewBlob, len: usize) {
    let mut writer = upload(room, &name(new), 0).await;
    writer.write(0, new.data.slice(..len)).await.expect("writes");
}

async fn taken(room: &BlobRoom, new: &NewBlob) -> Option<u64> {
    room.upload_status(&name(new)).await.ok().map(|status| status.committed_size)
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on() {
    for new in [blob(&noise(1, 2_000_000)), zstd_blob(&text(2, 3_000_000)), blob(&noise(3, 2000))] {
        let Parts { room, memory, .. } = room();
        leave(&room, &new, 1000).await;
        assert_eq!(taken(&room, &new).await, Some(1000));
        assert_eq!(memory.usage().blobs, 0);
        let error = room.upload(name(&new), 999).await.err().expect("is not where it was left");
        assert!(matches!(error, Error::Invalid { .. }) && error.to_string().contains("1000"), "{error}");
        let mut writer = upload(&room, &name(&new), 1000).await;
        assert_eq!(writer.taken(), 1000);
        let error = room.upload(name(&new), 1000).await.err().expect("is being written");
        assert!(matches!(error, Error::Conflict(_)), "{error}");
        writer.write(1000, new.data.slice(1000..)).await.expect("writes");
        assert_eq!(writer.finish().await.expect("finishes"), new.data.len() as u64);
        assert!(get(&memory, &instance("main"), &new.digest).await.is_some());
        assert!(!room.uploads.any());
    }
}

#[tokio::test]
async fn beginning_again_lets_go_of_what_was_left() {
    let Parts { room, .. } = room();
    let new = blob(&noise(1, 500_000));
    leave(&room, &new, 1000).await;
    let mut writer = upload(&room, &name(&new), 0).await;
    assert_eq!(writer.taken(), 0);
    writer.write(0, new.data.slice(..10)).await.expect("writes");
    assert_eq!(taken(&room, &new).await, Some(10), "never more than what can be gone on with");
    drop(writer);
    assert_eq!(taken(&room, &new).await, Some(10));
    upload(&room, &name(&new), 10).await.discard();
    assert_eq!(taken(&room, &new).await, None);
    assert!(!room.uploads.any());
}

#[tokio::test]
async fn what_was_left_is_kept_for_a_while_only() {
    let Parts { room, clock, .. } = room();
    let new = blob(&noise(1, 500_000));
    leave(&room, &new, 1000).await;
    clock.0.store(PARKED_UPLOADS_MAX_MS - 1, Relaxed);
    assert_eq!(taken(&room, &new).await, Some(1000));
    clock.0.store(PARKED_UPLOADS_MAX_MS, Relaxed);
    room.expire_uploads();
    assert!(!room.uploads.any());
    assert_eq!(taken(&room, &new).await, None);
}

#[tokio::test]
async fn the_oldest_goes_over_the_limits() {
    let news: Vec<NewBlob> = (0..4).map(|seed| blob(&noise(seed, 500_000))).collect();
    let by_count = BlobLimits { parked_uploads_max: 2, ..BlobLimits::default() };
    let by_bytes = BlobLimits { parked_uploads_max_bytes: 1_250_000, ..BlobLimits::default() };
    for limits in [by_count, by_bytes] {
        let Parts { room, clock, .. } = room_with(limits);
        for (at, new) in news.iter().enumerate() {
            clock.0.store(at as i64, Relaxed);
            leave(&room, new, 1000).await;
        }
        let mut left = Vec::new();
        for new in &news {
            left.push(taken(&room, new).await);
        }
        assert_eq!(left, [None, None, Some(1000), Some(1000)]);
    }
}

#[tokio::test]
async fn a_write_that_was_broken_off_is_not_gone_on_with() {
    let Parts { room, memory, .. } = room();
    let new = blob(&noise(1, 2_000_000));
    let mut writer = upload(&room, &name(&new), 0).await;
    writer.write(0, new.data.slice(..1000)).await.expect("writes");
    {
        // Hashing a piece of this size is sent to another thread: the first look can't see it done.
        let write = writer.write(1000, new.data.slice(1000..));
        assert!(futures::poll!(std::pin::pin!(write)).is_pending());
    }
    drop(writer);
    assert_eq!(taken(&room, &new).await, None);
    assert!(!room.uploads.any());
    assert_eq!(memory.usage().blobs, 0);
}

#[tokio::test]
async fn what_was_left_goes_when_the_blob_comes() {
    let Parts { room, .. } = room();
    let new = blob(&noise(1, 500_000));
    leave(&room, &new, 1000).await;
    let other = UploadName { uuid: "other".into(), ..name(&new) };
    let mut writer = upload(&room, &other, 0).await;
    writer.write(0, new.data.clone()).await.expect("writes");
    writer.finish().await.expect("finishes");
    assert!(!room.uploads.any());
    assert_eq!(taken(&room, &new).await, Some(500_000), "all of it: it is here");
}
