use super::*;
use crate::error::Error;
use crate::testing::blob_store::{blob, noise, put, sha256, text, zstd_blob};

#[tokio::test]
async fn every_encoding_from_every_offset() {
    let Parts { room, memory, .. } = room();
    let main = instance("main");
    let mut seed = 0;
    for len in [10, 60_000, 1 << 20, 2_500_000] {
        for (make, encode) in [(text as fn(u64, usize) -> Bytes, zstd_blob as fn(&Bytes) -> NewBlob), (noise, blob)] {
            seed += 1;
            let data = make(seed, len);
            let new = encode(&data);
            put(&memory, &main, new.clone()).await;
            for offset in [0, 9, len / 2, len] {
                let offset = offset.min(len);
                let read = |want, limit| room.read(&main, &new.digest, want, offset as u64, limit);
                let plain = collect(read(Encoding::Identity, None).await).await.expect("reads");
                assert!(plain == data[offset..], "{len} from {offset}");
                let encoded = collect(read(Encoding::Zstd, None).await).await.expect("reads");
                assert!(zstd::decompress(&encoded, len as u64).expect("is zstd") == data[offset..]);
                if offset == 0 && new.encoding == Encoding::Zstd {
                    assert!(encoded == new.data, "as it is kept");
                }
                for limit in [1, 2_000_000, u64::MAX] {
                    let part = collect(read(Encoding::Identity, Some(limit)).await).await.expect("reads");
                    let end = len.min(offset.saturating_add(usize::try_from(limit).unwrap_or(usize::MAX)));
                    assert!(part == data[offset..end], "{len} from {offset}, {limit} of it");
                }
            }
        }
    }
}

#[tokio::test]
async fn past_the_end_and_not_here() {
    let Parts { room, memory, .. } = room();
    let main = instance("main");
    let data = text(1, 1000);
    put(&memory, &main, blob(&data)).await;
    for want in [Encoding::Identity, Encoding::Zstd] {
        let error = room.read(&main, &sha256(&data), want, 1001, None).await.err().expect("is past the end");
        assert!(matches!(error, Error::Range(_)) && error.to_string().contains("1000"), "{error}");
        let error = room.read(&main, &sha256(b"x"), want, 0, None).await.err().expect("is not here");
        assert!(matches!(error, Error::NotFound(_)), "{error}");
        let error = room.read(&instance("other"), &sha256(&data), want, 0, None).await.err().expect("is not here");
        assert!(matches!(error, Error::NotFound(_)), "{error}");
    }
    let error = room.read(&main, &sha256(&data), Encoding::Zstd, 0, Some(10)).await.err().expect("is refused");
    assert!(matches!(error, Error::Invalid { field: "read_limit", .. }), "{error}");
}

#[tokio::test]
async fn an_open_read_outlives_its_blob() {
    let Parts { room, memory, .. } = room();
    let main = instance("main");
    let data = noise(1, 5_000_000);
    put(&memory, &main, blob(&data)).await;
    let stream = room.read(&main, &sha256(&data), Encoding::Identity, 0, None).await;
    assert!(room.remove(&main, &sha256(&data)).await.expect("removes"));
    assert!(collect(stream).await.expect("reads") == data);
}

#[tokio::test]
async fn broken_zstd_at_rest_is_dropped_and_never_served_whole() {
    let Parts { room, memory, .. } = room();
    let main = instance("main");
    // The declared size is more than what is kept decodes to.
    let data = text(1, 4_000_000);
    put(&memory, &main, NewBlob { data: zstd_blob(&data.slice(..3_000_000)).data, ..zstd_blob(&data) }).await;
    let stream = room.read(&main, &sha256(&data), Encoding::Identity, 0, None).await;
    assert!(matches!(collect(stream).await, Err(Error::NotFound(_))));
    assert_eq!(memory.usage().blobs, 0);
}
