use millrace_proto::digest::{Digest, DigestFunction};

use super::*;
use crate::error::Error;
use crate::testing::blob_store::{blob, noise, put, sha256, text, zstd_blob};

#[tokio::test]
async fn the_empty_blob_exists_always() {
    let Parts { room, memory, .. } = room();
    let main = instance("main");
    for function in [DigestFunction::Sha256, DigestFunction::Blake3] {
        let empty = Digest::empty(function);
        assert!(room.find_missing(&main, &[empty]).await.expect("looks").is_empty());
        assert_eq!(room.find(&main, function, empty.hash()).await.expect("looks"), Some(empty));
        let read = room.read_many(&main, &[empty], true).await.expect("reads");
        assert!(matches!(&read[..], [Ok((Encoding::Identity, data))] if data.is_empty()));
        assert!(room.whole(&main, &empty, 0).await.expect("reads").is_empty());
        assert!(collect(room.read(&main, &empty, Encoding::Identity, 0, None).await).await.expect("reads").is_empty());
        let frame = collect(room.read(&main, &empty, Encoding::Zstd, 0, None).await).await.expect("reads");
        assert!(!frame.is_empty() && zstd::decompress(&frame, 0).expect("is zstd").is_empty());
        let name = UploadName { digest: empty, ..name(&blob(&text(1, 1))) };
        assert!(matches!(room.upload(name.clone(), 0).await, Ok(UploadStart::Exists)));
        let status = room.upload_status(&name).await.expect("is known");
        assert_eq!(status, UploadStatus { committed_size: 0, complete: true });
    }
    let no_such = Digest::new(DigestFunction::Sha256, &[1; 32], 0).expect("is a digest");
    assert_eq!(room.find_missing(&main, &[no_such]).await.expect("looks"), [no_such], "size 0 alone is not empty");
    assert_eq!(memory.usage().blobs, 0);
}

#[tokio::test]
async fn a_batch_is_answered_one_by_one_up_to_its_limit() {
    let Parts { room, .. } = room_with(BlobLimits { batch_max_bytes: 10_000, ..BlobLimits::default() });
    let main = instance("main");
    let (a, b) = (text(1, 4000), noise(2, 5000));
    let wrong = NewBlob { data: text(3, 10), ..blob(&text(4, 10)) };
    let answers = room.write_many(&main, vec![zstd_blob(&a), wrong, blob(&b)]).await.expect("fits");
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);

    let digests = [sha256(&b), sha256(b"no such"), sha256(&a)];
    let read = room.read_many(&main, &digests, false).await.expect("fits");
    assert!(matches!(&read[0], Ok((Encoding::Identity, data)) if *data == b));
    assert!(matches!(&read[1], Err(Error::NotFound(_))));
    assert!(matches!(&read[2], Ok((Encoding::Identity, data)) if *data == a));
    let read = room.read_many(&main, &digests, true).await.expect("fits");
    assert!(matches!(&read[0], Ok((Encoding::Identity, data)) if *data == b));
    assert!(matches!(&read[2], Ok((Encoding::Zstd, data)) if *data == zstd_blob(&a).data), "as it is kept");

    let error = room.read_many(&main, &[sha256(&b), sha256(&b), sha256(&a)], false).await.expect_err("is over");
    assert!(matches!(error, Error::Invalid { .. }) && error.to_string().contains("10000"), "{error}");
    let error = room.write_many(&main, vec![blob(&noise(1, 10_001))]).await.expect_err("is over");
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    assert_eq!(room.find_missing(&main, &[sha256(&noise(1, 10_001))]).await.expect("looks").len(), 1);
}

#[tokio::test]
async fn a_wrong_size_at_rest_is_dropped() {
    let Parts { room, memory, .. } = room();
    let main = instance("main");
    let data = text(1, 1000);
    put(&memory, &main, NewBlob { data: zstd_blob(&text(1, 900)).data, ..zstd_blob(&data) }).await;
    assert!(matches!(room.whole(&main, &sha256(&data), 2000).await, Err(Error::NotFound(_))));
    assert_eq!(memory.usage().blobs, 0);
    assert!(matches!(room.whole(&main, &sha256(&data), 999).await, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn receives_what_has_no_name_yet() {
    let Parts { room, memory, .. } = room();
    let main = instance("main");
    for len in [0, 100, 100_000, 2_000_000] {
        for new in [blob(&text(1, len)), zstd_blob(&text(2, len))] {
            for size in [Some(len as u64), None] {
                let function = DigestFunction::Sha256;
                let mut receive = room.receive(&main, function, new.encoding, size).await.expect("begins");
                for piece in new.data.chunks(70_000) {
                    receive.write(Bytes::copy_from_slice(piece)).await.expect("writes");
                }
                assert_eq!(receive.finish(None).await.expect("finishes"), new.digest);
                assert!(room.remove(&main, &new.digest).await.expect("removes"));

                let mut receive = room.receive(&main, function, new.encoding, size).await.expect("begins");
                receive.write(new.data.clone()).await.expect("writes");
                let error = receive.finish(Some(sha256(b"another"))).await.expect_err("is another");
                assert!(matches!(error, Error::Invalid { .. }), "{error}");
                assert_eq!(memory.usage().blobs, 0);
            }
        }
    }
}
