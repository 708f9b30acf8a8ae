//! Every connection of a runner and of a reader is cut after a short while, wherever it is: the log is whole.

use millrace_bench::client::Client;
use millrace_bench::wire::millrace_v1::State;

use super::proxy::Proxy;
use super::scene::{Scene, assert_counted, counting};
use super::tail::follow;
use crate::app::within;

#[tokio::test(flavor = "multi_thread")]
async fn with_all_connections_cut_again_and_again_no_line_is_lost_or_doubled() {
    const LINES: u32 = 20_000;
    let mut scene = Scene::new().await;
    scene.lease_seconds = 20;
    let server = scene.serve().await;
    let proxy = Proxy::start(scene.address(), Some(20..250)).await;
    let runner = scene.runner_at("one", &proxy.url).await;
    let run = scene.run(&counting(LINES, 50, "0.01")).await;
    let begun = |run: &millrace_bench::wire::millrace_v1::Run| !run.jobs[0].steps[0].log_id.is_empty();
    let run = scene.until(&run.id, "the step has begun", begun).await;
    let log_id = run.jobs[0].steps[0].log_id.clone();
    let tail = follow(Client::new(&proxy.url, scene.token()).expect("an address"), log_id.clone());
    let run = scene.finished(&run.id).await;
    assert_eq!((run.state(), run.jobs[0].executions), (State::Success, 1), "{run:#?}");
    assert_counted("the log", &scene.log(&log_id).await, LINES);
    let seen = within("the tail's end", tail).await.expect("the tail");
    assert_counted("the tail", &seen.lines, LINES);
    assert!(proxy.cuts() > 10 && seen.breaks > 5, "only {} cuts, {} of the tail", proxy.cuts(), seen.breaks);
    // The runner asks once more when it is told to stop; it may need some tries.
    within("the end", scene.finish(server, vec![runner])).await;
}
