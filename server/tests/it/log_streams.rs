//! Log streams over the wire: any bytes live and later, writers that come back, readers in the browser and by curl, and
//! who may do what.

use bazel_remote_apis::build::bazel::remote::logstream::v1 as ls;
use bazel_remote_apis::google::bytestream as bs;
use ls::log_stream_service_client::LogStreamServiceClient;
use millrace_bench::wire::millrace_v1::follow_response::Event;
use millrace_bench::wire::millrace_v1::{FollowRequest, GetLogRequest};
use millrace_server::auth::Role;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::app::{TestApp, within};
use crate::cas_client::{Remote, hex, noise};

/// A stream that was made, and how its names are used.
pub struct Made {
    /// Talks to the server.
    pub remote: Remote,
    /// To read by.
    pub name: String,
    /// To write by.
    pub write_name: String,
}

impl Made {
    /// Makes one below the client's instance.
    pub async fn new(test: &TestApp, remote: Remote) -> Self {
        Self::with(test, remote, None).await.expect("a stream")
    }

    /// The same as somebody.
    pub async fn with(test: &TestApp, remote: Remote, token: Option<&str>) -> Result<Self, Status> {
        let token = token.or(test.admin.as_deref());
        let mut client = LogStreamServiceClient::new(test.wire_with(token));
        let request = ls::CreateLogStreamRequest { parent: remote.instance.clone() };
        let made = within("CreateLogStream", client.create_log_stream(request)).await?.into_inner();
        Ok(Self { remote, name: made.name, write_name: made.write_resource_name })
    }

    /// Sends messages of offset and bytes in one call.
    pub async fn write(&self, messages: &[(i64, &[u8])], finish: bool) -> Result<i64, Status> {
        let last = messages.len();
        let messages = messages.iter().enumerate().map(|(index, (offset, data))| bs::WriteRequest {
            resource_name: if index == 0 { self.write_name.clone() } else { String::new() },
            write_offset: *offset,
            finish_write: finish && index + 1 == last,
            data: data.to_vec(),
        });
        self.remote.send(messages.collect()).await
    }

    /// Opens a tail.
    pub async fn tail(&self, offset: i64) -> Streaming<bs::ReadResponse> {
        let request = bs::ReadRequest { resource_name: self.name.clone(), read_offset: offset, read_limit: 0 };
        within("Read", self.remote.bytes.clone().read(request)).await.expect("a tail").into_inner()
    }

    /// The id of its log, as the viewer asks for it.
    pub fn log_id(&self) -> String {
        use sha2::{Digest, Sha256};
        let id = self.name.rsplit('/').next().expect("an id");
        format!("s.{}.{id}", hex(&Sha256::digest(&self.remote.instance)[..8]))
    }
}

/// As many bytes as wanted, from a tail that is live.
async fn some(tail: &mut Streaming<bs::ReadResponse>, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(within("bytes", tail.message()).await.expect("a message").expect("more").data);
    }
    all
}

async fn rest(mut tail: Streaming<bs::ReadResponse>) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(answer) = within("bytes", tail.message()).await.expect("a message") {
        all.extend(answer.data);
    }
    all
}

/// NUL, what is no UTF-8, lines with and without ends, one of them far over what a line of a log may be.
fn awkward() -> Vec<u8> {
    [&b"one\r\n\0\xff\n\n\n"[..], &vec![b'L'; 200_001], b"\nno end", &noise(300_000, 7), b"\n\n."].concat()
}

