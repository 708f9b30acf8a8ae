//! The server is killed by strace as it asks the disk to make something durable: what it had acknowledged before is
//! there when it comes back. What was acknowledged is kept in a manifest of the client's.

use std::collections::BTreeMap;

use millrace_bench::agent::{Agent, Task};
use millrace_bench::program::ServerProgram;
use millrace_bench::wire::millrace_v1::State;
use tonic::Status;

use super::scene::Scene;

/// At which sync of a thread the server is killed.
const KILLED_AT: [u32; 7] = [3, 6, 9, 13, 18, 29, 40];
/// More rounds than any of these survives.
const ROUNDS_MAX: usize = 200;
const BATCHES: i64 = 4;
const ROWS_A_BATCH: i64 = 5;

/// What the server has acknowledged.
#[derive(Default)]
struct Manifest {
    runs: Vec<String>,
    succeeded: Vec<String>,
    rows: BTreeMap<String, i64>,
    /// The last request for a task: should its answer be lost, it is made again.
    asked: String,
    unfinished: Option<Task>,
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_a_sync_it_keeps_what_it_acknowledged() {
    for when in KILLED_AT {
        killed_at(when).await;
    }
}

async fn killed_at(when: u32) {
    let mut scene = Scene::new().await;
    scene.lease_seconds = 600;
    // The agent registers before: from then on nothing but runs, tasks and logs is written.
    let server = scene.serve().await;
    let agent = scene.agent("agent").await;
    server.kill().await.expect("kills");

    let trace = scene.folder().join("trace");
    let inject = format!("inject=fsync,fdatasync:signal=KILL:when={when}");
    // Without --seccomp-bpf: with it strace 6.1 traces the calls and injects nothing.
    let strace = "strace -f -qq -e trace=fsync,fdatasync -e";
    let mut strace: Vec<&str> = strace.split(' ').collect();
    strace.extend([&inject, "-o", trace.to_str().expect("UTF-8")]);
    let mut manifest = Manifest::default();
    let what = format!("killed at sync {when}");
    // It may be killed before it listens: that is a case, too.
    if let Ok(mut server) = ServerProgram::start(scene.serve_command(&strace)).await {
        let ended = work(&scene, &agent, &mut manifest).await;
        assert!(ended.is_err(), "{what}: it was not killed in {ROUNDS_MAX} rounds");
        let status = crate::app::within("its end", server.ended()).await.expect("ends");
        assert!(!status.success(), "{what}: {status}");
    }
    let server = scene.serve().await;
    check(&scene, &agent, &manifest, &what).await;
    scene.finish(server, Vec::new()).await;
}

/// Runs, one after the other, until a call fails.
async fn work(scene: &Scene, agent: &Agent, manifest: &mut Manifest) -> Result<(), Status> {
    let workflow = "on: workflow_dispatch\njobs:\n  one:\n    runs-on: agent\n    steps:\n      - run: 'true'\n";
    for _ in 0..ROUNDS_MAX {
        let request =
            millrace_bench::wire::millrace_v1::RunRequest { workflow: workflow.to_owned(), ..Default::default() };
        manifest.runs.push(scene.try_run(request).await?.id);
        manifest.asked = format!("request-{}", manifest.runs.len());
        let task = agent.fetch(&manifest.asked, 20_000).await?.ok_or_else(|| Status::internal("no task"))?;
        manifest.unfinished = Some(task.clone());
        agent.report(&task, "running", "running").await?;
        write_rows(agent, &task, 0, &mut manifest.rows).await?;
        agent.report(&task, "success", "success").await?;
        manifest.unfinished = None;
        manifest.succeeded.push(task.tx_uuid);
    }
    Ok(())
}

/// The rows of a task from one on, in batches.
async fn write_rows(agent: &Agent, task: &Task, from: i64, rows: &mut BTreeMap<String, i64>) -> Result<(), Status> {
    let mut index = from;
    while index < BATCHES * ROWS_A_BATCH {
        let batch = (index..index + ROWS_A_BATCH).map(|row| row_text(task, row)).collect();
        index = agent.log(task, index, batch, index + ROWS_A_BATCH == BATCHES * ROWS_A_BATCH).await?;
        rows.insert(task.log_id(0), index);
    }
    Ok(())
}

fn row_text(task: &Task, row: i64) -> String {
    format!("run {} row {row}", task.tx_uuid)
}

async fn check(scene: &Scene, agent: &Agent, manifest: &Manifest, what: &str) {
    for id in &manifest.runs {
        let run = scene.get(id).await.unwrap_or_else(|| panic!("{what}: run {id} can't be read"));
        if manifest.succeeded.contains(id) {
            assert_eq!(run.state(), State::Success, "{what}: {run:#?}");
        }
    }
    for (log, acknowledged) in &manifest.rows {
        let run = log.split('.').next().expect("a run").to_owned();
        let task = Task { tx_uuid: run, ..Task::default() };
        let rows = scene.log(log).await;
        assert!(rows.len() as i64 >= *acknowledged, "{what}: {} rows of {acknowledged}", rows.len());
        let wanted: Vec<String> = (0..rows.len() as i64).map(|row| row_text(&task, row)).collect();
        assert_eq!(rows, wanted, "{what}");
    }
    // The agent goes on with what it had in hand, from what it knows to be stored.
    if let Some(task) = &manifest.unfinished {
        let log = task.log_id(0);
        let mut rows = manifest.rows.clone();
        let known = rows.get(&log).copied().unwrap_or(0);
        write_rows(agent, task, known, &mut rows).await.expect("the log goes on");
        agent.report(task, "success", "success").await.expect("the task goes on");
        let wanted: Vec<String> = (0..BATCHES * ROWS_A_BATCH).map(|row| row_text(task, row)).collect();
        assert_eq!(scene.log(&log).await, wanted, "{what}");
        assert_eq!(scene.finished(&task.tx_uuid).await.state(), State::Success, "{what}");
    }
    // What was given out and never arrived comes to who asks again; what was accepted and not taken is taken now.
    let mut request = &manifest.asked[..];
    while let Some(task) = agent.fetch(request, 1).await.expect("fetches") {
        agent.report(&task, "success", "success").await.expect("reports");
        request = "";
    }
    for id in &manifest.runs {
        assert_eq!(scene.finished(id).await.state(), State::Success, "{what}");
    }
}
