//! The server is killed while things happen: whoever follows the events sees each once, and all of them.

use millrace_bench::wire::log_v1::log_client::LogClient;

use super::scene::{Scene, eventually};
use crate::app::within;
use crate::events::{Following, WHOLE_RUN, kind_of, kinds};

const KILLS: usize = 3;
const RUNS_OF_EACH: usize = 4;
const SINGLE: &str =
    "on: workflow_dispatch\njobs:\n  one:\n    runs-on: self-hosted\n    steps:\n      - run: 'true'\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_told_once_over_kills() {
    let mut scene = Scene::new().await;
    scene.lease_seconds = 10;
    let mut server = scene.serve().await;
    let agent = scene.agent("agent").await;
    let mut ids = Vec::new();
    for _ in 0..KILLS {
        for _ in 0..RUNS_OF_EACH {
            let run = scene.run(SINGLE).await;
            let task = within("a task", agent.fetch("", 10_000)).await.expect("fetches").expect("a task");
            assert_eq!(task.tx_uuid, run.id);
            agent.report(&task, "running", "running").await.expect("reports");
            agent.report(&task, "success", "success").await.expect("reports");
            ids.push(run.id);
        }
        // Right after its answer: some events are in the logs and some are not, and none is taken from the outbox yet.
        server.kill().await.expect("kills");
        server = scene.serve().await;
    }
    eventually("the server answers", async || scene.get(&ids[0]).await).await;
    let mut following = Following::from(LogClient::new(scene.client.connection()), 0).await;
    let mut events = Vec::new();
    let finished =
        |events: &[serde_json::Value]| events.iter().filter(|event| kind_of(event) == "run.finished").count();
    while finished(&events) < ids.len() {
        events.push(following.next().await.expect("goes on"));
    }
    for id in &ids {
        assert_eq!(kinds(&events, &format!("runs/{id}")), WHOLE_RUN, "run {id}");
    }
    // A reader that goes on where it was sees what is new and nothing else.
    let seen = following.seen();
    drop(following);
    server.kill().await.expect("kills");
    let server = scene.serve().await;
    eventually("the server answers", async || scene.get(&ids[0]).await).await;
    let last = scene.run(SINGLE).await;
    let mut following = Following::from(LogClient::new(scene.client.connection()), seen).await;
    let events = following.until("job.queued").await;
    assert_eq!(kinds(&events, &format!("runs/{}", last.id)), ["run.created", "job.queued"]);
    assert!(kinds(&events, "runs/").len() == 2, "nothing is told again: {events:#?}");
    scene.finish(server, Vec::new()).await;
}