#[tokio::test]
async fn any_bytes_come_out_as_they_went_in_live_and_later() {
    let test = TestApp::open().await;
    let made = Made::new(&test, Remote::within(&test, "team/app")).await;
    let content = awkward();
    let live: Vec<_> = futures::future::join_all((0..5).map(|_| made.tail(0))).await;
    let live: Vec<_> = live.into_iter().map(|tail| tokio::spawn(rest(tail))).collect();
    let mut at = 0;
    // Messages that end anywhere, in calls that end anywhere.
    for sizes in [&[1, 5, 9][..], &[70_000, 3], &[200_000, 100_000, 17], &[1_000_000]] {
        let mut messages = Vec::new();
        for size in sizes {
            let end = content.len().min(at + size);
            messages.push((at as i64, &content[at..end]));
            at = end;
        }
        assert_eq!(made.write(&messages, at == content.len()).await.expect("taken"), at as i64);
    }
    for reader in live {
        assert!(within("a live reader", reader).await.expect("no panic") == content);
    }
    let remote = &made.remote;
    assert_eq!(remote.status(&made.write_name).await.expect("known"), (content.len() as i64, true));
    assert!(remote.read(&made.name).await.expect("bytes") == content);
    for (offset, limit) in [(0, 1), (3, 4), (11, 200_000), (100_000, 65_537), (200_013, 0), (content.len(), 5)] {
        let part = remote.read_part(&made.name, offset as i64, limit as i64).await.expect("bytes");
        let end = if limit == 0 { content.len() } else { content.len().min(offset + limit) };
        assert!(part == content[offset..end], "{limit} bytes from {offset}");
    }
    // By curl, whole and in part, and as a tail.
    let client = reqwest::Client::new();
    let raw = format!("{}/logs/{}/raw", test.url, made.log_id());
    let answer = client.get(&raw).send().await.expect("an answer");
    assert_eq!(answer.content_length(), Some(content.len() as u64));
    assert!(answer.bytes().await.expect("bytes") == content);
    let answer = client.get(&raw).header("range", "bytes=65530-65545").send().await.expect("an answer");
    assert_eq!(answer.headers()["content-range"], format!("bytes 65530-65545/{}", content.len()));
    assert!(answer.bytes().await.expect("bytes") == content[65_530..=65_545]);
    let answer = client.get(format!("{raw}?follow=1")).send().await.expect("an answer");
    assert!(answer.bytes().await.expect("bytes") == content);
    let answer = client.get(format!("{raw}?tail=1")).send().await.expect("an answer");
    assert_eq!(answer.bytes().await.expect("bytes"), ".");
    test.close().await;
}

#[tokio::test]
async fn dots_are_seen_one_by_one() {
    let test = TestApp::open().await;
    let made = Made::new(&test, Remote::of(&test)).await;
    let mut tail = made.tail(0).await;
    let (send, messages) = mpsc::channel(1);
    let mut bytes = made.remote.bytes.clone();
    let writing = tokio::spawn(async move { bytes.write(ReceiverStream::new(messages)).await });
    for dot in 0..5 {
        let resource_name = if dot == 0 { made.write_name.clone() } else { String::new() };
        let message = bs::WriteRequest { resource_name, write_offset: dot, finish_write: false, data: b".".to_vec() };
        send.send(message).await.expect("the call goes on");
        // The next dot is not sent before this one was seen.
        assert_eq!(some(&mut tail, 1).await, b".");
    }
    let viewer = FollowRequest { log_id: made.log_id(), start: None };
    let mut viewer = test.logs().follow(viewer).await.expect("a stream").into_inner();
    // A writer that is cut off: what it said last is kept, and another call goes on.
    let message = bs::WriteRequest { write_offset: 5, data: b"!".to_vec(), ..Default::default() };
    send.send(message).await.expect("the call goes on");
    writing.abort();
    drop(send);
    assert_eq!(some(&mut tail, 1).await, b"!");
    assert_eq!(made.remote.status(&made.write_name).await.expect("known"), (6, false));
    assert_eq!(made.write(&[(3, b"..!\nend"), (10, b"")], true).await.expect("taken"), 10);
    assert_eq!(rest(tail).await, b"\nend");
    let mut lines = Vec::new();
    while let Some(message) = within("lines", viewer.message()).await.expect("a message") {
        match message.event.expect("an event") {
            Event::Data(data) => lines.extend(data.data),
            Event::End(end) => assert_eq!(end.size_bytes, lines.len() as u64),
            _ => {}
        }
    }
    assert_eq!(String::from_utf8_lossy(&lines), ".\n.\n.\n.\n.\n!\n\nend\n", "the viewer has each piece as a line");
    test.close().await;
}

