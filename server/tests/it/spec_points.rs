//! The points that remote-execution clients trip over, each as a test named after it: the streams.

mod actions;
mod batches;
mod build_events;
mod execution;
#[cfg(target_os = "linux")]
mod execution_runner;
mod log_streams;

use bazel_remote_apis::google::bytestream::WriteRequest;
use tonic::Code;

use crate::app::{TestApp, within};
use crate::cas_client::{Remote, digest, noise, pieces};

#[tokio::test]
async fn point_01_the_name_stands_in_the_first_message_and_never_changes() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let content = noise(200_000, 1);
    let name = remote.write_name(&digest(&content));
    // Only in the first, as most do; in each, as some do.
    assert_eq!(remote.send(pieces(&name, &content)).await.expect("taken"), 200_000);
    let other = noise(200_000, 2);
    let name = remote.write_name(&digest(&other));
    let mut messages = pieces(&name, &other);
    for message in &mut messages {
        message.resource_name.clone_from(&name);
    }
    assert_eq!(remote.send(messages).await.expect("taken"), 200_000);
    // Another one later.
    let third = noise(200_000, 3);
    let mut messages = pieces(&remote.write_name(&digest(&third)), &third);
    messages[1].resource_name = remote.write_name(&digest(&third));
    let refused = remote.send(messages).await.expect_err("a changed name");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("resource_name"), "{refused}");
    assert!(!remote.has(&digest(&third)).await);
    // None at all.
    let mut messages = pieces("", &third);
    messages[0].resource_name.clear();
    let refused = remote.send(messages).await.expect_err("no name");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let refused = remote.send(Vec::new()).await.expect_err("no message");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    test.close().await;
}

#[tokio::test]
async fn point_02_a_blob_that_is_here_ends_its_upload_early() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let content = noise(3_000_000, 1);
    let blob = remote.upload(&content).await;
    // The answer comes although the client has sent one message and no end.
    let answer = open_ended(&remote, remote.write_name(&blob), &content[..1000]).await;
    assert_eq!(answer, 3_000_000, "identity: the full size");
    let packed = zstd::encode_all(&content[..], 1).expect("packs");
    let answer = open_ended(&remote, remote.write_zstd_name(&blob), &packed[..1000]).await;
    assert_eq!(answer, -1, "compressed: who knows");

    // In mid-upload: another client completes the same blob.
    let content = noise(3_000_000, 2);
    let (send, messages) = tokio::sync::mpsc::channel(1);
    let name = remote.write_name(&digest(&content));
    let mut slow = remote.bytes.clone();
    let writing = tokio::spawn(async move {
        slow.write(tokio_stream::wrappers::ReceiverStream::new(messages)).await.map(tonic::Response::into_inner)
    });
    let first = WriteRequest { resource_name: name.clone(), data: content[..1000].to_vec(), ..Default::default() };
    send.send(first).await.expect("taken");
    remote.upload(&content).await;
    let more = WriteRequest { write_offset: 1000, data: content[1000..2000].to_vec(), ..Default::default() };
    send.send(more).await.expect("taken");
    let answer = within("the early answer", writing).await.expect("no panic").expect("no error");
    assert_eq!(answer.committed_size, 3_000_000);
    drop(send);
    test.close().await;
}

/// An upload that sends one message and never ends.
async fn open_ended(remote: &Remote, name: String, data: &[u8]) -> i64 {
    let (send, messages) = tokio::sync::mpsc::channel(1);
    let first = WriteRequest { resource_name: name, data: data.to_vec(), ..Default::default() };
    send.send(first).await.expect("room for one");
    let stream = tokio_stream::wrappers::ReceiverStream::new(messages);
    let answer = within("the early answer", remote.bytes.clone().write(stream)).await.expect("no error");
    drop(send);
    answer.into_inner().committed_size
}

#[tokio::test]
async fn point_03_a_whole_compressed_upload_commits_what_was_sent() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    for length in [10, 5_000, 3_000_000] {
        let content = vec![b'x'; length];
        let blob = digest(&content);
        let packed = zstd::encode_all(&content[..], 3).expect("packs");
        let committed = remote.write(&remote.write_zstd_name(&blob), &packed).await.expect("taken");
        assert_eq!(committed, packed.len() as i64);
        assert_eq!(remote.read(&remote.read_name(&blob)).await.expect("read"), content);
    }
    test.close().await;
}

