//! `google.longrunning.Operations` over remote execution.

use std::collections::BTreeSet;
use std::time::Duration;

use bazel_remote_apis::google::longrunning as lro;
use millrace_bench::wire::runner_v1::action_report::Stage;
use tonic::{Code, Status};

use crate::app::{TestApp, within};
use crate::execute_client::{Client, Running, Seen, Work, status};
use crate::fake_runner::{FakeRunner, failed};

/// One page: operations, and the next page's token.
async fn list(client: &Client, filter: &str, page: (i32, &str)) -> Result<(Vec<Seen>, String), Status> {
    let request = lro::ListOperationsRequest {
        name: client.remote.instance.clone(),
        filter: filter.into(),
        page_size: page.0,
        page_token: page.1.into(),
        ..Default::default()
    };
    let answer = within("ListOperations", client.operations.clone().list_operations(request)).await?.into_inner();
    Ok((answer.operations.into_iter().map(Seen::of).collect(), answer.next_page_token))
}

async fn all(client: &Client, filter: &str) -> BTreeSet<String> {
    let (seen, next) = list(client, filter, (0, "")).await.expect("a list");
    assert!(next.is_empty(), "one page");
    seen.into_iter().map(|seen| seen.name).collect()
}

fn names(running: &[&Running]) -> BTreeSet<String> {
    running.iter().map(|running| running.now.name.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_listed_by_instance_filter_and_page() {
    let test = TestApp::open().await;
    let client = Client::within(&test, "team/one");
    let runner = FakeRunner::start(&test, "alpha").await;
    let done = client.start(&Work::of(&["done"])).await;
    let task = runner.fetch().await;
    runner.succeeds(&task, "").await;
    let mut done = done;
    done.until("done", |seen| seen.done).await;
    let held = client.start(&Work::of(&["held"])).await;
    let task = runner.fetch().await;
    runner.says(&task, Stage::Executing).await.expect("taken");
    let action = client.store(&Work::of(&["queued"])).await;
    let queued = client.ask_as(client.request(&action), "an invocation").await.expect("taken");
    let elsewhere = Client::within(&test, "team/two").start(&Work::of(&["elsewhere"])).await;

    assert_eq!(all(&client, "").await, names(&[&done, &held, &queued]));
    assert_eq!(all(&Client::within(&test, "team/two"), "").await, names(&[&elsewhere]));
    assert_eq!(all(&Client::within(&test, "team/two/operations"), "").await, names(&[&elsewhere]), "by the collection");
    assert_eq!(all(&Client::within(&test, "team"), "").await, names(&[]));
    assert_eq!(all(&client, "done=true").await, names(&[&done]));
    assert_eq!(all(&client, "done=false").await, names(&[&held, &queued]));
    assert_eq!(all(&client, "stage=executing").await, names(&[&held]));
    assert_eq!(all(&client, "stage=queued & done=false").await, names(&[&queued]));
    assert_eq!(all(&client, "stage=completed AND done=false").await, names(&[]));
    assert_eq!(all(&client, &format!("action={}", action.hash)).await, names(&[&queued]));
    assert_eq!(all(&client, "invocation=\"an invocation\"").await, names(&[&queued]));

    let mut paged = BTreeSet::new();
    let mut token = String::new();
    loop {
        let (seen, next) = list(&client, "", (1, &token)).await.expect("a page");
        assert!(seen.len() <= 1);
        paged.extend(seen.into_iter().map(|seen| seen.name));
        if next.is_empty() {
            break;
        }
        token = next;
    }
    assert_eq!(paged, names(&[&done, &held, &queued]), "pages together are the list");
    for (filter, page, word) in
        [("", (-1, ""), "page_size"), ("", (1, "garbage"), "page_token"), ("color=red", (0, ""), "filter")]
    {
        let refusal = list(&client, filter, page).await.expect_err(word);
        assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
        assert!(refusal.message().contains(word), "{refusal}");
    }
    drop((done, held, queued, elsewhere));
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_operation_ends_alone_and_the_last_one_takes_the_action_along() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let action = client.store(&Work::of(&["/bin/sleep", "1000"])).await;
    let one = client.ask(client.request(&action)).await.expect("taken");
    let two = client.ask(client.request(&action)).await.expect("taken");
    let task = runner.fetch().await;
    client.cancel(&one.now.name).await.expect("cancelled");
    let (code, _) = status(&one.done().await);
    assert_eq!(code, Code::Cancelled as i32);
    assert!(!runner.says(&task, Stage::Executing).await.expect("taken").terminate, "somebody still wants it");
    client.cancel(&two.now.name).await.expect("cancelled");
    client.cancel(&two.now.name).await.expect("twice is fine");
    assert!(runner.says(&task, Stage::Executing).await.expect("taken").terminate);
    // The runner may be slow to say so, and the client need not wait for it or may.
    let _ = runner.ends(&task, &failed(Code::Cancelled, "killed")).await;
    let (code, _) = status(&two.done().await);
    assert_eq!(code, Code::Cancelled as i32);
    assert_eq!(client.remote.action(&action).await.expect_err("nothing is cached").code(), Code::NotFound);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_waited_for_as_long_as_one_says() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let running = client.start(&Work::of(&["/bin/true"])).await;
    let wait = async |timeout: Option<Duration>| {
        let timeout = timeout.map(|timeout| bazel_remote_apis::google::protobuf::Duration {
            seconds: timeout.as_secs() as i64,
            nanos: timeout.subsec_nanos() as i32,
        });
        let request = lro::WaitOperationRequest { name: running.now.name.clone(), timeout };
        let answer = within("WaitOperation", client.operations.clone().wait_operation(request)).await;
        answer.map(|answer| Seen::of(answer.into_inner()))
    };
    assert!(!wait(Some(Duration::from_millis(20))).await.expect("an answer").done, "the time is up");
    assert!(!wait(Some(Duration::ZERO)).await.expect("an answer").done, "as it is");
    let task = runner.fetch().await;
    let (waited, ()) = tokio::join!(wait(None), runner.succeeds(&task, "done"));
    let response = waited.expect("an answer").response.expect("it is done");
    assert_eq!(response.result.expect("a result").stdout_raw, b"done");
    running.done().await;
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_operation_is_forgotten() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let running = client.start(&Work::of(&["/bin/true"])).await;
    let name = running.now.name.clone();
    let task = runner.fetch().await;
    runner.succeeds(&task, "").await;
    running.done().await;
    let delete = async |name: &str| {
        let request = lro::DeleteOperationRequest { name: name.into() };
        within("DeleteOperation", client.operations.clone().delete_operation(request)).await.map(drop)
    };
    delete(&name).await.expect("deleted");
    assert_eq!(client.get(&name).await.expect_err("forgotten").code(), Code::NotFound);
    assert!(!all(&client, "").await.contains(&name));
    assert_eq!(delete(&name).await.expect_err("forgotten").code(), Code::NotFound);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_nobody_has_are_not_found() {
    let test = TestApp::open().await;
    let client = Client::of(&test);
    let long = "x/".repeat(5_000);
    let unknown = "operations/00000000-0000-0000-0000-000000000000";
    for name in ["", "operations", "operations/", "garbage", "operations/../..", "a/blobs/operations/x", unknown, &long]
    {
        let code = |refusal: Status| (refusal.code(), refusal.message().len() < 1_000);
        let wanted = (Code::NotFound, true);
        assert_eq!(client.get(name).await.map_err(code).expect_err(name), wanted, "{name}");
        assert_eq!(client.cancel(name).await.map_err(code).expect_err(name), wanted, "{name}");
        assert_eq!(client.wait(name).await.map_err(code).err().expect(name), wanted, "{name}");
    }
    test.close().await;
}
