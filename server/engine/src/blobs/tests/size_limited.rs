use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::digest::DigestFunction;

use crate::blobs::*;
use crate::testing::blob_store::{blob, has, instance, noise, sha256, zstd_blob};

#[tokio::test]
async fn too_large_is_refused_before_it_is_read_and_names_the_limit() {
    let memory = MemoryBlobs::default();
    let verified = Verified::new(Arc::new(memory.clone()), VerifyReads::Checksums);
    let store = SizeLimited::new(Arc::new(verified), 1000);
    let main = instance("main");
    let (fits, over) = (noise(1, 1000), noise(2, 1001));
    let answers = store.put(&main, vec![blob(&over), blob(&fits), blob(&over)]).await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, false]);
    let message = answers[0].as_ref().expect_err("is over").to_string();
    assert!(message.contains("1001") && message.contains("limit is 1000"), "{message}");
    assert!(has(&store, &main, &sha256(&fits)).await);

    assert!(store.begin(&main, DigestFunction::Sha256, Encoding::Zstd, Some(1001)).await.is_err());
    let begin = async |encoding| store.begin(&main, DigestFunction::Sha256, encoding, None).await.expect("begins");
    let mut writer = begin(Encoding::Identity).await;
    writer.write(fits.clone()).await.expect("fits");
    assert!(writer.write(Bytes::from("x")).await.is_err(), "the size shows by and by");
    let mut writer = begin(Encoding::Zstd).await;
    let bomb = zstd_blob(&Bytes::from(vec![0; 100_000])).data;
    assert!(writer.write(bomb).await.is_err(), "decoded bytes count");
    assert_eq!(memory.usage().blobs, 1);
}
