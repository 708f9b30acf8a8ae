//! The server is killed and comes back on its data: runs go on, logs are whole, what was acknowledged is there.

use std::time::Duration;

use millrace_bench::wire::millrace_v1::{ListRunsRequest, RunRequest, State};

use super::proxy::Proxy;
use super::scene::{Scene, assert_counted, counting, eventually};
use super::tail::follow;
use crate::app::within;

const SINGLE: &str =
    "on: workflow_dispatch\njobs:\n  one:\n    runs-on: self-hosted\n    steps:\n      - run: 'true'\n";

/// The lines of the command's JSON output that are lines of the log: their number and text.
fn shown_line(json: &str) -> Option<(u64, String)> {
    let event: serde_json::Value = serde_json::from_str(json).expect("JSON");
    (event["event"] == "line")
        .then(|| (event["line"].as_u64().expect("a number"), event["text"].as_str().expect("a text").to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_outlives_its_server_and_who_follows_sees_each_line_once() {
    const LINES: u32 = 600;
    let mut scene = Scene::new().await;
    let server = scene.serve().await;
    let runner = scene.runner("one").await;
    let file = scene.file("count.yml", &counting(LINES, 1, "0.01"));
    let (mut command, mut output) = scene.millrace_run(&file);
    let mut shown = Vec::new();
    let mut run_id = String::new();
    // Killed once the command has shown some lines.
    while shown.len() < 50 {
        let line = within("lines", output.next_line()).await.expect("reads").expect("the command goes on");
        let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if event["event"] == "run" {
            event["id"].as_str().expect("an id").clone_into(&mut run_id);
        }
        shown.extend(shown_line(&line));
    }
    let run = scene.get(&run_id).await.expect("the run");
    let tail = follow(scene.client.clone(), run.jobs[0].steps[0].log_id.clone());
    server.kill().await.expect("kills");
    let server = scene.serve().await;

    let run = scene.finished(&run_id).await;
    assert_eq!((run.state(), run.jobs[0].executions), (State::Success, 1), "{run:#?}");
    assert_counted("the log", &scene.log(&run.jobs[0].steps[0].log_id).await, LINES);
    let seen = within("the tail's end", tail).await.expect("the tail");
    assert_counted("the tail", &seen.lines, LINES);
    while let Some(line) = within("the command's end", output.next_line()).await.expect("reads") {
        shown.extend(shown_line(&line));
    }
    assert_eq!(within("the command's end", command.wait()).await.expect("ends").code(), Some(0));
    let numbers: Vec<u64> = shown.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "each line once, in order");
    assert_counted("what was shown", &shown.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), LINES);
    scene.finish(server, vec![runner]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_while_lines_pour_in_it_loses_none() {
    const LINES: u32 = 60_000;
    const KILLS: usize = 3;
    let mut scene = Scene::new().await;
    scene.lease_seconds = 10;
    let mut server = scene.serve().await;
    let runner = scene.runner("one").await;
    let run = scene.run(&counting(LINES, 100, "0.01")).await;
    let started = |run: &millrace_bench::wire::millrace_v1::Run| !run.jobs[0].steps[0].log_id.is_empty();
    let run = scene.until(&run.id, "the run has begun", started).await;
    let log_id = run.jobs[0].steps[0].log_id.clone();
    let tail = follow(scene.client.clone(), log_id.clone());
    let mut pauses = Vec::new();
    for _ in 0..KILLS {
        let pause = rand::random_range(100..900);
        pauses.push(pause);
        // Any moment will do: this is not a wait for something.
        tokio::time::sleep(Duration::from_millis(pause)).await;
        server.kill().await.expect("kills");
        server = scene.serve().await;
    }
    let run = scene.finished(&run.id).await;
    assert_eq!((run.state(), run.jobs[0].executions), (State::Success, 1), "killed after {pauses:?} ms: {run:#?}");
    assert_counted(&format!("the log, killed after {pauses:?} ms"), &scene.log(&log_id).await, LINES);
    let seen = within("the tail's end", tail).await.expect("the tail");
    assert_counted(&format!("the tail, killed after {pauses:?} ms"), &seen.lines, LINES);
    assert!(seen.breaks > 0);
    scene.finish(server, vec![runner]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_acknowledged_is_there_and_asked_for_again_it_is_the_same() {
    const ROUNDS: u64 = 6;
    let scene = Scene::new().await;
    let mut server = scene.serve().await;
    let mut ids = Vec::new();
    for round in 0..ROUNDS {
        let request =
            RunRequest { workflow: SINGLE.to_owned(), request_id: format!("round-{round}"), ..Default::default() };
        // In even rounds it is killed right after its answer, in the others somewhere in the call.
        let asking = tokio::spawn({
            let (mut pipelines, request) = (scene.client.pipelines(), request.clone());
            async move { pipelines.run(request).await }
        });
        let acknowledged = if round % 2 == 0 {
            let answer = within("the answer", asking).await.expect("no panic").expect("the run starts");
            server.kill().await.expect("kills");
            Some(answer.into_inner().run.expect("a run").id)
        } else {
            tokio::time::sleep(Duration::from_micros(rand::random_range(0..8_000))).await;
            server.kill().await.expect("kills");
            let answer = within("an answer or none", asking).await.expect("no panic");
            answer.ok().and_then(|answer| answer.into_inner().run).map(|run| run.id)
        };
        server = scene.serve().await;
        let again = scene.try_run(request).await.expect("the run is there or starts now");
        if let Some(id) = acknowledged {
            assert_eq!(again.id, id, "round {round}");
        }
        ids.push(again.id);
    }
    let listed = scene.client.pipelines().list_runs(ListRunsRequest::default()).await.expect("lists").into_inner().runs;
    let mut listed: Vec<String> = listed.into_iter().map(|run| run.id).collect();
    listed.reverse();
    assert_eq!(listed, ids, "one run a request");
    // None of them was left behind: an agent gets them all.
    let agent = scene.agent("agent").await;
    for _ in 0..ROUNDS {
        let task = agent.fetch("", 10_000).await.expect("fetches").expect("a task");
        assert!(ids.contains(&task.tx_uuid));
        agent.report(&task, "success", "success").await.expect("reports");
    }
    for id in &ids {
        assert_eq!(scene.finished(id).await.state(), State::Success);
    }
    scene.finish(server, Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_answer_was_lost_is_given_again() {
    let mut scene = Scene::new().await;
    scene.lease_seconds = 5;
    let server = scene.serve().await;
    let agent = scene.agent("agent").await;
    let proxy = Proxy::start(scene.address(), None).await;
    let through_proxy = agent.at(&proxy.url).expect("an address");
    proxy.swallow_answers();
    let run = scene.run(SINGLE).await;
    let lost = tokio::spawn(async move { through_proxy.fetch("request-1", 30_000).await });
    scene.until(&run.id, "the task was claimed", |run| run.state() == State::Running).await;
    // Claimed, and nobody was told.
    server.kill().await.expect("kills");
    drop(proxy);
    assert!(within("the lost call's end", lost).await.expect("no panic").is_err());
    let server = scene.serve().await;

    let task = agent.fetch("request-1", 1_000).await.expect("fetches").expect("the same task");
    assert_eq!((&task.tx_uuid, task.epoch), (&run.id, 1));
    // Another request gets it only when the lease is over, and then it is another lease.
    let second = eventually("the lease is over", async || {
        agent.fetch("", 2_000).await.expect("fetches").filter(|second| second.tx_uuid == run.id)
    });
    let second = second.await;
    assert_eq!(second.epoch, 2);
    let stale = agent.report(&task, "success", "success").await.expect_err("the old lease is over");
    assert_eq!(stale.code(), tonic::Code::PermissionDenied, "{stale}");
    agent.report(&second, "success", "success").await.expect("reports");
    assert_eq!(scene.finished(&run.id).await.state(), State::Success);
    scene.finish(server, Vec::new()).await;
}
