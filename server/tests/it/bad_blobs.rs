//! What nobody should send to the remote cache, and what each of it is told. Nothing of it is left.

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use bazel_remote_apis::google::bytestream::WriteRequest;
use prost::Message;
use tonic::Code;

use crate::app::{Options, TestApp};
use crate::cas_client::{Remote, digest, noise, pieces, put};
use millrace_server::config::RawCacheConfig;

fn named(hash: &str, size_bytes: i64) -> re::Digest {
    re::Digest { hash: hash.into(), size_bytes }
}

#[tokio::test]
async fn digests_that_are_none_are_refused_by_field_in_every_call() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let good = digest(b"good");
    let cases = [
        (named(&good.hash.to_uppercase(), 4), "hash"),
        (named(&good.hash[1..], 4), "hash"),
        (named(&good.hash.replace(&good.hash[..1], "g"), 4), "hash"),
        (named("", 4), "hash"),
        (named(&good.hash, -1), "size"),
        (named(&good.hash, i64::MIN), "size"),
    ];
    for (bad, part) in cases {
        let told = |what: &str, status: tonic::Status, field: &str| {
            assert_eq!(status.code(), Code::InvalidArgument, "{what} of {bad:?}: {status}");
            let message = status.message();
            assert!(message.contains(field) && message.contains(part), "{what} of {bad:?}: {message}");
        };
        let list = [good.clone(), bad.clone()];
        told("missing", remote.missing(&list).await.expect_err("bad"), "blob_digests[1]");
        told("read", remote.read_batch(&list, &[]).await.expect_err("bad"), "digests[1]");
        let mut request = put(b"good");
        request.digest = Some(bad.clone());
        told("update", remote.update(vec![put(b"good"), request]).await.expect_err("bad"), "requests[1].digest");
        told("tree", remote.tree(&bad, 0, "").await.expect_err("bad"), "root_digest");
        told("action", remote.action(&bad).await.expect_err("bad"), "action_digest");
        let updated = remote.update_action(&bad, re::ActionResult::default()).await;
        told("result", updated.expect_err("bad"), "action_digest");
        let status = remote.read(&remote.read_name(&bad)).await.expect_err("bad");
        assert_eq!(status.code(), Code::InvalidArgument, "{bad:?}: {status}");
        let status = remote.write(&remote.write_name(&bad), b"good").await.expect_err("bad");
        assert_eq!(status.code(), Code::InvalidArgument, "{bad:?}: {status}");
    }
    assert!(!remote.has(&good).await, "a batch with a digest that is none is refused whole");
    test.close().await;
}

#[tokio::test]
async fn a_digest_that_is_missing_is_asked_for() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let status = remote.actions.clone().get_action_result(re::GetActionResultRequest::default()).await;
    assert!(status.expect_err("no digest").message().contains("action_digest"));
    let status = remote.cas.clone().get_tree(re::GetTreeRequest::default()).await;
    assert!(status.expect_err("no digest").message().contains("root_digest"));
    let mut request = put(b"x");
    request.digest = None;
    assert!(remote.update(vec![request]).await.expect_err("no digest").message().contains("requests[0].digest"));
    let request = re::UpdateActionResultRequest { action_digest: Some(digest(b"a")), ..Default::default() };
    let status = remote.actions.clone().update_action_result(request).await.expect_err("no result");
    assert!(status.code() == Code::InvalidArgument && status.message().contains("action_result"), "{status}");
    test.close().await;
}

#[tokio::test]
async fn functions_that_are_not_served_are_refused() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    for function in [3, 4, 7, 8, 10, 99, -1] {
        let request = re::FindMissingBlobsRequest {
            blob_digests: vec![named("0cc175b9c0f1b6a831c399e269772661", 1)],
            digest_function: function,
            ..Default::default()
        };
        let status = remote.cas.clone().find_missing_blobs(request).await.expect_err("not served");
        assert_eq!(status.code(), Code::InvalidArgument, "{function}: {status}");
        assert!(status.message().contains("digest_function"), "{function}: {status}");
    }
    test.close().await;
}

