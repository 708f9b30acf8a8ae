//! The points about log streams.

use bazel_remote_apis::google::bytestream::WriteRequest;
use millrace_bench::wire::runner_v1::action_report::Stage;
use tonic::Code;

use crate::app::{TestApp, within};
use crate::cas_client::Remote;
use crate::execute_client::{Client, Work};
use crate::fake_runner::FakeRunner;
use crate::log_streams::Made;

#[tokio::test]
async fn point_31_the_write_name_is_a_secret() {
    let test = TestApp::open().await;
    let made = Made::new(&test, Remote::within(&test, "a/b")).await;
    let remote = &made.remote;
    assert!(made.name.starts_with("a/b/logstreams/"), "{}", made.name);
    let secret = made.write_name.strip_prefix(&format!("{}/", made.name)).expect("the read name and a secret");
    made.write(&[(0, b"text")], false).await.expect("taken");
    // The names are not for each other's calls, and no answer tells the secret.
    let read = remote.read(&made.write_name).await.expect_err("a read of the write name");
    assert_eq!(read.code(), Code::InvalidArgument, "{read}");
    let written = remote.write(&made.name, b"x").await.expect_err("a write to the read name");
    assert_eq!(written.code(), Code::InvalidArgument, "{written}");
    let asked = remote.status(&made.name).await.expect_err("a query of the read name");
    assert_eq!(asked.code(), Code::InvalidArgument, "{asked}");
    // A wrong secret: the same answer as where there is no stream.
    let mut wrong = secret.to_owned();
    wrong.replace_range(0..1, if secret.starts_with('0') { "1" } else { "0" });
    let there = remote.write(&format!("{}/{wrong}", made.name), b"x").await.expect_err("a wrong secret");
    let nowhere = remote.write(&format!("a/b/logstreams/none/{wrong}"), b"x").await.expect_err("no stream");
    assert_eq!((there.code(), nowhere.code()), (Code::NotFound, Code::NotFound));
    let id = made.name.rsplit_once('/').expect("an id").1;
    assert_eq!(there.message().replace(id, "none"), nowhere.message());
    let asked = remote.status(&format!("{}/{wrong}", made.name)).await.expect_err("a wrong secret");
    assert_eq!(asked.code(), Code::NotFound, "{asked}");
    for status in [read, written, there, asked] {
        assert!(!format!("{status:?}").contains(secret), "{status:?}");
    }
    assert_eq!(remote.status(&made.write_name).await.expect("known"), (4, false));
    test.close().await;
}

#[tokio::test]
async fn point_32_a_read_stays_open_until_the_log_is_finalized() {
    let test = TestApp::open().await;
    let made = Made::new(&test, Remote::of(&test)).await;
    let mut whole = made.tail(0).await;
    let mut late = made.tail(7).await;
    let next = async |tail: &mut tonic::Streaming<_>| {
        let answer: Option<bazel_remote_apis::google::bytestream::ReadResponse> =
            within("a message", tail.message()).await.expect("a message");
        answer.map(|answer| String::from_utf8(answer.data).expect("text"))
    };
    made.write(&[(0, b"first\n")], false).await.expect("taken");
    assert_eq!(next(&mut whole).await.as_deref(), Some("first\n"));
    made.write(&[(6, b"second\n")], false).await.expect("taken");
    assert_eq!(next(&mut whole).await.as_deref(), Some("second\n"));
    assert_eq!(next(&mut late).await.as_deref(), Some("econd\n"), "from the offset that was asked for");
    // Committed bytes never change: the same again is fine, others are refused, and so is a hole.
    assert_eq!(made.write(&[(6, b"second\n")], false).await.expect("the same again"), 13);
    let other = made.write(&[(6, b"secund\n")], false).await.expect_err("other bytes");
    assert_eq!(other.code(), Code::Aborted, "{other}");
    let hole = made.write(&[(14, b"x")], false).await.expect_err("a hole");
    assert_eq!(hole.code(), Code::InvalidArgument, "{hole}");
    assert!(hole.message().contains("write_offset") && hole.message().contains("13"), "{hole}");
    assert_eq!(made.write(&[(13, b"third")], true).await.expect("taken"), 18);
    assert_eq!(next(&mut whole).await.as_deref(), Some("third"));
    assert_eq!(next(&mut whole).await, None, "finalized");
    assert_eq!(next(&mut late).await.as_deref(), Some("third"));
    assert_eq!(next(&mut late).await, None, "finalized");
    // Nothing comes after the end, in another call or in the same one; the end again is fine.
    assert_eq!(made.write(&[(13, b"third")], true).await.expect("the end again"), 18);
    let more = made.write(&[(18, b"x")], false).await.expect_err("after the end");
    assert_eq!(more.code(), Code::FailedPrecondition, "{more}");
    let made = Made::new(&test, made.remote).await;
    let message = |offset, finish_write| WriteRequest {
        resource_name: made.write_name.clone(),
        write_offset: offset,
        finish_write,
        data: b"x".to_vec(),
    };
    let more = made.remote.send(vec![message(0, true), message(1, false)]).await.expect_err("after finish_write");
    assert_eq!(more.code(), Code::InvalidArgument, "{more}");
    assert_eq!(made.remote.read(&made.name).await.expect("bytes"), b"x");
    test.close().await;
}

