//! Blobs on their way: corrupt answers, broken streams, a server that is away.

use std::sync::Arc;

use super::*;
use crate::action::cas::{CasError, batches};

/// More than goes into a batch, and several pieces of a stream.
fn large() -> Vec<u8> {
    let mut content = Vec::with_capacity(3_200_000);
    for number in 0..800_000_u32 {
        content.extend_from_slice(&number.to_le_bytes());
    }
    content
}

#[tokio::test]
async fn corrupt_answers_are_asked_for_again_and_never_used() {
    let room = Room::new().await;
    let file = room.blob("some content");
    let root = room.files(&[("a", "some content")]);
    room.server.set(|state| state.corrupt = [(file, 1), (root, 1)].into());
    drop(room.lay(root, "1").await.expect("is laid out"));
    assert_eq!(read(&room.path("1/a")), "some content");
    let big = room.blob(large());
    let node = FileNode { name: "big".into(), digest: wire(&big).into(), ..Default::default() };
    let root = room.directory(&Directory { files: vec![node], ..Default::default() });
    room.server.set(|state| state.corrupt = [(big, 1)].into());
    drop(room.lay(root, "2").await.expect("is laid out"));
    assert!(std::fs::read(room.path("2/big")).unwrap() == large());
    let worse = room.blob("never right");
    let node = FileNode { name: "w".into(), digest: wire(&worse).into(), ..Default::default() };
    let root = room.directory(&Directory { files: vec![node], ..Default::default() });
    room.server.set(|state| state.corrupt = [(worse, usize::MAX)].into());
    let error = room.lay(root, "3").await.unwrap_err();
    assert!(error.gives_back() && error.to_string().contains(&worse.hex()), "{error}");
    assert!(!room.path("3").exists());
    assert_eq!(std::fs::read_dir(room.path("cache/incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_where_it_was() {
    let room = Room::new().await;
    let node = room.file("big", large());
    let root = room.directory(&Directory { files: vec![node], ..Default::default() });
    room.server.set(|state| state.break_streams = 2);
    drop(room.lay(root, "1").await.expect("is laid out"));
    assert!(std::fs::read(room.path("1/big")).unwrap() == large());
    assert_eq!(room.server.state().offsets, [0, 256 * 1024, 512 * 1024]);
}

#[tokio::test]
async fn an_upload_that_breaks_goes_on_where_it_was() {
    let room = Room::new().await;
    let content = Bytes::from(large());
    let digest = Digest::of(SHA256, &content);
    room.server.set(|state| state.break_streams = 2);
    room.cas.write(&InstanceName::default(), digest, Arc::new(content.clone())).await.expect("is stored");
    assert_eq!(room.server.get(&digest), Some(content));
    assert_eq!(room.server.state().offsets, [0, 1024 * 1024, 2 * 1024 * 1024]);
    assert_eq!(room.server.calls("query"), 2);
}

#[tokio::test]
async fn an_upload_ends_when_somebody_else_has_stored_the_blob() {
    let room = Room::new().await;
    let content = Bytes::from(large());
    let digest = Digest::of(SHA256, &content);
    room.server.set(|state| {
        state.appears.insert(digest);
        state.blobs.insert(digest, content.clone());
    });
    room.cas.write(&InstanceName::default(), digest, Arc::new(content)).await.expect("is there");
    assert!(room.server.calls("write") >= 1);
}

#[tokio::test]
async fn other_bytes_than_those_of_the_digest_are_refused() {
    let room = Room::new().await;
    let digest = Digest::of(SHA256, b"right");
    let outcome = room.cas.write(&InstanceName::default(), digest, Arc::new(Bytes::from_static(b"wrong"))).await;
    assert!(matches!(outcome, Err(CasError::Refused(_))), "{outcome:?}");
    let outcome = room.cas.write_batch(&InstanceName::default(), vec![(digest, Bytes::from_static(b"wrong"))]).await;
    assert!(matches!(outcome, Err(CasError::Refused(_))), "{outcome:?}");
    assert_eq!(room.server.get(&digest), None);
    let short = room.cas.write(&InstanceName::default(), digest, Arc::new(Bytes::from_static(b"r"))).await;
    assert!(matches!(short, Err(CasError::Source(_))), "{short:?}");
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_is_waited_for() {
    let room = Room::new().await;
    let root = room.files(&[("a", "aaaa")]);
    room.server.set(|state| state.away = 2);
    drop(room.lay(root, "1").await.expect("is laid out"));
    room.server.set(|state| state.away = 2);
    std::fs::create_dir(room.path("out")).unwrap();
    std::fs::write(room.path("out/o"), "output").unwrap();
    room.store(&command(&["o"])).await.expect("is stored");
    assert!(room.server.get(&Digest::of(SHA256, b"output")).is_some());
    let impatient = room.cas.clone().with_patience(Duration::ZERO);
    room.server.set(|state| state.away = usize::MAX);
    let error = impatient.find_missing(&InstanceName::default(), &[root]).await.unwrap_err();
    assert!(matches!(&error, CasError::Unavailable(text) if text.contains("away")), "{error}");
    assert!(ActionError::from(error).gives_back());
}

#[tokio::test]
async fn many_small_blobs_go_in_few_calls() {
    let room = Room::new().await;
    let contents: Vec<_> = (0..40_u8).map(|byte| Bytes::from(vec![byte; 300_000])).collect();
    let blobs: Vec<_> = contents.iter().map(|content| (Digest::of(SHA256, content), content.clone())).collect();
    room.cas.write_batch(&InstanceName::default(), blobs.clone()).await.expect("are stored");
    let calls = room.server.calls("batch_update");
    assert!((4..=5).contains(&calls), "{calls} calls for 12 MB");
    let digests: Vec<_> = blobs.iter().map(|(digest, _)| *digest).collect();
    for batch in batches(digests.iter().copied()) {
        assert_eq!(room.cas.read_batch(&InstanceName::default(), &batch).await.expect("are there").len(), batch.len());
    }
    let more = [digests[0], Digest::of(SHA256, b"gone")];
    assert_eq!(room.cas.find_missing(&InstanceName::default(), &more).await.unwrap(), [more[1]]);
}
