//! The points about execution that need no command to run: the runner here is made up.

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use bazel_remote_apis::google::bytestream::{ReadRequest, WriteRequest};
use millrace_bench::wire::runner_v1::action_report::Stage;
use millrace_bench::wire::runner_v1::fetch_task_request::Wants;
use millrace_server::config::{RawExecutionConfig, Unknown};
use prost::Message;
use re::execution_stage::Value as At;
use tonic::Code;
use tonic_types::StatusExt;

use crate::app::{Options, TestApp, within};
use crate::cas_client::digest;
use crate::execute_client::{Client, Work, platform, status};
use crate::fake_runner::{FakeRunner, exited, failed, printed};

#[tokio::test(flavor = "multi_thread")]
async fn point_19_errors_before_there_is_an_operation_are_statuses_and_later_ones_in_the_response() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let cases = [
        (re::ExecuteRequest::default(), "action_digest"),
        (client.request(&re::Digest { hash: "xyz".into(), size_bytes: 1 }), "action_digest"),
        (client.request(&re::Digest { size_bytes: -1, ..digest(b"x") }), "action_digest"),
        (re::ExecuteRequest { instance_name: "a/blobs/b".into(), ..client.request(&digest(b"x")) }, "instance_name"),
    ];
    for (request, word) in cases {
        let refusal = client.ask(request).await.err().expect(word);
        assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
        assert!(refusal.message().contains(word), "{refusal}");
    }
    // What lies at the digest is no Action.
    let garbage = client.remote.put_one(&[0xff; 7]).await;
    assert_eq!(client.ask(client.request(&garbage)).await.err().expect("garbage").code(), Code::InvalidArgument);
    // Later: the operation is there, and so is its error, in the response. Seen::of fails where `error` is set.
    let runner = FakeRunner::start(&test, "alpha").await;
    let running = client.start(&Work::of(&["/bin/true"])).await;
    let task = runner.fetch().await;
    runner.ends(&task, &failed(Code::InvalidArgument, "no such working directory")).await.expect("taken");
    let (code, message) = status(&running.done().await);
    assert_eq!(
        (code, message.contains("no such working directory")),
        (Code::InvalidArgument as i32, true),
        "{message}"
    );
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_20_the_first_operation_comes_at_once_and_the_last_when_it_is_completed() {
    let test = TestApp::start(Options { keep_alive_ms: Some(100), ..Options::default() }).await;
    let client = Client::of(&test);
    let mut running = client.start(&Work::of(&["/bin/true"])).await;
    assert_eq!(running.now.stage(), At::Queued, "before any runner is there");
    running.next().await.expect("a word now and then").expect("a message");
    let runner = FakeRunner::start(&test, "alpha").await;
    let task = runner.fetch().await;
    running.until("executing", |seen| seen.stage() == At::Executing).await;
    runner.succeeds(&task, "").await;
    // `done` exactly at COMPLETED, metadata in each message, nothing after the end: the client checks it of every one.
    running.done().await;
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_21_wait_execution_answers_at_once_and_knows_no_strangers() {
    let test = TestApp::open().await;
    let client = Client::within(&test, "a/b");
    let running = client.start(&Work::of(&["/bin/true"])).await;
    let waiting = client.wait(&running.now.name).await.expect("known");
    assert_eq!((waiting.now.name.as_str(), waiting.now.stage()), (running.now.name.as_str(), At::Queued));
    for unknown in ["a/b/operations/garbage", "operations/1", "", "a/b", "💥"] {
        let refusal = client.wait(unknown).await.err().expect("unknown");
        assert_eq!(refusal.code(), Code::NotFound, "{unknown:?}: {refusal}");
    }
    let runner = FakeRunner::start(&test, "alpha").await;
    let task = runner.fetch().await;
    runner.succeeds(&task, "done").await;
    for stream in [running, waiting] {
        let name = stream.now.name.clone();
        assert_eq!(stream.done().await.result.expect("a result").stdout_raw, b"done");
        // Also once it is over.
        let late = client.wait(&name).await.expect("remembered");
        assert!(late.now.done);
        late.done().await;
    }
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_22_missing_inputs_are_named_wherever_in_the_tree_they_are() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let command = Work::of(&["/bin/true"]).command.encode_to_vec();
    let (lost_file, lost_folder, lost_command) =
        (digest(b"lost file"), digest(b"lost folder"), digest(b"lost command"));
    let file = re::FileNode { name: "f".into(), digest: Some(lost_file.clone()), ..Default::default() };
    let deep = re::Directory { files: vec![file], ..Default::default() };
    let deep = client.remote.put_one(&deep.encode_to_vec()).await;
    let node = |name: &str, digest: &re::Digest| re::DirectoryNode { name: name.into(), digest: Some(digest.clone()) };
    let root =
        re::Directory { directories: vec![node("deep", &deep), node("lost", &lost_folder)], ..Default::default() };
    let root = client.remote.put_one(&root.encode_to_vec()).await;
    let stored_command = client.remote.put_one(&command).await;
    let lost_root = digest(b"lost root");
    for (command, root, wanted) in [
        (&stored_command, &root, vec![&lost_file, &lost_folder]),
        (&stored_command, &lost_root, vec![&lost_root]),
        (&lost_command, &root, vec![&lost_command]),
    ] {
        let action = re::Action {
            command_digest: Some(command.clone()),
            input_root_digest: Some(root.clone()),
            ..Default::default()
        };
        let action = client.remote.put_one(&action.encode_to_vec()).await;
        let refusal = client.ask(client.request(&action)).await.err().expect("missing");
        assert_eq!(refusal.code(), Code::FailedPrecondition, "{refusal}");
        let told = refusal.get_details_precondition_failure().expect("details");
        for wanted in wanted {
            let subject = format!("blobs/{}/{}", wanted.hash, wanted.size_bytes);
            let violation = told.violations.iter().find(|one| one.subject == subject);
            assert_eq!(violation.expect(&subject).r#type, "MISSING");
        }
    }
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_23_what_is_not_to_be_cached_is_neither_cached_nor_merged() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    // do_not_cache: two who ask are two runs, and nothing stays.
    let action = client.store(&Work::of(&["/bin/date"]).uncached()).await;
    let asked = [
        client.ask(client.request(&action)).await.expect("taken"),
        client.ask(client.request(&action)).await.expect("taken"),
    ];
    for (word, running) in ["one", "two"].into_iter().zip(asked) {
        let task = runner.fetch().await;
        runner.succeeds(&task, word).await;
        assert_eq!(running.done().await.result.expect("a result").stdout_raw, word.as_bytes());
    }
    assert_eq!(client.remote.action(&action).await.expect_err("not cached").code(), Code::NotFound);
    // skip_cache_lookup: no cache read, the entry is overwritten, and it may merge.
    let action = client.store(&Work::of(&["/bin/true"])).await;
    let old = re::ActionResult { stdout_raw: b"old".to_vec(), ..Default::default() };
    client.remote.update_action(&action, old).await.expect("stored");
    let skip = || re::ExecuteRequest { skip_cache_lookup: true, ..client.request(&action) };
    let asked = [client.ask(skip()).await.expect("taken"), client.ask(skip()).await.expect("taken")];
    assert!(!asked[0].now.done);
    let task = runner.fetch().await;
    assert!(runner.poll("", Wants::JobsAndActions, 1).await.is_none(), "one run for both");
    runner.succeeds(&task, "new").await;
    for running in asked {
        let response = running.done().await;
        assert!(!response.cached_result);
        assert_eq!(response.result.expect("a result").stdout_raw, b"new");
    }
    assert_eq!(client.remote.action(&action).await.expect("a hit").stdout_raw, b"new");
    // A failure is not cached: neither of the command nor of anything else.
    for (word, end) in [("exit", exited(1, "failed")), ("status", failed(Code::Internal, "broken"))] {
        let action = client.store(&Work::of(&["/bin/false", word])).await;
        let running = client.ask(client.request(&action)).await.expect("taken");
        let task = runner.fetch().await;
        runner.ends(&task, &end).await.expect("taken");
        running.done().await;
        assert_eq!(client.remote.action(&action).await.expect_err(word).code(), Code::NotFound);
    }
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_24_a_timeout_over_the_maximum_is_rejected_and_never_clamped() {
    let execution =
        RawExecutionConfig { timeout_max: Some(100), timeout_default: Some(7), ..RawExecutionConfig::default() };
    let test = TestApp::start(Options { execution, ..Options::default() }).await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let with = |seconds, nanos| {
        let mut work = Work::of(&["/bin/true"]).uncached();
        work.action.timeout = Some(bazel_remote_apis::google::protobuf::Duration { seconds, nanos });
        work
    };
    for (seconds, nanos, wanted_ms) in [(100, 0, 100_000), (1, 500_000_000, 1_500)] {
        let running = client.start(&with(seconds, nanos)).await;
        let task = runner.fetch().await;
        assert_eq!(task.timeout_ms, wanted_ms, "as it was asked for");
        runner.succeeds(&task, "").await;
        running.done().await;
    }
    let running = client.start(&Work::of(&["/bin/true"]).uncached()).await;
    let task = runner.fetch().await;
    assert_eq!(task.timeout_ms, 7_000, "who says nothing gets the default");
    // It timed out: there is what there is.
    let mut late = printed("so far");
    late.status = failed(Code::DeadlineExceeded, "after 7 s").status;
    runner.ends(&task, &late).await.expect("taken");
    let response = running.done().await;
    assert_eq!(status(&response).0, Code::DeadlineExceeded as i32);
    assert_eq!(response.result.expect("what there is").stdout_raw, b"so far");
    for (seconds, nanos) in [(101, 0), (100, 1), (i64::MAX, 0), (-1, 0)] {
        let action = client.store(&with(seconds, nanos)).await;
        let refusal = client.ask(client.request(&action)).await.err().expect("refused");
        assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
        assert!(refusal.message().contains("timeout"), "{refusal}");
    }
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_25_the_action_s_platform_counts_and_a_mismatch_fails_soon_with_both_sides() {
    let platforms = Some(vec!["any=OSFamily=linux,Pool=*,max-cores=8".to_owned()]);
    let execution = RawExecutionConfig { platforms, unmatched_wait: Some(1), ..RawExecutionConfig::default() };
    let test = TestApp::start(Options { execution, ..Options::default() }).await;
    let client = Client::of(&test);
    let offers = [("OSFamily", "linux"), ("Pool", "*"), ("max-cores", "8")];
    let runner = FakeRunner::offering(&test, "alpha", &offers).await;
    // The Action's beats the Command's; a star takes any value; limits are numeric; the sandbox's own are not matched.
    let asked = [("OSFamily", "linux"), ("Pool", "whatever"), ("cores", "8"), ("network", "on")];
    let mut work = Work::of(&["/bin/true"]).platform(&asked);
    #[allow(deprecated, reason = "older clients set it")]
    {
        work.command.platform = Some(platform(&[("OSFamily", "solaris")]));
    }
    let running = client.start(&work).await;
    let task = runner.fetch().await;
    assert_eq!(task.properties.len(), 4);
    runner.succeeds(&task, "").await;
    assert_eq!(status(&running.done().await).0, 0);
    // Without one of its own, the Command's counts.
    work.action.platform = None;
    let (code, message) = status(&client.start(&work).await.done().await);
    assert_eq!(code, Code::FailedPrecondition as i32);
    assert!(message.contains("solaris") && message.contains("linux"), "requested and offered: {message:?}");
    test.close().await;

    // Unknown ones can be ignored, where the operator says so.
    let execution = RawExecutionConfig { unknown_properties: Some(Unknown::Ignore), ..RawExecutionConfig::default() };
    let test = TestApp::start(Options { execution, ..Options::default() }).await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let running = client.start(&Work::of(&["/bin/true"]).platform(&[("made-up", "1"), ("ISA", "x86-64")])).await;
    let task = runner.fetch().await;
    runner.succeeds(&task, "").await;
    assert_eq!(status(&running.done().await).0, 0);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_28_outputs_stream_while_the_action_runs() {
    let test = TestApp::open().await;
    let client = Client::within(&test, "team/live");
    let runner = FakeRunner::start(&test, "alpha").await;
    let mut running = client.start(&Work::of(&["/bin/long"])).await;
    let task = runner.fetch().await;
    runner.says(&task, Stage::Executing).await.expect("taken");
    let seen = running.until("executing", |seen| !seen.metadata.stdout_stream_name.is_empty()).await;
    let name = seen.metadata.stdout_stream_name;
    assert!(name.starts_with("team/live/logstreams/"), "{name}");
    assert_ne!(name, seen.metadata.stderr_stream_name);

    // The runner writes, a reader reads what is there while there is no end.
    let (more, messages) = tokio::sync::mpsc::channel(4);
    let write =
        WriteRequest { resource_name: task.stdout_write_name.clone(), data: b"half a ".to_vec(), ..Default::default() };
    more.send(write).await.expect("room");
    let writes = tokio_stream::wrappers::ReceiverStream::new(messages);
    let mut writer = crate::cas_client::Remote::with(&test, &runner.token, "team/live").bytes;
    let writing = tokio::spawn(async move { writer.write(writes).await });
    let read = ReadRequest { resource_name: name.clone(), ..Default::default() };
    let mut reader = within("Read", client.remote.bytes.clone().read(read)).await.expect("a stream").into_inner();
    let mut content = Vec::new();
    while content.len() < 7 {
        content.extend(within("live bytes", reader.message()).await.expect("bytes").expect("some").data);
    }
    assert_eq!(content, b"half a ", "before the line, or the action, has ended");
    let last = WriteRequest { write_offset: 7, data: b"line\n".to_vec(), finish_write: true, ..Default::default() };
    more.send(last).await.expect("room");
    drop(more);
    writing.await.expect("no panic").expect("written");
    while let Some(answer) = within("the rest", reader.message()).await.expect("bytes") {
        content.extend(answer.data);
    }
    assert_eq!(content, b"half a line\n");
    runner.succeeds(&task, "half a line\n").await;
    running.done().await;
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_29_operations_are_there_for_who_comes_back_and_go_with_who_stays_away() {
    let execution = RawExecutionConfig { client_grace: Some(1), ..RawExecutionConfig::default() };
    let test = TestApp::start(Options { execution, ..Options::default() }).await;
    let client = Client::of(&test);
    // Queued, and its only client has left: it is gone before any runner has it.
    let running = client.start(&Work::of(&["/bin/left"])).await;
    let name = running.now.name.clone();
    drop(running);
    within("the cancellation", async {
        while !client.get(&name).await.expect("remembered").done {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (code, message) = status(&client.get(&name).await.expect("remembered").response.expect("a response"));
    assert_eq!(code, Code::Cancelled as i32, "{message}");
    // Somebody else waits for the same: it stays.
    let action = client.store(&Work::of(&["/bin/stays"])).await;
    let leaving = client.ask(client.request(&action)).await.expect("taken");
    let staying = client.ask(client.request(&action)).await.expect("taken");
    let left = leaving.now.name.clone();
    drop(leaving);
    within("the cancellation", async {
        while !client.get(&left).await.expect("remembered").done {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let runner = FakeRunner::start(&test, "alpha").await;
    let task = runner.fetch().await;
    assert_eq!(task.action_hash, action.hash, "not what nobody wants any more");
    runner.succeeds(&task, "stays").await;
    assert_eq!(staying.done().await.result.expect("a result").stdout_raw, b"stays");
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_30_the_same_action_in_flight_runs_once_for_all_who_ask() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let action = client.store(&Work::of(&["/bin/true"])).await;
    let queued = client.ask(client.request(&action)).await.expect("taken");
    let task = runner.fetch().await;
    runner.says(&task, Stage::Executing).await.expect("taken");
    let joined = client.ask(client.request(&action)).await.expect("taken");
    assert_eq!(joined.now.stage(), At::Executing, "it joins what runs");
    assert_ne!(joined.now.name, queued.now.name, "each has an operation");
    // In another instance it is another action.
    let elsewhere = Client::within(&test, "elsewhere");
    let other = elsewhere.start(&Work::of(&["/bin/true"])).await;
    assert_eq!(other.now.stage(), At::Queued);
    runner.succeeds(&task, "once").await;
    for running in [queued, joined] {
        assert_eq!(running.done().await.result.expect("a result").stdout_raw, b"once");
    }
    let task = runner.fetch().await;
    assert_eq!(task.instance_name, "elsewhere");
    runner.succeeds(&task, "again").await;
    other.done().await;
    test.close().await;
}