#[tokio::test]
async fn names_that_mean_nothing_are_refused() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let hash = digest(b"x").hash;
    let names = [
        String::new(),
        "garbage".into(),
        "blobs".into(),
        format!("blobs/{hash}"),
        format!("blobs/{hash}/"),
        format!("blobs/{hash}/x"),
        format!("blobs/{hash}/-1"),
        format!("blobs/{hash}/99999999999999999999"),
        format!("blobs/sha257/{hash}/1"),
        format!("a//blobs/{hash}/1"),
        format!("a/blobs/blobs/{hash}/1"),
        format!("compressed-blobs/{hash}/1"),
        format!("../../blobs/{}/1", &hash[1..]),
        "x/".repeat(5_000),
        format!("a\0b/blobs/{hash}/1"),
    ];
    for name in &names {
        let status = remote.read(name).await.expect_err(name);
        assert_eq!(status.code(), Code::InvalidArgument, "read {name:?}: {status}");
        assert!(status.message().len() < 2_000, "the answer is no echo");
        let write = WriteRequest { resource_name: name.clone(), finish_write: true, ..Default::default() };
        let status = remote.send(vec![write]).await.expect_err(name);
        assert_eq!(status.code(), Code::InvalidArgument, "write {name:?}: {status}");
        let status = remote.status(name).await.expect_err(name);
        assert_eq!(status.code(), Code::InvalidArgument, "status of {name:?}: {status}");
    }
    // The names of the one are not those of the other, and there are no log streams yet.
    let status = remote.read(&remote.write_name(&digest(b"x"))).await.expect_err("a write name");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let status = remote.read("p/logstreams/some").await.expect_err("no log");
    assert_eq!(status.code(), Code::NotFound, "{status}");
    let write = WriteRequest { resource_name: "p/logstreams/some/token".into(), ..Default::default() };
    assert_eq!(remote.send(vec![write]).await.expect_err("no log").code(), Code::NotFound);
    test.close().await;
}

#[tokio::test]
async fn a_blob_over_the_limit_is_refused_before_it_is_read() {
    let cache = RawCacheConfig { blob_max: Some("1MB".into()), ..Default::default() };
    let test = TestApp::start(Options { cache, ..Options::default() }).await;
    let remote = Remote::of(&test);
    let huge = named(&digest(b"huge").hash, 1 << 40);
    for name in [remote.write_name(&huge), remote.write_zstd_name(&huge)] {
        // One byte of it, and no end: the answer does not wait for more.
        let first = WriteRequest { resource_name: name, data: vec![1], ..Default::default() };
        let (send, messages) = tokio::sync::mpsc::channel(1);
        send.send(first).await.expect("room");
        let stream = tokio_stream::wrappers::ReceiverStream::new(messages);
        let answer = crate::app::within("the refusal", remote.bytes.clone().write(stream)).await;
        let status = answer.expect_err("too large");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("1000000"), "{status}");
        drop(send);
    }
    let mut request = put(b"huge");
    request.digest = Some(huge);
    match remote.update(vec![request]).await {
        Ok(answers) => assert_eq!(answers[0].0, Code::InvalidArgument as i32),
        Err(status) => assert_eq!(status.code(), Code::InvalidArgument, "{status}"),
    }
    assert_eq!(test.app.cache.blobs.usage().blobs, 0);
    test.close().await;
}

#[tokio::test]
async fn zstd_bombs_and_headers_that_lie_are_stopped() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    // A hundred megabytes from a few kilobytes, declared as one kilobyte.
    let bomb = zstd::encode_all(&vec![0_u8; 100_000_000][..], 1).expect("packs");
    let small = named(&digest(&[0; 1_000]).hash, 1_000);
    let status = remote.write(&remote.write_zstd_name(&small), &bomb).await.expect_err("a bomb");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let request = re::batch_update_blobs_request::Request { digest: Some(small.clone()), data: bomb, compressor: 1 };
    assert_eq!(remote.update(vec![request]).await.expect("statuses")[0].0, Code::InvalidArgument as i32);
    assert!(!remote.has(&small).await);

    // A frame whose header asks for a window of 2 GiB, with a raw block of one byte.
    let window = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 21 << 3, 0x09, 0x00, 0x00, b'x'];
    // A frame whose header says that 2 GiB follow.
    let content = [0x28, 0xB5, 0x2F, 0xFD, 0x80, 0x58, 0x00, 0x00, 0x00, 0x80, 0x09, 0x00, 0x00, b'x'];
    let before = resident_bytes();
    for frame in [&window[..], &content[..]] {
        for _ in 0..20 {
            let status = remote.write(&remote.write_zstd_name(&digest(b"x")), frame).await.err();
            assert!(status.is_none_or(|status| status.code() == Code::InvalidArgument));
            let request = re::batch_update_blobs_request::Request {
                digest: Some(digest(b"xy")),
                data: frame.to_vec(),
                compressor: 1,
            };
            let answers = remote.update(vec![request]).await.expect("statuses");
            assert_eq!(answers[0].0, Code::InvalidArgument as i32);
        }
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 500_000_000, "{grown} bytes more for frames of a few");
    test.close().await;
}

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

