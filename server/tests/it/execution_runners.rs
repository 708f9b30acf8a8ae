//! Which runner gets which action, and when: by the answer to an end, after one that gave back, left or drains. The runners
//! here execute nothing.

use millrace_bench::wire::runner_v1::action_report::Stage;
use millrace_bench::wire::runner_v1::fetch_task_request::Wants;
use millrace_bench::wire::runner_v1::{ActionReport, FetchTaskRequest};
use tonic::Code;

use crate::agent_grpc::Agent;
use crate::app::{TestApp, within};
use crate::execute_client::{Client, Work};
use crate::fake_runner::{FakeRunner, ended, exited, failed, printed, update};

#[tokio::test(flavor = "multi_thread")]
async fn the_next_task_comes_with_the_answer_to_the_end_of_the_last() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let (one, two) = (client.start(&Work::of(&["/bin/true"])).await, client.start(&Work::of(&["/bin/false"])).await);
    let task = runner.fetch().await;
    let mut end = update(&task, ended(&printed("first")));
    end.do_next = true;
    end.wants = Wants::JobsAndActions.into();
    let next = runner.send(end.clone()).await.expect("taken").next.expect("an answer").action.expect("the next");
    // Its answer was lost: the same comes again.
    if let Ok(again) = runner.send(end).await {
        assert_eq!(again.next.expect("an answer").action.expect("the same"), next);
    }
    let mut last = update(&next, ended(&exited(3, "second")));
    last.do_next = true;
    last.wants = Wants::JobsAndActions.into();
    let answer = runner.send(last).await.expect("taken").next.expect("an answer");
    assert!(answer.action.is_none() && !answer.success);
    assert_eq!(one.done().await.result.expect("a result").exit_code, 0);
    assert_eq!(two.done().await.result.expect("a result").exit_code, 3);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ephemeral_runner_leaves_after_one_action_and_a_draining_one_takes_none() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let once = FakeRunner::ephemeral(&test, "once").await;
    let running = client.start(&Work::of(&["/bin/true"])).await;
    let task = once.fetch().await;
    once.succeeds(&task, "").await;
    running.done().await;
    assert!(test.app.runners.list().await.expect("a list").is_empty());
    let refusal = once.says(&task, Stage::Executing).await.expect_err("its token is worthless");
    assert_eq!(refusal.code(), Code::Unauthenticated);

    let draining = FakeRunner::start(&test, "draining").await;
    let drain = millrace_bench::wire::millrace_v1::DrainRunnerRequest { uuid: draining.uuid.clone(), resume: false };
    test.runner_admin().drain_runner(drain).await.expect("drained");
    let running = client.start(&Work::of(&["/bin/false"])).await;
    assert!(draining.poll("", Wants::JobsAndActions, 0).await.is_none(), "at once, with nothing");
    let resume = millrace_bench::wire::millrace_v1::DrainRunnerRequest { uuid: draining.uuid.clone(), resume: true };
    test.runner_admin().drain_runner(resume).await.expect("resumed");
    let task = draining.fetch().await;
    draining.succeeds(&task, "").await;
    running.done().await;
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_runner_gives_back_another_gets() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let (full, other) = (FakeRunner::start(&test, "full").await, FakeRunner::start(&test, "other").await);
    let running = client.start(&Work::of(&["/bin/true"])).await;
    let task = full.fetch().await;
    let report = ActionReport { give_back: true, ..ended(&failed(Code::ResourceExhausted, "the disk is full")) };
    full.update(&task, report).await.expect("taken");
    let again = other.fetch().await;
    assert_eq!((again.execution_id.as_str(), again.epoch), (task.execution_id.as_str(), task.epoch + 1));
    other.succeeds(&again, "done").await;
    assert_eq!(running.done().await.result.expect("a result").stdout_raw, b"done");
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_and_an_action_are_given_to_the_same_poller() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "both").await;
    let running = client.start(&Work::of(&["/bin/true"])).await;
    test.run("jobs: { one: { runs-on: stock, steps: [{ run: echo }] } }").await;
    let request = || FetchTaskRequest { wants: Wants::JobsAndActions.into(), wait_ms: 10_000, ..Default::default() };
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let answer = within("a task", runner.client.clone().fetch_task(request())).await.expect("an answer");
        let answer = answer.into_inner();
        assert!(answer.success);
        kinds.push(answer.action.is_some());
        if let Some(task) = answer.action {
            runner.succeeds(&task, "").await;
        } else {
            assert!(answer.content.contains("tx_uuid"), "a job: {}", answer.content);
        }
    }
    kinds.sort_unstable();
    assert_eq!(kinds, [false, true], "one of each");
    running.done().await;
    // An agent that knows nothing of actions gets jobs only.
    let mut plain = Agent::register(&test, "plain").await;
    let running = client.start(&Work::of(&["/bin/false"])).await;
    assert!(plain.fetch("", 1).await.is_none());
    drop(running);
    test.close().await;
}
