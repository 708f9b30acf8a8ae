//! Stopping in order and by force: cancelled and terminated runs, and servers and runners that get a SIGTERM.

use millrace_bench::program::ServerProgram;
use millrace_bench::wire::millrace_v1::{CancelRunRequest, Run, State, TerminateRunRequest};

use super::scene::{Scene, assert_counted, counting, eventually, signal, stop};
use super::tail::follow;
use crate::app::within;

/// A job that ignores what it is asked, and has children and grandchildren; one has a session of its own.
const STUBBORN: &str = "on: workflow_dispatch
jobs:
  one:
    runs-on: self-hosted
    steps:
      - shell: bash
        run: |
          trap '' TERM INT HUP
          bash -c 'sleep 7002 & bash -c \"sleep 7003; true\" & wait' &
          setsid bash -c 'trap \"\" TERM INT HUP; sleep 7004; true' &
          echo ready
          while true; do sleep 7005; done
";

fn begun(run: &Run) -> bool {
    !run.jobs[0].steps[0].log_id.is_empty()
}

/// A run of it, with all its processes there.
async fn stubborn(scene: &Scene) -> Run {
    let run = scene.run(STUBBORN).await;
    let run = scene.until(&run.id, "the step has begun", begun).await;
    let log = run.jobs[0].steps[0].log_id.clone();
    eventually("it is ready", async || scene.log(&log).await.contains(&"ready".to_owned()).then_some(())).await;
    eventually("its processes are there", async || {
        let sleeping = scene.processes().into_iter().filter(|pid| sleeps(*pid)).count();
        (sleeping == 4).then_some(())
    })
    .await;
    run
}

fn sleeps(pid: u32) -> bool {
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.starts_with("sleep\0")
}

/// Server and runner, and nothing else.
fn assert_jobs_gone(scene: &Scene, server: &ServerProgram, runner: &tokio::process::Child) {
    let mut wanted = vec![server.pid().expect("it runs"), runner.id().expect("it runs")];
    wanted.sort_unstable();
    let mut there = scene.processes();
    there.sort_unstable();
    assert_eq!(there, wanted, "processes that are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn terminate_kills_the_whole_tree_at_once() {
    let mut scene = Scene::new().await;
    let server = scene.serve().await;
    let runner = scene.runner("one").await;
    let run = stubborn(&scene).await;
    scene.client.pipelines().terminate_run(TerminateRunRequest { run_id: run.id.clone() }).await.expect("terminates");
    let run = scene.finished(&run.id).await;
    assert_eq!(run.state(), State::Cancelled, "{run:#?}");
    assert_jobs_gone(&scene, &server, &runner);
    scene.finish(server, vec![runner]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ignores_a_cancellation_is_killed_after_its_grace() {
    let mut scene = Scene::new().await;
    let server = scene.serve().await;
    let runner = scene.runner("one").await;
    let run = stubborn(&scene).await;
    scene.client.pipelines().cancel_run(CancelRunRequest { run_id: run.id.clone() }).await.expect("cancels");
    let run = scene.finished(&run.id).await;
    assert_eq!(run.state(), State::Cancelled, "{run:#?}");
    assert_jobs_gone(&scene, &server, &runner);
    scene.finish(server, vec![runner]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_ignores_a_cancellation_and_falls_silent_holds_nothing_up() {
    let scene = Scene::new().await;
    let server = scene.serve().await;
    let agent = scene.agent("agent").await;
    let run = scene.run(&counting(1, 1, "0")).await;
    let task = agent.fetch("", 20_000).await.expect("fetches").expect("a task");
    agent.report(&task, "running", "running").await.expect("reports");
    agent.log(&task, 0, vec!["line 1".to_owned()], false).await.expect("logs");
    let tail = follow(scene.client.clone(), task.log_id(0));
    scene.client.pipelines().cancel_run(CancelRunRequest { run_id: run.id.clone() }).await.expect("cancels");
    let told = agent.report(&task, "running", "").await.expect("reports");
    assert_eq!((&told.pipeline_state[..], told.terminate), ("cancelled", false));
    // Not another word.
    let run = scene.finished(&run.id).await;
    assert_eq!(run.state(), State::Cancelled);
    assert_eq!(run.jobs[0].message, "cancelled; the runner did not answer any more");
    let seen = within("the log's end", tail).await.expect("the tail");
    assert_counted("the log", &seen.lines, 1);
    let late = agent.report(&task, "success", "success").await.expect_err("too late");
    assert_eq!(late.code(), tonic::Code::PermissionDenied, "{late}");
    scene.finish(server, Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_stops_and_the_run_goes_on_with_the_next() {
    const LINES: u32 = 300;
    let mut scene = Scene::new().await;
    scene.lease_seconds = 10;
    let mut server = scene.serve().await;
    let runner = scene.runner("one").await;
    let run = scene.run(&counting(LINES, 1, "0.01")).await;
    let run = scene.until(&run.id, "the step has begun", begun).await;
    let tail = follow(scene.client.clone(), run.jobs[0].steps[0].log_id.clone());
    // An agent waits in a long poll, too: it must not hold the end up.
    let agent = scene.agent("agent").await;
    let waiting = tokio::spawn(async move { agent.fetch("", 50_000).await });
    signal("-TERM", server.pid().expect("it runs"));
    let status = within("the server's end", server.ended()).await.expect("ends");
    assert_eq!(status.code(), Some(0), "{}", scene.said());
    assert!(!scene.said().contains("did not end in"), "something held the end up: {}", scene.said());
    // The poll was answered, or its connection ended: not left hanging.
    let _answer = within("the poll's end", waiting).await.expect("no panic");

    let server = scene.serve().await;
    let run = scene.finished(&run.id).await;
    assert_eq!((run.state(), run.jobs[0].executions), (State::Success, 1), "{run:#?}");
    assert_counted("the log", &scene.log(&run.jobs[0].steps[0].log_id).await, LINES);
    assert_counted("the tail", &within("the tail's end", tail).await.expect("the tail").lines, LINES);
    scene.finish(server, vec![runner]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_told_to_stop_ends_its_job_first() {
    const LINES: u32 = 200;
    let mut scene = Scene::new().await;
    let server = scene.serve().await;
    let mut runner = scene.runner("one").await;
    let run = scene.run(&counting(LINES, 1, "0.01")).await;
    scene.until(&run.id, "the step has begun", begun).await;
    let next = scene.run(&counting(1, 1, "0")).await;
    assert_eq!(stop(&mut runner).await.code(), Some(0));
    let run = scene.finished(&run.id).await;
    assert_eq!((run.state(), run.jobs[0].executions), (State::Success, 1), "{run:#?}");
    assert_counted("the log", &scene.log(&run.jobs[0].steps[0].log_id).await, LINES);
    assert_eq!(scene.get(&next.id).await.expect("the run").state(), State::Queued, "it took nothing new");
    scene.finish(server, Vec::new()).await;
}