#[tokio::test]
async fn a_tree_that_shares_its_folders_exponentially_is_walked_once() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    // Each folder has the one below it twice: 2^60 paths, 61 folders.
    let mut below = remote.put_one(b"").await;
    for _ in 0..60 {
        let folder = |name: &str| re::DirectoryNode { name: name.into(), digest: Some(below.clone()) };
        let directory = re::Directory { directories: vec![folder("a"), folder("b")], ..Default::default() };
        below = remote.put_one(&directory.encode_to_vec()).await;
    }
    let pages = remote.tree(&below, 0, "").await.expect("a tree");
    assert_eq!(pages.iter().map(|page| page.directories.len()).sum::<usize>(), 61);
    // As the Tree of a result: the folders stand beside one another in any number.
    let tree = re::Tree { root: Some(re::Directory::default()), children: vec![re::Directory::default(); 1_000] };
    let tree = remote.upload(&tree.encode_to_vec()).await;
    let folder = re::OutputDirectory { path: "out".into(), tree_digest: Some(tree), ..Default::default() };
    let result = re::ActionResult { output_directories: vec![folder], ..Default::default() };
    remote.update_action(&digest(b"a"), result).await.expect("stored");
    remote.action(&digest(b"a")).await.expect("a hit");
    // What is no Directory and no Tree is no reason to fall over.
    let nonsense = remote.put_one(&noise(5_000, 1)).await;
    let status = remote.tree(&nonsense, 0, "").await.expect_err("no directory");
    assert!(matches!(status.code(), Code::InvalidArgument | Code::FailedPrecondition), "{status}");
    test.close().await;
}

#[tokio::test]
async fn a_million_digests_in_one_call_are_refused_with_the_limit_and_many_are_answered() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let many = |count: u64| -> Vec<re::Digest> { (0..count).map(|n| named(&format!("{n:064x}"), 1)).collect() };
    let status = remote.missing(&many(1_000_000)).await.expect_err("too many");
    assert!(matches!(status.code(), Code::ResourceExhausted | Code::InvalidArgument), "{status}");
    assert!(status.message().contains("16777216"), "it names the limit: {status}");
    let asked = many(100_000);
    assert_eq!(remote.missing(&asked).await.expect("an answer").len(), 100_000);
    test.close().await;
}

#[tokio::test]
async fn two_writers_of_one_upload_name_do_not_harm_each_other() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let content = noise(2_000_000, 1);
    let name = remote.write_name(&digest(&content));
    let writers = (0..4).map(|_| remote.write(&name, &content));
    for answer in futures::future::join_all(writers).await {
        match answer {
            Ok(size) => assert_eq!(size, 2_000_000),
            Err(status) => assert!(matches!(status.code(), Code::Aborted | Code::Unavailable), "{status}"),
        }
    }
    assert!(remote.read(&remote.read_name(&digest(&content))).await.expect("read") == content);
    // One uuid for uploads of different blobs is fine.
    let (a, b) = (noise(300_000, 2), noise(300_000, 3));
    let named = |content: &[u8]| format!("uploads/the-same/blobs/{}/{}", digest(content).hash, content.len());
    let (first, second) = tokio::join!(remote.send(pieces(&named(&a), &a)), remote.send(pieces(&named(&b), &b)));
    assert_eq!((first.expect("taken"), second.expect("taken")), (300_000, 300_000));
    test.close().await;
}

#[tokio::test]
async fn instances_with_names_that_are_none_are_refused() {
    let test = TestApp::open().await;
    for name in ["/", "a//b", "a/blobs", "uploads", &"x".repeat(300), "a\nb"] {
        let remote = Remote::within(&test, name);
        let status = remote.missing(&[]).await.expect_err(name);
        assert_eq!(status.code(), Code::InvalidArgument, "{name:?}: {status}");
        assert!(status.message().contains("instance_name"), "{name:?}: {status}");
        assert_eq!(remote.capabilities().await.expect_err(name).code(), Code::InvalidArgument, "{name:?}");
    }
    test.close().await;
}
