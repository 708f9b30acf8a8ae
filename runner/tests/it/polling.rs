//! How tasks are taken: slots, lost answers, the next one in the same call, the end.

use millrace_runner::Exit;

use crate::fixture::{Fixture, sh, task};

const WAIT_FOR_GO: &str = "echo ready; while [ ! -e go ]; do sleep 0.02; done";

#[tokio::test(flavor = "multi_thread")]
async fn slots_run_at_once() {
    let fixture = Fixture::start_with(|config| config.slots = 3).await;
    let jobs = [task([sh(WAIT_FOR_GO)]), task([sh(WAIT_FOR_GO)]), task([sh(WAIT_FOR_GO)])];
    for job in &jobs {
        fixture.server.give(job);
    }
    for job in &jobs {
        fixture.server.row(&job.tx_uuid, "ready").await;
    }
    for job in &jobs {
        std::fs::write(fixture.work().join(&job.tx_uuid).join("go"), "").expect("writes");
    }
    for job in &jobs {
        assert_eq!(fixture.server.final_state(&job.tx_uuid).await.state, "success");
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again() {
    let fixture = Fixture::start().await;
    fixture.server.set(|heard| heard.lose_fetch_answers = 2);
    let job = task([sh("echo hi")]);
    assert_eq!(fixture.run(&job).await.state, "success");
    {
        let heard = fixture.server.heard();
        // The same call three times; the first of all may have been another, before the runner knew what it offers.
        let times = |id: &str| heard.fetches.iter().filter(|fetch| fetch.request_id == id).count();
        assert!(heard.fetches.iter().all(|fetch| !fetch.request_id.is_empty()));
        assert!(heard.fetches.iter().any(|fetch| times(&fetch.request_id) >= 3), "{:?}", heard.fetches);
        assert_eq!(heard.fetches[0].wait_ms, 50_000);
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_comes_without_polling() {
    let fixture = Fixture::start().await;
    fixture.server.wait_for("the first poll", |heard| (!heard.fetches.is_empty()).then_some(())).await;
    let jobs = (0..5).map(|at| task([sh(&format!("echo {at}"))])).collect::<Vec<_>>();
    fixture.server.set(|_| {});
    for job in &jobs {
        fixture.server.give(job);
    }
    for job in &jobs {
        assert_eq!(fixture.server.final_state(&job.tx_uuid).await.state, "success");
    }
    assert!(fixture.server.heard().fetches.len() <= 2, "the others came with the last word on the one before");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_runs_and_takes_nothing() {
    let mut fixture = Fixture::start().await;
    let (job, never) = (task([sh(WAIT_FOR_GO)]), task([sh("echo never")]));
    fixture.server.give(&job);
    fixture.server.row(&job.tx_uuid, "ready").await;
    fixture.server.give(&never);
    fixture.shutdown.drain();
    std::fs::write(fixture.work().join(&job.tx_uuid).join("go"), "").expect("writes");
    assert_eq!(fixture.ended().await.expect("ends well"), Exit::Drained);
    assert_eq!(fixture.server.final_state(&job.tx_uuid).await.state, "success");
    assert!(!fixture.server.heard().finals.contains_key(&never.tx_uuid));
    fixture.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_nothing_and_says_nothing() {
    let mut fixture = Fixture::start().await;
    let job = task([sh("sleep 606 & echo ready; sleep 607")]);
    fixture.server.give(&job);
    fixture.server.row(&job.tx_uuid, "ready").await;
    fixture.shutdown.kill();
    assert_eq!(fixture.ended().await.expect("ends"), Exit::Killed);
    assert!(!fixture.server.heard().finals.contains_key(&job.tx_uuid), "its lease ends, and another gets it");
    fixture.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ephemeral_runner_leaves_after_one_task() {
    let mut fixture = Fixture::start_with(|config| {
        config.ephemeral = true;
        config.slots = 4;
    })
    .await;
    let (job, never) = (task([sh("echo once")]), task([sh("echo never")]));
    fixture.server.give(&job);
    fixture.server.give(&never);
    assert_eq!(fixture.ended().await.expect("ends well"), Exit::Ephemeral);
    assert_eq!(fixture.server.final_state(&job.tx_uuid).await.state, "success");
    {
        let heard = fixture.server.heard();
        assert!(!heard.finals.contains_key(&never.tx_uuid));
        assert!(heard.registrations[0].ephemeral && heard.registrations[0].slots == 1);
        assert!(!heard.finals[&job.tx_uuid].do_next);
    }
    fixture.assert_clean();
}
