//! Remote execution between clients and runners, of which neither shares code with the server. The runners here execute
//! nothing: what a command does is tested where there is one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use futures::future::join_all;
use millrace_bench::wire::runner_v1::action_report::Stage;
use millrace_bench::wire::runner_v1::fetch_task_request::Wants;
use millrace_bench::wire::runner_v1::{ActionReport, FetchTaskRequest};
use millrace_server::auth::Role;
use millrace_server::config::RawExecutionConfig;
use prost::Message;
use re::execution_stage::Value as At;
use tonic::Code;
use tonic_types::StatusExt;

use crate::app::{Options, TestApp, until, within};
use crate::cas_client::digest;
use crate::execute_client::{Client, Work, status};
use crate::fake_runner::{FakeRunner, command_of, ended, failed, printed, update};

/// A server whose clients and unmatched actions are not waited for long.
async fn impatient() -> TestApp {
    let execution =
        RawExecutionConfig { unmatched_wait: Some(1), client_grace: Some(1), ..RawExecutionConfig::default() };
    TestApp::start(Options { execution, ..Options::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_life_of_an_action() {
    let test = TestApp::open().await;
    let client = Client::within(&test, "team/one");
    let runner = FakeRunner::start(&test, "alpha").await;
    let work = Work::of(&["/bin/echo", "hello"]).platform(&[("OSFamily", "linux")]);
    let action = client.store(&work).await;
    let request = re::ExecuteRequest { inline_stdout: true, ..client.request(&action) };
    let mut running = client.ask_as(request, "an invocation").await.expect("taken");
    assert_eq!((running.now.stage(), running.now.done), (At::Queued, false), "at once, before there is a runner");
    assert!(running.now.name.starts_with("team/one/operations/"), "{}", running.now.name);
    assert_eq!(running.now.metadata.action_digest, Some(action.clone()));

    let task = runner.fetch().await;
    assert_eq!((task.instance_name.as_str(), task.digest_function), ("team/one", 1));
    assert_eq!((task.action_hash.as_str(), task.action_size_bytes), (action.hash.as_str(), action.size_bytes));
    assert_eq!(command_of(&task).arguments, ["/bin/echo", "hello"]);
    assert_eq!((task.properties[0].name.as_str(), task.properties[0].value.as_str()), ("OSFamily", "linux"));
    assert_eq!((task.invocation_id.as_str(), task.epoch, task.lease_ms), ("an invocation", 1, 45_000));
    assert!(task.timeout_ms > 0 && task.queued_at_ms > 0);
    assert!(task.stdout_write_name.contains("/logstreams/") && task.stdout_write_name != task.stderr_write_name);

    runner.says(&task, Stage::InputFetch).await.expect("taken");
    let seen = running.until("with a runner", |seen| seen.stage() == At::Executing).await;
    assert!(
        task.stdout_write_name.starts_with(&seen.metadata.stdout_stream_name),
        "the name to read is without the secret"
    );
    assert_ne!(task.stdout_write_name, seen.metadata.stdout_stream_name);
    let told = runner.says(&task, Stage::Executing).await.expect("taken");
    assert_eq!((told.pipeline_state.as_str(), told.success, told.terminate), ("running", true, false));
    runner.succeeds(&task, "hello\n").await;
    let name = running.now.name.clone();
    let response = running.done().await;
    let result = response.result.clone().expect("a result");
    assert_eq!((result.stdout_raw.as_slice(), result.exit_code, response.cached_result), (&b"hello\n"[..], 0, false));
    let metadata = result.execution_metadata.expect("metadata");
    assert_eq!(metadata.worker, "fake", "as the runner says");
    assert!(metadata.queued_timestamp.is_some(), "which the server knows");

    // It is remembered, and it is cached.
    assert_eq!(client.get(&name).await.expect("known").response.expect("a response").result.expect("one").exit_code, 0);
    let again = client.ask(client.request(&action)).await.expect("taken");
    assert!(again.now.done, "the first message is the last");
    assert!(again.done().await.cached_result);
    assert_eq!(client.remote.action(&action).await.expect("a hit").exit_code, 0);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_ask_for_the_same_have_it_run_once() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let action = client.store(&Work::of(&["/bin/true"])).await;
    let asked = join_all((0..1_000).map(|_| client.ask(client.request(&action)))).await;
    let asked: Vec<_> = asked.into_iter().map(|running| running.expect("taken")).collect();
    let names: BTreeSet<String> = asked.iter().map(|running| running.now.name.clone()).collect();
    assert_eq!(names.len(), 1_000, "an operation for each");
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let serving = runner.serve(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        printed("once")
    });
    for response in join_all(asked.into_iter().map(super::execute_client::Running::done)).await {
        assert_eq!(response.result.expect("a result").stdout_raw, b"once");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    drop(serving);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_fetch_task_is_given_again_for_the_same_request_id() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "forgetful").await;
    let running = client.start(&Work::of(&["/bin/true"])).await;
    let other = client.start(&Work::of(&["/bin/false"])).await;
    let wants = Wants::JobsAndActions;
    let lost = runner.poll("ask-1", wants, 10_000).await.expect("an action");
    let again = runner.poll("ask-1", wants, 10_000).await.expect("the same action");
    assert_eq!(lost, again, "the same lease");
    // Also when it wants nothing new.
    let request = FetchTaskRequest {
        request_id: "ask-1".into(),
        draining: true,
        wants: wants.into(),
        ..FetchTaskRequest::default()
    };
    let answer = runner.client.clone().fetch_task(request).await.expect("an answer").into_inner();
    assert_eq!(answer.action.expect("the same action"), lost);
    let next = runner.poll("ask-2", wants, 10_000).await.expect("the other");
    assert_ne!(next.execution_id, lost.execution_id);
    // Who asks for jobs alone gets none.
    let third = client.start(&Work::of(&["/bin/echo"])).await;
    assert!(runner.poll("ask-3", Wants::Unspecified, 1).await.is_none());
    let ahead = runner.poll("ask-4", Wants::ActionsAhead, 10_000).await.expect("one to prepare");
    for task in [lost, next, ahead] {
        runner.succeeds(&task, "").await;
    }
    for running in [running, other, third] {
        running.done().await;
    }
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_who_does_not_hold_the_action_change_nothing() {
    let test = TestApp::with_tokens().await;
    let client = Client::of(&test);
    let (holder, stranger) = (FakeRunner::start(&test, "holder").await, FakeRunner::start(&test, "stranger").await);
    let mut running = client.start(&Work::of(&["/bin/true"])).await;
    let task = holder.fetch().await;
    let refusal = stranger.ends(&task, &printed("forged")).await.expect_err("another runner's");
    assert_eq!(refusal.code(), Code::PermissionDenied, "{refusal}");
    // The holder loses it: gone for good, and another gets the next lease.
    let request = millrace_bench::wire::millrace_v1::RemoveRunnerRequest { uuid: holder.uuid.clone() };
    test.runner_admin().remove_runner(request).await.expect("removed");
    let second = stranger.fetch().await;
    assert_eq!((second.execution_id.as_str(), second.epoch), (task.execution_id.as_str(), 2));
    let mut stale = update(&second, ended(&printed("stale")));
    stale.epoch = 1;
    let refusal = stranger.send(stale).await.expect_err("an older lease");
    assert!(matches!(refusal.code(), Code::PermissionDenied | Code::Aborted), "{refusal}");
    assert!(holder.ends(&second, &printed("late")).await.is_err());
    assert!(!running.now.done);
    stranger.succeeds(&second, "right").await;
    running.until("done", |seen| seen.done).await;
    assert_eq!(running.done().await.result.expect("a result").stdout_raw, b"right");
    // Once it is over, too: an end that is said again is fine, another's word is not.
    let again = stranger.ends(&second, &printed("again")).await;
    assert!(
        again.is_ok() || again.as_ref().is_err_and(|refusal| refusal.code() == Code::PermissionDenied),
        "{again:?}"
    );
    assert_eq!(holder.says(&second, Stage::Executing).await.expect_err("gone").code(), Code::Unauthenticated);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_can_not_be_are_invalid_and_name_the_field() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "odd").await;
    let running = client.start(&Work::of(&["/bin/true"])).await;
    let task = runner.fetch().await;
    let cases = [
        (ActionReport { stage: Stage::Done.into(), ..ActionReport::default() }, "action.response"),
        (
            ActionReport { response: vec![8; 3], stage: Stage::Executing.into(), ..ActionReport::default() },
            "action.response",
        ),
        (
            ActionReport { response: vec![0xff; 9], stage: Stage::Done.into(), ..ActionReport::default() },
            "action.response",
        ),
        (ActionReport { give_back: true, ..ActionReport::default() }, "action.give_back"),
    ];
    for (report, field) in cases {
        let refusal = runner.update(&task, report).await.expect_err(field);
        assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
        assert!(refusal.message().contains(field), "{refusal}");
    }
    let mut unknown = update(&task, ActionReport::default());
    unknown.tx_uuid = "no such execution".into();
    assert!(runner.send(unknown).await.is_err());
    runner.succeeds(&task, "").await;
    running.done().await;
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_runner_could_ever_run_fails_soon_and_says_why() {
    let test = impatient().await;
    let client = Client::of(&test);
    let _runner = FakeRunner::offering(&test, "alpha", &[("OSFamily", "linux"), ("max-cores", "8")]).await;
    let work = Work::of(&["/bin/true"]).platform(&[("OSFamily", "windows"), ("cores", "16")]);
    let mut running = client.start(&work).await;
    assert_eq!(running.now.stage(), At::Queued);
    let last = running.until("done", |seen| seen.done).await.response.expect("a response");
    let (code, message) = status(&last);
    assert_eq!(code, Code::FailedPrecondition as i32, "{message}");
    for word in ["OSFamily", "windows", "linux", "cores", "16", "8"] {
        assert!(message.contains(word), "{word} is not in {message:?}");
    }
    assert!(last.result.is_none());
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_whose_clients_have_left_is_cancelled_after_a_grace() {
    let test = impatient().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let action = client.store(&Work::of(&["/bin/sleep", "1000"])).await;
    let one = client.ask(client.request(&action)).await.expect("taken");
    let two = client.ask(client.request(&action)).await.expect("taken");
    let task = runner.fetch().await;
    // One of two leaves: it goes on.
    let name = two.now.name.clone();
    drop(one);
    assert!(!runner.says(&task, Stage::Executing).await.expect("taken").terminate);
    // The other one comes back in time.
    drop(two);
    let two = client.wait(&name).await.expect("still there");
    assert!(!two.now.done);
    drop(two);
    within("the cancellation", async {
        while !runner.says(&task, Stage::Executing).await.expect("taken").terminate {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let told = runner.ends(&task, &failed(Code::Cancelled, "killed")).await.expect("taken");
    assert_eq!(told.pipeline_state, "cancelled");
    let seen = client.get(&name).await.expect("remembered");
    assert_eq!(status(&seen.response.expect("a response")).0, Code::Cancelled as i32);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_blobs_are_told_where_every_client_finds_them() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    // The Action itself.
    let nowhere = digest(b"an action that was never uploaded");
    let refusal = client.ask(client.request(&nowhere)).await.err().expect("missing");
    assert_eq!(refusal.code(), Code::FailedPrecondition, "{refusal}");
    let told = refusal.get_details_precondition_failure().expect("the details have arrived");
    assert_eq!(told.violations.len(), 1);
    assert_eq!(told.violations[0].r#type, "MISSING");
    assert_eq!(told.violations[0].subject, format!("blobs/{}/{}", nowhere.hash, nowhere.size_bytes));
    // Many inputs: more than headers may carry.
    let lost: Vec<re::Digest> = (0..500_u32).map(|number| digest(&number.to_le_bytes())).collect();
    let file = |(number, lost): (usize, &re::Digest)| re::FileNode {
        name: format!("{number:03}"),
        digest: Some(lost.clone()),
        ..re::FileNode::default()
    };
    let root = re::Directory { files: lost.iter().enumerate().map(file).collect(), ..re::Directory::default() };
    let command = client.remote.put_one(&Work::of(&["/bin/true"]).command.encode_to_vec()).await;
    let root = client.remote.put_one(&root.encode_to_vec()).await;
    let action = re::Action { command_digest: Some(command), input_root_digest: Some(root), ..re::Action::default() };
    let action = client.remote.put_one(&action.encode_to_vec()).await;
    let running = client.ask(client.request(&action)).await.expect("an operation that is done");
    let response = running.done().await;
    assert_eq!(status(&response).0, Code::FailedPrecondition as i32);
    let details = response.status.expect("a status").details;
    assert_eq!(details[0].type_url, "type.googleapis.com/google.rpc.PreconditionFailure");
    let told = tonic_types::pb::PreconditionFailure::decode(details[0].value.as_slice()).expect("it decodes");
    let subjects: BTreeSet<String> = told.violations.into_iter().map(|one| one.subject).collect();
    let wanted = lost.iter().map(|lost| format!("blobs/{}/{}", lost.hash, lost.size_bytes)).collect();
    assert_eq!(subjects, wanted, "every one of them");
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_action_says_now_and_then_that_it_lives_and_streams_end_with_the_server() {
    let test = TestApp::start(Options { keep_alive_ms: Some(50), ..Options::default() }).await;
    let client = Client::of(&test);
    let mut running = client.start(&Work::of(&["/bin/sleep", "1000"])).await;
    let first = running.now.metadata.clone();
    for _ in 0..3 {
        let next = running.next().await.expect("the stream goes on").expect("a message");
        assert_eq!((next.metadata.stage, next.done), (first.stage, false));
    }
    test.begin_stop();
    let end = within("the end", async {
        loop {
            match running.next().await {
                Ok(Some(_)) => {}
                other => return other,
            }
        }
    })
    .await;
    assert_eq!(end.expect_err("not a clean end").code(), Code::Unavailable);
    drop(client);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_s_token_executes_in_its_own_instance_and_sees_no_other() {
    let test = TestApp::with_tokens().await;
    let token = test.token_for(Role::Execute, "mine").await;
    let (mine, theirs) = (Client::with(&test, &token, "mine"), Client::within(&test, "theirs"));
    let work = Work::of(&["/bin/true"]);
    let (own, other) = (mine.start(&work).await, theirs.start(&work).await);
    let sneaky = Client::with(&test, &token, "theirs");
    let action = theirs.store(&work).await;
    assert_eq!(sneaky.ask(sneaky.request(&action)).await.err().expect("hidden").code(), Code::NotFound);
    let name = &other.now.name;
    assert_eq!(mine.wait(name).await.err().expect("hidden").code(), Code::NotFound);
    assert_eq!(mine.get(name).await.expect_err("hidden").code(), Code::NotFound);
    assert_eq!(mine.cancel(name).await.expect_err("hidden").code(), Code::NotFound);
    let made_up = mine.get("theirs/operations/00000000-0000-0000-0000-000000000000").await.expect_err("unknown");
    assert_eq!(made_up.code(), Code::NotFound);
    mine.get(&own.now.name).await.expect("its own");
    // The same action in two instances is two executions.
    let runner = FakeRunner::start(&test, "alpha").await;
    let tasks = [runner.fetch().await, runner.fetch().await];
    let instances: BTreeSet<&str> = tasks.iter().map(|task| task.instance_name.as_str()).collect();
    assert_eq!(instances, BTreeSet::from(["mine", "theirs"]));
    for task in &tasks {
        runner.succeeds(task, &task.instance_name).await;
    }
    assert_eq!(own.done().await.result.expect("a result").stdout_raw, b"mine");
    assert_eq!(other.done().await.result.expect("a result").stdout_raw, b"theirs");
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_s_token_reads_and_writes_the_cache_of_every_instance_and_executes_nothing() {
    let test = TestApp::with_tokens().await;
    let runner = FakeRunner::start(&test, "alpha").await;
    let client = Client::with(&test, &runner.token, "any/instance");
    let action = client.store(&Work::of(&["/bin/true"])).await;
    client.remote.update_action(&action, re::ActionResult::default()).await.expect("stored");
    client.remote.action(&action).await.expect("read");
    let refusal = client.ask(client.request(&action)).await.err().expect("not for runners");
    assert_eq!(refusal.code(), Code::PermissionDenied, "{refusal}");
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_executes_nothing_says_so() {
    let execution = RawExecutionConfig { off: true, ..RawExecutionConfig::default() };
    let test = TestApp::start(Options { execution, ..Options::default() }).await;
    let client = Client::of(&test);
    let capabilities = client.remote.capabilities().await.expect("an answer");
    assert!(!capabilities.execution_capabilities.expect("some").exec_enabled);
    let action = client.store(&Work::of(&["/bin/true"])).await;
    let refusal = client.ask(client.request(&action)).await.err().expect("off");
    assert_eq!(refusal.code(), Code::Unimplemented);
    assert!(refusal.message().contains("--no-execution"), "{refusal}");
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_say_what_the_caller_may() {
    let test = TestApp::with_tokens().await;
    for (role, wanted) in
        [(Role::CacheRead, false), (Role::CacheWrite, false), (Role::Execute, true), (Role::Admin, true)]
    {
        let client = Client::with(&test, &test.token(role).await, "");
        let capabilities = client.remote.capabilities().await.expect("an answer").execution_capabilities.expect("some");
        assert_eq!(capabilities.exec_enabled, wanted, "{role:?}");
        assert_eq!(capabilities.execution_priority_capabilities.is_some(), wanted);
        assert_eq!(capabilities.digest_function(), re::digest_function::Value::Sha256);
        assert!(capabilities.digest_functions.len() > 1);
    }
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let action = client.store(&Work::of(&["/bin/true"])).await;
    let running = client.ask(client.request(&action)).await.expect("taken");
    let waits = test.app.metrics.text(&test.app).await.expect("text");
    assert!(
        waits.lines().any(|line| line.starts_with("millrace_execution_queued{") && line.ends_with(" 1")),
        "{waits}"
    );
    let task = runner.fetch().await;
    runner.succeeds(&task, "").await;
    running.done().await;
    client.ask(client.request(&action)).await.expect("taken").done().await;
    let text = test.app.metrics.text(&test.app).await.expect("text");
    for line in [
        "millrace_execution_asked_total 2",
        "millrace_execution_cached_total 1",
        "millrace_execution_finished_total{outcome=\"success\"} 1",
        "millrace_execution_stage_seconds_count{stage=\"executing\"} 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line:?} is not in {text}");
    }
    until("nothing is queued", || test.app.execution.snapshot().queued == 0).await;
    test.close().await;
}