#[tokio::test]
async fn point_28_a_stream_is_read_with_the_instance_before_its_name_too() {
    let test = TestApp::open().await;
    let made = Made::new(&test, Remote::within(&test, "a/b")).await;
    made.write(&[(0, b"once")], true).await.expect("taken");
    let parent = made.name.split_once("/logstreams/").expect("a parent").0;
    for before in [format!("{parent}/"), format!("{parent}/logstreams/")] {
        assert_eq!(made.remote.read(&format!("{before}{}", made.name)).await.expect("bytes"), b"once");
    }
    let other = made.remote.read(&format!("other/{}", made.name)).await.expect_err("another parent");
    assert_eq!(other.code(), Code::NotFound, "{other}");
    test.close().await;
}

#[tokio::test]
async fn the_name_of_a_log_never_changes_within_a_call() {
    let test = TestApp::open().await;
    let (one, two) = (Made::new(&test, Remote::of(&test)).await, Made::new(&test, Remote::of(&test)).await);
    let message = |made: &Made, offset| WriteRequest {
        resource_name: made.write_name.clone(),
        write_offset: offset,
        finish_write: false,
        data: b"x".to_vec(),
    };
    let changed = one.remote.send(vec![message(&one, 0), message(&two, 1)]).await.expect_err("another name");
    assert_eq!(changed.code(), Code::InvalidArgument, "{changed}");
    assert!(!changed.message().contains(&two.write_name), "{changed}");
    assert_eq!(two.remote.status(&two.write_name).await.expect("known"), (0, false));
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_28_an_output_that_was_never_streamed_is_read_from_the_result() {
    let test = TestApp::open().await;
    let client = Client::within(&test, "team/quick");
    let runner = FakeRunner::start(&test, "quick").await;
    let mut running = client.start(&Work::of(&["/bin/echo", "quick"])).await;
    let task = runner.fetch().await;
    runner.says(&task, Stage::Executing).await.expect("taken");
    let seen = running.until("executing", |seen| !seen.metadata.stdout_stream_name.is_empty()).await;
    let (stdout, stderr) = (seen.metadata.stdout_stream_name, seen.metadata.stderr_stream_name);
    // A reader that came before the end, and others after it.
    let early = {
        let (remote, name) = (client.remote.clone(), stdout.clone());
        tokio::spawn(async move { remote.read(&name).await })
    };
    runner.succeeds(&task, "quick, without an end").await;
    running.done().await;
    assert_eq!(within("the reader", early).await.expect("no panic").expect("bytes"), b"quick, without an end");
    assert_eq!(client.remote.read_part(&stdout, 7, 7).await.expect("bytes"), b"without");
    assert_eq!(client.remote.read(&stderr).await.expect("bytes"), b"");
    let other = stdout.replace(".1.stdout", ".2.stdout");
    assert_ne!(other, stdout);
    let missing = client.remote.read(&other).await.expect_err("a lease that there never was");
    assert_eq!(missing.code(), Code::NotFound, "{missing}");
    test.close().await;
}