#[tokio::test]
async fn point_04_the_status_of_an_upload_never_says_too_much() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let content = noise(300_000, 1);
    let name = remote.write_name(&digest(&content));
    let unknown = remote.status(&name).await.expect_err("not begun");
    assert_eq!(unknown.code(), Code::NotFound, "{unknown}");
    // Cut off after two messages: what is told to be there can be built upon.
    let mut messages = pieces(&name, &content);
    messages.truncate(2);
    let broken = tokio_stream::iter(messages);
    let (send, more) = tokio::sync::mpsc::channel(1);
    let stream = tokio_stream::StreamExt::chain(broken, tokio_stream::wrappers::ReceiverStream::new(more));
    let mut client = remote.bytes.clone();
    let writing = tokio::spawn(async move { client.write(stream).await.map(|_| ()) });
    let (committed, complete) = within("something arrives", async {
        loop {
            match remote.status(&name).await {
                Ok((committed, complete)) if committed > 0 => return (committed, complete),
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert!(committed <= 2 * 65_536 && !complete, "{committed}");
    writing.abort();
    let _cut = writing.await;
    drop(send);
    let (committed, complete) = remote.status(&name).await.expect("kept for the client");
    assert!(committed <= 2 * 65_536 && !complete, "{committed}");
    assert!(!remote.has(&digest(&content)).await);
    let from = committed as usize;
    let last = WriteRequest {
        resource_name: name.clone(),
        write_offset: committed,
        finish_write: true,
        data: content[from..].to_vec(),
    };
    assert_eq!(remote.send(vec![last]).await.expect("goes on"), 300_000);
    assert_eq!(remote.status(&name).await.expect("stored"), (300_000, true));
    // By any name of the same blob.
    assert_eq!(remote.status(&remote.write_name(&digest(&content))).await.expect("stored"), (300_000, true));
    assert_eq!(remote.read(&remote.read_name(&digest(&content))).await.expect("read"), content);
    test.close().await;
}

#[tokio::test]
async fn point_05_reading_outside_of_a_blob_and_parts_of_it() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    for length in [1_000, 2_500_000] {
        let content = noise(length, length as u64);
        let blob = remote.upload(&content).await;
        let (plain, packed) = (remote.read_name(&blob), remote.zstd_name(&blob));
        let size = length as i64;
        let code =
            async |name: &str, offset, limit| remote.read_part(name, offset, limit).await.err().map(|e| e.code());
        assert_eq!(code(&plain, size + 1, 0).await, Some(Code::OutOfRange));
        assert_eq!(code(&plain, -1, 0).await, Some(Code::OutOfRange));
        assert_eq!(code(&packed, size + 1, 0).await, Some(Code::OutOfRange));
        assert_eq!(code(&plain, 0, -1).await, Some(Code::InvalidArgument));
        assert_eq!(code(&packed, 0, 10).await, Some(Code::InvalidArgument));
        // At the end there is nothing, which is no fault.
        assert_eq!(remote.read_part(&plain, size, 0).await.expect("the end"), b"");
        for (offset, limit) in [(0, 0), (0, 1), (1, 1), (17, 600), (900, 1_000_000), (size - 1, 0), (size - 1, 5)] {
            let to = if limit == 0 { length } else { length.min((offset + limit) as usize) };
            let part = remote.read_part(&plain, offset, limit).await.expect("a part");
            assert!(part == content[offset as usize..to], "{offset} {limit} of {length}");
        }
        // The offset is one of the content, however it comes.
        let part = remote.read_part(&packed, 500, 0).await.expect("a part");
        assert!(zstd::decode_all(&part[..]).expect("zstd") == content[500..]);
    }
    let none = digest(b"never stored");
    let missing = remote.read(&remote.read_name(&none)).await.expect_err("missing");
    assert_eq!(missing.code(), Code::NotFound, "{missing}");
    test.close().await;
}

#[tokio::test]
async fn point_06_one_frame_or_many_and_read_in_every_form() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    for (number, content) in [noise(500, 1), vec![b'a'; 900_000], noise(1_500_000, 2)].into_iter().enumerate() {
        // Frames of a third each, the last without a size in its header.
        let mut packed = Vec::new();
        for part in content.chunks(content.len() / 3 + 1) {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("an encoder");
            encoder.include_contentsize(false).expect("an option");
            std::io::Write::write_all(&mut encoder, part).expect("packs");
            packed.extend(encoder.finish().expect("packs"));
        }
        let blob = digest(&content);
        remote.write(&remote.write_zstd_name(&blob), &packed).await.expect("taken");
        assert!(remote.read(&remote.read_name(&blob)).await.expect("plain") == content, "{number}");
        let packed = remote.read(&remote.zstd_name(&blob)).await.expect("zstd");
        assert!(zstd::decode_all(&packed[..]).expect("zstd") == content, "{number}");
        // And the other way.
        let plain = [&content[..], b"plain"].concat();
        let blob = remote.upload(&plain).await;
        let packed = remote.read(&remote.zstd_name(&blob)).await.expect("zstd");
        assert!(zstd::decode_all(&packed[..]).expect("zstd") == plain, "{number}");
    }
    for other in ["deflate", "brotli", "lzma"] {
        let name = format!("compressed-blobs/{other}/{}/1", digest(b"x").hash);
        assert_eq!(remote.read(&name).await.expect_err(other).code(), Code::InvalidArgument);
    }
    test.close().await;
}

#[tokio::test]
async fn point_07_what_breaks_the_rules_is_refused_and_leaves_nothing() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let content = noise(200_000, 1);
    let blob = digest(&content);
    let refused = async |what: &str, messages: Vec<WriteRequest>| {
        let refused = remote.send(messages).await.expect_err(what);
        assert_eq!(refused.code(), Code::InvalidArgument, "{what}: {refused}");
        assert!(!remote.has(&blob).await, "{what}");
        refused.message().to_owned()
    };
    let messages = || pieces(&remote.write_name(&blob), &content);
    let mut gap = messages();
    gap[1].write_offset += 1;
    assert!(refused("a gap", gap).await.contains("write_offset"));
    let mut negative = messages();
    negative[0].write_offset = -1;
    assert!(refused("a negative offset", negative).await.contains("write_offset"));
    let mut late = messages();
    late[0].write_offset = 77;
    assert!(refused("a first offset", late).await.contains("write_offset"));
    let mut open = messages();
    open.last_mut().expect("one").finish_write = false;
    assert!(refused("no finish", open).await.contains("finish_write"));
    let mut after = messages();
    after[1].finish_write = true;
    refused("data after the end", after).await;
    let mut lie = messages();
    lie[1].data[0] ^= 1;
    refused("a hash that lies", lie).await;
    let short = pieces(&remote.write_name(&blob), &content[..199_999]);
    refused("a size that lies, too short", short).await;
    let long = pieces(&remote.write_name(&blob), &[&content[..], b"!"].concat());
    refused("a size that lies, too long", long).await;
    let packed = zstd::encode_all(&content[..], 1).expect("packs");
    refused("no zstd", pieces(&remote.write_zstd_name(&blob), &content)).await;
    refused("half of a frame", pieces(&remote.write_zstd_name(&blob), &packed[..packed.len() / 2])).await;
    let trailing = [&packed[..], b"garbage"].concat();
    refused("garbage behind the frame", pieces(&remote.write_zstd_name(&blob), &trailing)).await;
    // The same upload done right is fine.
    assert_eq!(remote.send(messages()).await.expect("taken"), 200_000);
    test.close().await;
}

#[tokio::test]
async fn point_08_no_part_of_an_upload_is_ever_readable() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    for length in [100_000_usize, 3_000_000] {
        let content = noise(length, length as u64);
        let blob = digest(&content);
        let (send, messages) = tokio::sync::mpsc::channel(1);
        let mut client = remote.bytes.clone();
        let stream = tokio_stream::wrappers::ReceiverStream::new(messages);
        let writing = tokio::spawn(async move { client.write(stream).await.map(tonic::Response::into_inner) });
        let name = remote.write_name(&blob);
        for message in pieces(&name, &content) {
            assert!(!remote.has(&blob).await, "before the last message");
            let status = remote.read(&remote.read_name(&blob)).await.expect_err("not readable yet");
            assert_eq!(status.code(), Code::NotFound);
            send.send(message).await.expect("taken");
        }
        drop(send);
        let answer = within("the end", writing).await.expect("no panic").expect("taken");
        assert_eq!(answer.committed_size, length as i64);
        assert!(remote.read(&remote.read_name(&blob)).await.expect("read") == content);
    }
    test.close().await;
}
