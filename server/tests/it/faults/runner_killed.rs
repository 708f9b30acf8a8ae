//! A runner is killed with a job in its hands: its lease ends, another runs the job, and the old word counts no more.

use millrace_bench::agent::Task;
use millrace_bench::wire::millrace_v1::State;

use super::scene::{Scene, assert_counted, eventually, signal};
use super::tail::follow;
use crate::app::within;

#[tokio::test(flavor = "multi_thread")]
async fn the_job_of_a_killed_runner_is_run_by_another() {
    let mut scene = Scene::new().await;
    let server = scene.serve().await;
    let mut first = scene.runner("first").await;
    // The first execution never ends; the second one finds its trace.
    let trace = scene.folder().join("trace");
    let workflow = format!(
        "on: workflow_dispatch\njobs:\n  one:\n    runs-on: self-hosted\n    steps:\n      - shell: bash\n        run: |\n          \
         if [ ! -e '{trace}' ]; then touch '{trace}'; for i in 1 2 3; do echo \"line $i\"; done; sleep 7001; fi\n          \
         for i in 1 2 3 4; do echo \"line $i\"; done\n",
        trace = trace.display()
    );
    let run = scene.run(&workflow).await;
    let begun = scene.until(&run.id, "the step has begun", |run| !run.jobs[0].steps[0].log_id.is_empty()).await;
    let old_log = begun.jobs[0].steps[0].log_id.clone();
    let tail = follow(scene.client.clone(), old_log.clone());
    eventually("it printed", async || {
        (scene.log(&old_log).await.iter().filter(|row| row.starts_with("line ")).count() == 3).then_some(())
    })
    .await;
    signal("-KILL", first.id().expect("it runs"));
    within("its end", first.wait()).await.expect("ends");

    let second = scene.runner("second").await;
    let run = scene.finished(&run.id).await;
    let job = &run.jobs[0];
    assert_eq!((run.state(), job.executions, &job.runner_name[..]), (State::Success, 2, "second"), "{run:#?}");
    assert_ne!(job.steps[0].log_id, old_log);
    assert_counted("the second log", &scene.log(&job.steps[0].log_id).await, 4);
    // The first log is kept, and it has ended: who follows it is not left waiting.
    let seen = within("the first log's end", tail).await.expect("the tail");
    assert_counted("the first log", &seen.lines, 3);

    let stale = Task { tx_uuid: run.id.clone(), epoch: 1, ..Task::default() };
    let agent = scene.identity("first");
    let refused = agent.report(&stale, "failure", "failure").await.expect_err("the lease is over");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
    let refused = agent.log(&stale, 3, vec!["line 4".to_owned()], false).await.expect_err("the lease is over");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
    assert_eq!(scene.finished(&run.id).await.state(), State::Success);

    // What the killed one left running is cleaned up by its next start.
    let first = scene.runner("first").await;
    eventually("it serves again", async || (scene.said().matches("first serves").count() == 2).then_some(())).await;
    scene.finish(server, vec![first, second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_loses_every_runner_fails_and_says_so() {
    let scene = Scene::new().await;
    let server = scene.serve().await;
    let agent = scene.agent("agent").await;
    let run =
        scene.run("on: workflow_dispatch\njobs:\n  one:\n    runs-on: agent\n    steps:\n      - run: 'true'\n").await;
    // Taken, and never heard of again.
    for epoch in 1..=4 {
        let task = within("the task", agent.fetch("", 30_000)).await.expect("fetches").expect("a task");
        assert_eq!((&task.tx_uuid, task.epoch), (&run.id, epoch));
    }
    let run = scene.finished(&run.id).await;
    assert_eq!((run.state(), run.jobs[0].executions), (State::Failure, 4), "{run:#?}");
    assert_eq!(run.jobs[0].message, "the runner was lost 4 times; a job is given to a runner at most 4 times");
    assert_eq!(agent.fetch("", 1).await.expect("fetches"), None);
    scene.finish(server, Vec::new()).await;
}
