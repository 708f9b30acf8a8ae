//! One poll for jobs and actions, on a database.

use std::sync::Arc;
use std::time::Duration;

use millrace_engine::clock::SystemClock;
use millrace_engine::execution::{ActionReported, KnownRunner};
use millrace_engine::logs::memory::MemoryLogs;
use millrace_engine::logs::{LogLimits, LogRoom};
use millrace_engine::runners::Runner;
use millrace_engine::scheduler::store::RunStore;
use millrace_engine::scheduler::{Dispatch, LEASE_MS, Poll, Run, Scheduler, Task, Wants};
use millrace_engine::testing::run_store::run_with_queued;
use millrace_proto::platform_properties::Properties;
use tempfile::TempDir;

use crate::executions_model::scene::Scene;

struct Both {
    _folder: TempDir,
    scene: Scene,
    scheduler: Arc<Scheduler>,
    dispatch: Arc<Dispatch>,
}

async fn both() -> Both {
    let folder = tempfile::tempdir().expect("makes a folder");
    let scene = Scene::open(folder.path().join("millrace.db")).await;
    scene.execution.set_runners(vec![KnownRunner { uuid: "runner".into(), online: true, ..Default::default() }]);
    let clock = Arc::new(SystemClock);
    let logs = Arc::new(LogRoom::new(Arc::new(MemoryLogs::default()), clock.clone(), LogLimits::default()));
    let scheduler = Arc::new(Scheduler::new(Arc::new(scene.store.clone()), logs, clock, LEASE_MS));
    let dispatch = Arc::new(Dispatch::new(Arc::clone(&scheduler), Arc::clone(&scene.execution)));
    Both { _folder: folder, scene, scheduler, dispatch }
}

impl Both {
    /// What a poll gets: "job" or "action".
    async fn poll(&self, wants: Wants, request_id: &str, wait_ms: i64) -> Option<&'static str> {
        poll(&self.dispatch, wants, request_id, wait_ms).await
    }

    async fn queue_job(&self, id: &str, priority: i32) {
        self.scene.store.create(Run { priority, ..run_with_queued(id, &[&[]]) }).await.expect("creates");
        // As the scheduler does when it is the one who creates it.
        self.scheduler.recover().await.expect("recovers");
    }
}

async fn poll(dispatch: &Dispatch, wants: Wants, request_id: &str, wait_ms: i64) -> Option<&'static str> {
    let runner = Runner { uuid: "runner".into(), name: "runner".into(), ..Default::default() };
    let poll = Poll {
        runner: &runner,
        labels: &[],
        properties: Properties::default(),
        wants,
        request_id,
        wait_ms,
        draining: false,
    };
    dispatch.fetch(poll).await.expect("answers").map(|task| match task {
        Task::Job(_) => "job",
        Task::Action(_) => "action",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_more_important_goes_first_whatever_it_is() {
    let mut both = both().await;
    both.queue_job("important", 5).await;
    both.queue_job("unimportant", -5).await;
    // Priority 0, between the two.
    both.scene.execute(0).await;
    let mut got = Vec::new();
    for request in ["1", "2", "3", "4"] {
        got.push(both.poll(Wants::JobsAndActions, request, 0).await);
    }
    assert_eq!(got, [Some("job"), Some("action"), Some("job"), None]);
    assert_eq!(both.poll(Wants::JobsAndActions, "1", 0).await, Some("job"), "its answer was lost");
    assert_eq!(both.poll(Wants::JobsAndActions, "2", 0).await, Some("action"), "its answer was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_what_it_wants_only() {
    let mut both = both().await;
    both.scene.execute(0).await;
    assert_eq!(both.poll(Wants::Jobs, "", 0).await, None);
    assert_eq!(both.poll(Wants::ActionsAhead, "", 0).await, Some("action"));
    both.queue_job("a", 0).await;
    assert_eq!(both.poll(Wants::ActionsAhead, "", 0).await, None);
    assert_eq!(both.poll(Wants::Jobs, "", 0).await, Some("job"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_woken_for_either() {
    let mut both = both().await;
    let waits = |dispatch: &Arc<Dispatch>| {
        let dispatch = Arc::clone(dispatch);
        tokio::spawn(async move { poll(&dispatch, Wants::JobsAndActions, "", 60_000).await })
    };
    let within = Duration::from_secs(4);
    let waiting = waits(&both.dispatch);
    while both.scheduler.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    both.scene.execute(0).await;
    // Sooner than the slow look at the store.
    assert_eq!(tokio::time::timeout(within, waiting).await.expect("is woken").expect("joins"), Some("action"));
    let lease = both.scene.execution.held().remove(0);
    let report = ActionReported {
        execution_id: lease.id,
        runner_uuid: Some("runner".into()),
        epoch: Some(lease.epoch),
        ..Default::default()
    };
    both.scene.execution.report(report).await.expect("its runner is heard");
}
