use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::digest::Digest;

use crate::blobs::*;
use crate::error::Error;
use crate::testing::blob_store::{blob, get, has, instance, noise, put, sha256, text, zstd_blob};

fn verified(reads: VerifyReads) -> (MemoryBlobs, Verified) {
    let memory = MemoryBlobs::default();
    (memory.clone(), Verified::new(Arc::new(memory), reads))
}

#[tokio::test]
async fn lies_in_a_batch_are_told_one_by_one() {
    let (memory, store) = verified(VerifyReads::Checksums);
    let main = instance("main");
    let (a, b, c) = (text(1, 5000), text(2, 5000), text(3, 100));
    let longer = Digest::new(sha256(&c).function(), sha256(&c).hash(), 101).expect("is a digest");
    let shorter = Digest::new(sha256(&c).function(), sha256(&c).hash(), 99).expect("is a digest");
    let lies = vec![
        blob(&a),
        NewBlob { data: a.clone(), ..blob(&b) },
        NewBlob { digest: longer, ..blob(&c) },
        zstd_blob(&b),
        NewBlob { digest: shorter, ..zstd_blob(&c) },
        NewBlob { encoding: Encoding::Zstd, ..blob(&c) },
        NewBlob { data: zstd_blob(&a).data.slice(..20), ..zstd_blob(&c) },
    ];
    let answers = store.put(&main, lies).await;
    let good: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, false, true, false, false, false]);
    assert_eq!(memory.usage().blobs, 2);
    let message = answers[1].as_ref().expect_err("is a lie").to_string();
    assert!(message.contains(&sha256(&a).hex()) && message.contains(&sha256(&b).hex()), "says both: {message}");
    for answer in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(answer, Error::Invalid { .. }), "{answer}");
    }
}

#[tokio::test]
async fn lies_in_a_stream_leave_nothing() {
    let (memory, store) = verified(VerifyReads::Checksums);
    let main = instance("main");
    let data = noise(1, 500_000);
    let said = sha256(&data);
    for (lie, sized) in [(noise(2, 500_000), true), (noise(2, 500_000), false), (data.slice(1..), true)] {
        let size = sized.then_some(said.size());
        let mut writer = store.begin(&main, said.function(), Encoding::Identity, size).await.expect("begins");
        writer.write(lie).await.expect("writes");
        assert!(matches!(writer.commit(said).await, Err(Error::Invalid { .. })));
    }
    let mut writer = store.begin(&main, said.function(), Encoding::Identity, Some(100)).await.expect("begins");
    assert!(matches!(writer.write(data).await, Err(Error::Invalid { .. })), "more than was announced");
    assert!(writer.commit(said).await.is_err(), "after an error nothing is taken");
    assert_eq!(memory.usage().blobs, 0);
}

#[tokio::test]
async fn a_zstd_bomb_in_a_stream_is_refused() {
    let (memory, store) = verified(VerifyReads::Checksums);
    let main = instance("main");
    let zeros = Bytes::from(vec![0; 30_000_000]);
    let bomb = zstd_blob(&zeros).data;
    let said = sha256(&text(1, 1000));
    let mut writer = store.begin(&main, said.function(), Encoding::Zstd, Some(1000)).await.expect("begins");
    let error = writer.write(bomb).await.expect_err("is a bomb");
    assert!(error.to_string().contains("more than 1000 bytes"), "{error}");
    let mut writer = store.begin(&main, said.function(), Encoding::Zstd, Some(1000)).await.expect("begins");
    writer.write(zstd_blob(&text(1, 1000)).data).await.expect("writes");
    assert!(writer.write(Bytes::from("trailing garbage")).await.is_err());
    assert_eq!(memory.usage().blobs, 0);
}

#[tokio::test]
async fn what_rots_is_dropped_and_not_served() {
    let main = instance("main");
    for new in [blob(&noise(1, 1000)), blob(&noise(2, 400_000)), zstd_blob(&text(3, 2_000_000))] {
        let (memory, store) = verified(VerifyReads::Always);
        put(&store, &main, new.clone()).await;
        assert!(get(&store, &main, &new.digest).await.is_some());
        assert!(memory.corrupt(&main, &new.digest));
        assert!(store.open(&main, &new.digest).await.expect("opens").is_none());
        assert!(!has(&memory, &main, &new.digest).await, "it is gone, so that it can come again");
        put(&store, &main, new.clone()).await;
        assert!(get(&store, &main, &new.digest).await.is_some());
    }
}
