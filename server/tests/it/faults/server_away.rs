//! There is no server: a command says so and what to do; a runner goes on asking until there is one.

use millrace_bench::wire::millrace_v1::State;

use super::scene::{Scene, counting, eventually, stop};
use crate::app::within;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_a_server_says_what_to_do() {
    let scene = Scene::new().await;
    let file = scene.file("count.yml", &counting(1, 1, "0"));
    let (mut command, mut output) = scene.millrace_run(&file);
    let status = within("the command's end", command.wait()).await.expect("ends");
    assert_eq!(status.code(), Some(6));
    assert_eq!(output.next_line().await.expect("reads"), None, "nothing was begun");
    let said = scene.said();
    for part in [&scene.url, "can't be reached", "Connection refused", "next: start a server with `millrace dev`"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_goes_on_asking_until_the_server_comes() {
    let mut scene = Scene::new().await;
    let server = scene.serve().await;
    let mut runner = scene.runner("one").await;
    let identity = scene.folder().join("one/identity.json");
    eventually("the runner is registered", async || identity.is_file().then_some(())).await;
    assert_eq!(stop(&mut runner).await.code(), Some(0));
    server.kill().await.expect("kills");

    let mut runner = scene.runner("one").await;
    // It says so each time; with growing waits in between, this takes a second or two.
    eventually("it has tried some times", async || (scene.said().matches("trying again").count() >= 4).then_some(()))
        .await;
    assert_eq!(runner.try_wait().expect("looks"), None, "it must not give up");
    let server = scene.serve().await;
    let run = scene.run(&counting(3, 1, "0")).await;
    let run = scene.finished(&run.id).await;
    assert_eq!((run.state(), &run.jobs[0].runner_name[..]), (State::Success, "one"), "{run:#?}");
    scene.finish(server, vec![runner]).await;
}
