//! Blobs as chunks and chunks as blobs.

use super::*;

/// The same bytes on every machine, with nothing in them that repeats.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

#[tokio::test]
async fn a_blob_is_cut_and_made_again() {
    let scene = scene();
    let content = noise(10_000_000);
    let blob = scene.put_large(&content).await;
    let chunks = scene.chunking.split(&scene.main, &blob).await.expect("cuts");
    assert!(chunks.len() > 5);
    let mut joined = Vec::new();
    for chunk in &chunks {
        joined.extend_from_slice(&scene.room.whole(&scene.main, chunk, u64::MAX).await.expect("a blob"));
    }
    assert!(joined == content, "together, in order, they are the blob");
    let opened = scene.opened();
    assert_eq!(scene.chunking.split(&scene.main, &blob).await.expect("cuts"), chunks);
    assert_eq!(scene.opened(), opened, "how it was cut is remembered");
    scene.drop_blob(&chunks[1]).await;
    assert_eq!(
        scene.chunking.split(&scene.main, &blob).await.expect("cuts"),
        chunks,
        "a chunk that went is made again"
    );
    scene.drop_blob(&blob).await;
    let missing = scene.chunking.split(&scene.main, &blob).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    for expected in [Some(blob), None] {
        let made = scene.chunking.splice(&scene.main, SHA256, expected, &chunks).await.expect("made");
        assert_eq!(made, blob);
        assert!(scene.room.whole(&scene.main, &blob, u64::MAX).await.expect("a blob") == content);
        scene.drop_blob(&blob).await;
    }
}

#[tokio::test]
async fn small_blobs_are_one_chunk() {
    let scene = scene();
    for len in [0, 1, CHUNK_MIN_BYTES] {
        let blob = scene.put_large(&noise(len)).await;
        assert_eq!(scene.chunking.split(&scene.main, &blob).await.expect("cuts"), [blob]);
    }
    let missing = scene.chunking.split(&scene.main, &Digest::of(SHA256, b"x")).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
}

#[tokio::test]
async fn chunks_that_do_not_make_the_blob_are_refused_and_leave_nothing() {
    let scene = scene();
    let (a, b) = (scene.put("aaa").await, scene.put("bbb").await);
    let blob = Digest::of(SHA256, b"aaabbb");
    let splice = async |expected, chunks: &[Digest]| scene.chunking.splice(&scene.main, SHA256, expected, chunks).await;
    let wrong_order = splice(Some(blob), &[b, a]).await;
    assert!(matches!(wrong_order, Err(Error::Invalid { .. })), "{wrong_order:?}");
    let wrong_size = splice(Some(blob), &[a]).await;
    assert!(matches!(wrong_size, Err(Error::Invalid { field: "blob_digest", .. })), "{wrong_size:?}");
    let missing = splice(Some(blob), &[a, Digest::of(SHA256, b"ccc")]).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    let usage = scene.room.usage();
    assert_eq!(usage.blobs, 2, "nothing is left");
    assert_eq!(splice(Some(blob), &[a, b]).await.expect("made"), blob);
    assert_eq!(splice(Some(blob), &[b, a]).await.expect("it is here already"), blob);
    assert_eq!(splice(None, &[]).await.expect("made"), Digest::empty(SHA256));
    assert_eq!(splice(None, &[a, a]).await.expect("made"), Digest::of(SHA256, b"aaaaaa"), "a chunk may repeat");
    let limits = BlobLimits { blob_max_bytes: 5, ..BlobLimits::default() };
    let small = scene_with(ActionCacheOptions::default(), limits);
    let large = small.chunking.splice(&small.main, SHA256, None, &[a, b]).await;
    assert!(matches!(large, Err(Error::Invalid { field: "chunk_digests", .. })), "{large:?}");
}

impl Scene {
    async fn put_large(&self, content: &[u8]) -> Digest {
        let size = Some(content.len() as u64);
        let mut receive = self.room.receive(&self.main, SHA256, Encoding::Identity, size).await.expect("begins");
        for piece in content.chunks(1_000_000) {
            receive.write(Bytes::copy_from_slice(piece)).await.expect("takes");
        }
        receive.finish(None).await.expect("stored")
    }
}
