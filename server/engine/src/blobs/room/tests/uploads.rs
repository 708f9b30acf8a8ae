use super::*;
use crate::error::Error;
use crate::testing::blob_store::{blob, get, noise, text, zstd_blob};

/// Of the sizes that are gathered and those that are not.
fn blobs() -> Vec<(Bytes, NewBlob)> {
    let all = [text(1, 1000), noise(2, 200_000), text(3, 700_000), noise(4, 1_300_000)];
    all.iter().flat_map(|data| [(data.clone(), blob(data)), (data.clone(), zstd_blob(data))]).collect()
}

#[tokio::test]
async fn piece_by_piece_and_then_it_exists() {
    for (data, new) in blobs() {
        let Parts { room, memory, .. } = room();
        let name = name(&new);
        assert!(matches!(room.upload_status(&name).await, Err(Error::NotFound(_))));
        let mut writer = upload(&room, &name, 0).await;
        for piece in new.data.chunks(new.data.len() / 3 + 1) {
            let step = writer.write(writer.taken(), Bytes::copy_from_slice(piece)).await.expect("writes");
            assert_eq!(step, UploadStep::More);
            let status = room.upload_status(&name).await.expect("is known");
            assert_eq!(status, UploadStatus { committed_size: writer.taken(), complete: false });
        }
        assert_eq!(memory.usage().blobs, 0, "nothing is seen before the end");
        assert_eq!(writer.finish().await.expect("finishes"), new.data.len() as u64, "encoded bytes");
        let status = room.upload_status(&name).await.expect("is known");
        assert_eq!(status, UploadStatus { committed_size: new.digest.size(), complete: true });
        assert!(get(&memory, &instance("main"), &new.digest).await == Some(data));
        assert!(matches!(room.upload(name, 0).await, Ok(UploadStart::Exists)));
    }
}

#[tokio::test]
async fn wrong_offsets_and_lies_leave_nothing() {
    for (_, new) in blobs() {
        let Parts { room, memory, .. } = room();
        let name = name(&new);
        let half = new.data.len() / 2;

        let error = room.upload(name.clone(), 7).await.err().expect("nothing is taken");
        assert!(matches!(error, Error::Invalid { field: "write_offset", .. }), "{error}");

        let mut writer = upload(&room, &name, 0).await;
        writer.write(0, new.data.slice(..half)).await.expect("writes");
        for wrong in [0, half as u64 + 1] {
            let error = writer.write(wrong, new.data.slice(half..)).await.expect_err("is a wrong offset");
            assert!(matches!(error, Error::Invalid { field: "write_offset", .. } | Error::Internal(_)), "{error}");
        }
        drop(writer);

        let mut writer = upload(&room, &name, 0).await;
        writer.write(0, new.data.slice(..half)).await.expect("writes");
        let error = writer.finish().await.expect_err("is not all");
        assert!(matches!(error, Error::Invalid { .. }), "{error}");

        let mut writer = upload(&room, &name, 0).await;
        writer.write(0, new.data.clone()).await.expect("writes");
        let over = writer.write(new.data.len() as u64, Bytes::from("one byte over")).await;
        let over = match over {
            Ok(_) => writer.finish().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(matches!(over, Err(Error::Invalid { .. })), "{over:?}");

        let mut writer = upload(&room, &name, 0).await;
        let mut lie = new.data.to_vec();
        lie[half] ^= 1;
        let lied = match writer.write(0, lie.into()).await {
            Ok(_) => writer.finish().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(matches!(lied, Err(Error::Invalid { .. })), "{lied:?}");

        assert_eq!(memory.usage().blobs, 0);
        assert!(matches!(room.upload_status(&name).await, Err(Error::NotFound(_))), "none is kept to go on with");
    }
}

#[tokio::test]
async fn too_large_is_refused_before_it_is_read() {
    let Parts { room, .. } = room_with(BlobLimits { blob_max_bytes: 1_000_000, ..BlobLimits::default() });
    let new = blob(&noise(1, 1_000_001));
    let error = room.upload(name(&new), 0).await.err().expect("is too large");
    assert!(matches!(error, Error::Invalid { .. }) && error.to_string().contains("1000000"), "{error}");
}

#[tokio::test]
async fn the_first_of_two_writers_ends_the_other_early() {
    for (_, new) in blobs() {
        let Parts { room, .. } = room();
        let (one, other) = (name(&new), UploadName { uuid: "other".into(), ..name(&new) });
        let half = new.data.slice(..new.data.len() / 2);
        let mut slow = upload(&room, &one, 0).await;
        slow.write(0, half.clone()).await.expect("writes");
        let mut same_name = upload(&room, &one, 0).await;
        same_name.write(0, half.clone()).await.expect("writes");
        assert_eq!(slow.write(slow.taken(), Bytes::new()).await.expect("writes"), UploadStep::More);
        let mut fast = upload(&room, &other, 0).await;
        fast.write(0, new.data.clone()).await.expect("writes");
        fast.finish().await.expect("finishes");
        for writer in [&mut slow, &mut same_name] {
            let step = writer.write(writer.taken(), half.clone()).await.expect("writes");
            assert_eq!(step, UploadStep::ExistsNow);
        }
        drop((slow, same_name));
        assert!(!room.uploads.any(), "nothing is kept of what nobody needs");
    }
}

#[tokio::test]
async fn a_batch_ends_an_upload_early_too() {
    let Parts { room, .. } = room();
    let new = blob(&noise(1, 400_000));
    let mut writer = upload(&room, &name(&new), 0).await;
    writer.write(0, new.data.slice(..100)).await.expect("writes");
    assert!(room.write_many(&instance("main"), vec![new.clone()]).await.expect("fits")[0].is_ok());
    assert_eq!(writer.write(100, new.data.slice(100..)).await.expect("writes"), UploadStep::ExistsNow);
}

#[tokio::test]
async fn one_uuid_for_several_digests() {
    let Parts { room, memory, .. } = room();
    let news: Vec<NewBlob> = (0..3).map(|seed| blob(&noise(seed, 300_000))).collect();
    let mut writers = Vec::new();
    for new in &news {
        let mut writer = upload(&room, &name(new), 0).await;
        writer.write(0, new.data.slice(..1000)).await.expect("writes");
        writers.push(writer);
    }
    for (mut writer, new) in writers.into_iter().zip(&news) {
        writer.write(1000, new.data.slice(1000..)).await.expect("writes");
        writer.finish().await.expect("finishes");
    }
    assert_eq!(memory.usage().blobs, 3);
}