#[tokio::test]
async fn one_that_nobody_made_is_not_found_and_one_that_is_full_of_nothing_waits() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let missing = remote.read("logstreams/nobody-made-me").await.expect_err("no stream");
    assert_eq!(missing.code(), Code::NotFound, "{missing}");
    let made = Made::new(&test, remote).await;
    let tail = made.tail(0).await;
    assert_eq!(made.write(&[(0, b"")], true).await.expect("taken"), 0);
    assert_eq!(rest(tail).await, b"");
    let past = made.remote.read_part(&made.name, 1, 0).await.expect_err("past the end");
    assert_eq!(past.code(), Code::OutOfRange, "{past}");
    for (offset, limit, code) in [(-1, 0, Code::OutOfRange), (0, -1, Code::InvalidArgument)] {
        let refused = made.remote.read_part(&made.name, offset, limit).await.expect_err("a bad number");
        assert_eq!(refused.code(), code, "{refused}");
    }
    test.close().await;
}

#[tokio::test]
async fn roles_and_projects() {
    let test = TestApp::with_tokens().await;
    let own = test.token_for(Role::Execute, "team/app").await;
    let writer = test.token(Role::CacheWrite).await;
    let made = Made::with(&test, Remote::with(&test, &own, "team/app"), Some(&own)).await.expect("a stream");
    made.write(&[(0, b"secret of the team\n")], true).await.expect("taken");
    for role in [Role::Read, Role::Run, Role::CacheRead] {
        let token = test.token(role).await;
        let remote = Remote::with(&test, &token, "team/app");
        assert_eq!(remote.read(&made.name).await.expect("bytes"), b"secret of the team\n", "{role:?}");
        let refused = Made::with(&test, remote.clone(), Some(&token)).await.err().expect("may not make");
        assert_eq!(refused.code(), Code::PermissionDenied, "{role:?}: {refused}");
        let refused = remote.write(&made.write_name, b"x").await.expect_err("may not write");
        assert_eq!(refused.code(), Code::PermissionDenied, "{role:?}: {refused}");
    }
    let made_by_another = Made::with(&test, Remote::with(&test, &writer, ""), Some(&writer)).await;
    assert!(made_by_another.is_ok(), "who writes the cache keeps logs");
    // Another project: there is no such thing, by any door.
    let other = test.token_for(Role::Execute, "team/other").await;
    let remote = Remote::with(&test, &other, "team/other");
    let hidden = remote.read(&made.name).await.expect_err("hidden");
    assert_eq!(hidden.code(), Code::NotFound, "{hidden}");
    let hidden = remote.write(&made.write_name, b"x").await.expect_err("hidden");
    assert_eq!(hidden.code(), Code::NotFound, "{hidden}");
    let reader = test.token_for(Role::Read, "team/other").await;
    let request = GetLogRequest { log_id: made.log_id() };
    let mut logs =
        millrace_bench::wire::millrace_v1::log_service_client::LogServiceClient::new(test.wire_with(Some(&reader)));
    let hidden = logs.get_log(request.clone()).await.expect_err("hidden");
    assert_eq!(hidden.code(), Code::NotFound, "{hidden}");
    let reader = test.token_for(Role::Read, "team/app").await;
    let mut logs =
        millrace_bench::wire::millrace_v1::log_service_client::LogServiceClient::new(test.wire_with(Some(&reader)));
    let log = logs.get_log(request).await.expect("their own").into_inner().log.expect("a log");
    assert_eq!((log.lines, log.complete), (1, true));
    let nobody = Remote::of(&test).read("x/logstreams/y").await.expect_err("none");
    assert_eq!(nobody.code(), Code::NotFound, "{nobody}");
    test.close().await;
}

#[tokio::test]
async fn write_names_outlive_the_server() {
    let test = TestApp::open().await;
    let made = Made::new(&test, Remote::of(&test)).await;
    let key = std::fs::read(test.data().join("keys/log-streams.key")).expect("a key");
    assert_eq!(key.len(), 32);
    let again = millrace_server::auth::stream_key::load_or_create(&test.data()).expect("the key");
    assert_eq!(again[..], key[..], "the same at the next start");
    let (_, token) = made.write_name.rsplit_once('/').expect("a token");
    assert!(token.len() >= 32 && made.write_name == format!("{}/{token}", made.name));
    test.close().await;
}
