//! Remote execution and a server that is killed at each stage of an action: whoever comes back finds it as it was, and the
//! action runs at most once more.

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use millrace_bench::wire::runner_v1::action_report::Stage;
use millrace_bench::wire::runner_v1::fetch_task_request::Wants;
use re::execution_stage::Value as At;

use super::scene::{REGISTRATION_TOKEN, Scene, eventually};
use crate::app::wire_to;
use crate::execute_client::{Client, Running, Work, status};
use crate::fake_runner::FakeRunner;

/// The operation, once the server is there again.
async fn back(client: &Client, name: &str) -> Running {
    eventually("the operation", async || client.wait(name).await.ok()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_outlives_its_server_at_each_stage() {
    let scene = Scene::new().await;
    let mut server = scene.serve().await;
    let client = Client::through(wire_to(&scene.url, scene.token()), "team/app");
    let runner = FakeRunner::at(&scene.url, REGISTRATION_TOKEN, "fake").await;
    let action = client.store(&Work::of(&["/bin/true"])).await;
    let running = client.ask(client.request(&action)).await.expect("taken");
    let name = running.now.name.clone();

    // Queued: it was told of, so it is there.
    server.kill().await.expect("kills");
    drop(running);
    server = scene.serve().await;
    assert_eq!(back(&client, &name).await.now.stage(), At::Queued);

    // Leased: the answer was lost, or was not; the same request gets the same lease.
    let wants = Wants::JobsAndActions;
    let task = runner.poll("ask-1", wants, 10_000).await.expect("an action");
    server.kill().await.expect("kills");
    server = scene.serve().await;
    drop(back(&client, &name).await);
    let again = runner.poll("ask-1", wants, 10_000).await.expect("the same action");
    assert_eq!((again.execution_id.as_str(), again.epoch), (task.execution_id.as_str(), 1));
    assert_eq!(again.stdout_write_name, task.stdout_write_name, "what is being written can go on");

    // Running: the lease goes on, and its end is taken.
    runner.says(&task, Stage::Executing).await.expect("taken");
    server.kill().await.expect("kills");
    server = scene.serve().await;
    let waiting = back(&client, &name).await;
    assert_eq!(waiting.now.stage(), At::Executing);
    assert!(!runner.says(&task, Stage::OutputUpload).await.expect("still its own").terminate);
    runner.succeeds(&task, "once").await;
    assert_eq!(waiting.done().await.result.expect("a result").stdout_raw, b"once");

    // Done: remembered and cached.
    server.kill().await.expect("kills");
    server = scene.serve().await;
    let late = back(&client, &name).await;
    assert_eq!(late.done().await.result.expect("a result").stdout_raw, b"once");
    let cached = client.ask(client.request(&action)).await.expect("taken").done().await;
    assert!(cached.cached_result);
    assert!(runner.poll("", wants, 1).await.is_none(), "nothing of it is left in the queue");
    scene.finish(server, Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_on_while_its_server_is_killed_and_comes_back() {
    let mut scene = Scene::new().await;
    let mut server = scene.serve().await;
    let runner = scene.runner("real").await;
    let client = Client::through(wire_to(&scene.url, scene.token()), "");
    let work = Work::script("echo begun; sleep 3; echo over").outputs(&[]);
    let mut running = client.start(&work).await;
    let name = running.now.name.clone();
    running.until("running", |seen| seen.stage() == At::Executing).await;
    server.kill().await.expect("kills");
    drop(running);
    server = scene.serve().await;
    let response = back(&client, &name).await.done().await;
    assert_eq!(status(&response).0, 0, "{response:?}");
    let result = response.result.expect("a result");
    let printed = result.stdout_digest.map_or(result.stdout_raw.len() as i64, |digest| digest.size_bytes);
    assert_eq!((result.exit_code, printed), (0, "begun\nover\n".len() as i64));
    scene.finish(server, vec![runner]).await;
}
