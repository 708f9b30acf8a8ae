//! Cancelled, terminated, taken away: what runs ends, with all it started, in the way that was asked for.

use millrace_proto::task_content::{Action, TaskContent};

use crate::fixture::{Fixture, is_alive, sh, task};

/// A tree: the shell, a child, a grandchild in the background, and one that left the session and all its parents.
const TREE: &str = "sleep 601 & echo $! > pid1
sh -c 'sleep 602 & echo $! > pid2; wait' &
setsid sh -c '(sleep 603 & echo $! > pid3) &' < /dev/null > /dev/null 2>&1
env -i setsid sleep 604 < /dev/null > /dev/null 2>&1 & 
while [ ! -s pid1 ] || [ ! -s pid2 ] || [ ! -s pid3 ]; do sleep 0.02; done
echo ready $(cat pid1 pid2 pid3) $!
wait";

async fn start_tree(fixture: &Fixture, job: &TaskContent) -> Vec<u32> {
    fixture.server.give(job);
    let run = job.tx_uuid.clone();
    let pids = fixture
        .server
        .wait_for("the tree", |heard| {
            let log = heard.logs.get(&(run.clone(), 0))?;
            let row = log.rows.iter().find(|row| row.text.starts_with("ready "))?;
            Some(row.text[6..].split(' ').map(|pid| pid.parse::<u32>().expect("a pid")).collect::<Vec<_>>())
        })
        .await;
    assert_eq!(pids.len(), 4);
    assert!(pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    pids
}

fn assert_gone(pids: &[u32]) {
    let left = pids.iter().filter(|pid| is_alive(**pid)).collect::<Vec<_>>();
    assert!(left.is_empty(), "still there: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_the_whole_tree_and_cleans_up() {
    let fixture = Fixture::start().await;
    let cleaning = Action { if_expr: Some("cancelled()".to_owned()), ..sh("echo cleaning ${{ job.status }}") };
    let always = Action { if_expr: Some("always()".to_owned()), ..sh("echo always") };
    let job = task([sh(&format!("trap 'echo asked; exit 1' TERM\n{TREE}")), sh("echo never"), cleaning, always]);
    let pids = start_tree(&fixture, &job).await;
    fixture.server.set(|heard| {
        heard.cancelled.insert(job.tx_uuid.clone());
    });
    let state = fixture.server.final_state(&job.tx_uuid).await;
    assert_gone(&pids);
    assert_eq!((state.state.as_str(), state.message.as_str()), ("cancelled", "cancelled"));
    assert!(fixture.server.texts(&job.tx_uuid, 0).contains(&"asked".to_owned()));
    assert_eq!(fixture.server.texts(&job.tx_uuid, 2), ["cleaning cancelled"]);
    assert_eq!(fixture.server.texts(&job.tx_uuid, 3), ["always"]);
    let states = (0..4).map(|at| fixture.action(&job.tx_uuid, at).state).collect::<Vec<_>>();
    assert_eq!(states, ["cancelled", "skipped", "success", "success"]);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_end_in_the_grace_is_killed() {
    let fixture = Fixture::start().await;
    let always = Action { if_expr: Some("always()".to_owned()), ..sh("echo too late") };
    let mut job = task([sh("trap 'echo ignored' TERM\necho ready\nwhile :; do sleep 0.05 || true; done"), always]);
    job.cancel_grace_ms = 500;
    fixture.server.give(&job);
    fixture.server.row(&job.tx_uuid, "ready").await;
    fixture.server.set(|heard| {
        heard.cancelled.insert(job.tx_uuid.clone());
    });
    assert_eq!(fixture.server.final_state(&job.tx_uuid).await.state, "cancelled");
    assert!(fixture.server.texts(&job.tx_uuid, 0).contains(&"ignored".to_owned()));
    assert_eq!(fixture.action(&job.tx_uuid, 1).state, "skipped");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminate_kills_at_once() {
    let fixture = Fixture::start().await;
    let always = Action { if_expr: Some("always()".to_owned()), ..sh("echo never") };
    let job = task([sh(&format!("trap 'echo asked' TERM\n{TREE}")), always]);
    let pids = start_tree(&fixture, &job).await;
    fixture.server.set(|heard| {
        heard.terminated.insert(job.tx_uuid.clone());
    });
    let state = fixture.server.final_state(&job.tx_uuid).await;
    assert_gone(&pids);
    assert_eq!((state.state.as_str(), state.message.as_str()), ("cancelled", "terminated"));
    assert!(!fixture.server.texts(&job.tx_uuid, 0).contains(&"asked".to_owned()));
    assert_eq!(fixture.action(&job.tx_uuid, 1).state, "skipped");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_anothers_is_dropped_quietly() {
    let fixture = Fixture::start().await;
    let job = task([sh(TREE)]);
    let pids = start_tree(&fixture, &job).await;
    fixture.server.set(|heard| {
        heard.taken_away.insert(job.tx_uuid.clone());
    });
    // The slot is free again: the next task runs.
    let next = task([sh("echo next")]);
    assert_eq!(fixture.run(&next).await.state, "success");
    assert_gone(&pids);
    assert!(!fixture.server.heard().finals.contains_key(&job.tx_uuid));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn background_processes_live_for_later_actions_and_no_longer() {
    let fixture = Fixture::start().await;
    let job = task([sh("sleep 605 & echo $! > pid; echo started"), sh("kill -0 $(cat pid) && echo pid $(cat pid)")]);
    assert_eq!(fixture.run(&job).await.state, "success");
    let texts = fixture.server.texts(&job.tx_uuid, 1);
    let pid = texts[0].strip_prefix("pid ").expect("alive in the second action").parse().expect("a pid");
    assert_gone(&[pid]);
    fixture.finish().await;
}
