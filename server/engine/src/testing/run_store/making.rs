//! Runs are stored whole, numbered, and once for each request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{NOW, depth, run_with_queued, stored};
use crate::error::Error;
use crate::scheduler::store::{RunEnd, RunStore};
use crate::scheduler::{Job, LogsOf, Run, State, Stop, StopRequest};

pub async fn run<F: Future<Output = Arc<dyn RunStore>>>(open: impl Fn() -> F) {
    a_run_comes_back_as_it_was(&*open().await).await;
    numbers_count_up_in_each_project(open().await).await;
    a_given_number_is_kept(&*open().await).await;
    a_request_makes_one_run(open().await).await;
    runs_are_found_by_number(&*open().await).await;
    a_run_has_ended_with_its_newest_attempt(&*open().await).await;
}

/// A run in which every field differs from its default.
fn full(id: &str) -> Run {
    let mut run = run_with_queued(id, &[&["linux", "gpu"], &["linux"]]);
    run.name = "Bäuen & \"quote\"\u{0}\n'".into();
    run.file_name = ".millrace/build.yml".into();
    run.inputs =
        serde_json::from_str(r#"{"z": 1, "a": [true, null, 1.5, "x"], "big": 9007199254740993}"#).expect("parses");
    run.vars = BTreeMap::from([("A".into(), "1".into()), ("B".into(), String::new())]);
    run.event = "push".into();
    run.actor = "somebody".into();
    run.priority = -7;
    run.message = "why".into();
    run.stop = Some(StopRequest { how: Stop::Cancel, at_ms: 5 });
    run.started_ms = Some(NOW + 1);
    run.finished_ms = Some(NOW + 2);
    run.revision = 9;
    run.rerun_of = Some("other".into());
    let job = &mut run.jobs[1];
    job.state = State::Success;
    job.message = "fine".into();
    job.ready = true;
    job.needs = vec!["job0".into()];
    job.matrix = Some(vec![("os".into(), "linux".into()), ("n".into(), 3.into())]);
    job.matrix_place = (1, 2);
    job.max_parallel = Some(2);
    job.environment = Some("production".into());
    job.epoch = 4;
    job.lost = 1;
    job.timeout_ms = Some(60_000);
    job.started_ms = Some(NOW + 1);
    job.finished_ms = Some(NOW + 2);
    job.outputs = BTreeMap::from([("out".into(), "put".into())]);
    job.logs_of = Some(LogsOf { run_id: "other".into(), stage: 1, row: 2 });
    job.steps[0].exit_code = Some(-1);
    job.steps[0].summary = "# Summary".into();
    run
}

async fn a_run_has_ended_with_its_newest_attempt(store: &dyn RunStore) {
    let end = async |id: &str| store.end(id).await.expect("reads");
    let (project, ended) = ("mill".to_owned(), Run { state: State::Success, finished_ms: Some(NOW + 2), ..full("a") });
    assert_eq!(end("a").await, None);
    let number = store.create(ended.clone()).await.expect("creates").number;
    store.create(Run { id: "other".into(), request_id: String::new(), ..ended.clone() }).await.expect("creates");
    assert_eq!(end("a").await, Some(RunEnd { project: project.clone(), ended_ms: Some(NOW + 2) }));
    store.create(Run { attempt: 2, number, state: State::Queued, ..full("b") }).await.expect("creates");
    for id in ["a", "b"] {
        assert_eq!(end(id).await, Some(RunEnd { project: project.clone(), ended_ms: None }), "{id}");
    }
    let third = Run { id: "c".into(), attempt: 3, number, state: State::Failure, finished_ms: Some(NOW + 9), ..ended };
    store.create(third).await.expect("creates");
    assert_eq!(end("a").await, Some(RunEnd { project, ended_ms: Some(NOW + 9) }));
}

async fn a_run_comes_back_as_it_was(store: &dyn RunStore) {
    assert_eq!(store.get("a").await.expect("reads"), None);
    let made = store.create(full("a")).await.expect("creates");
    assert_eq!(made, Run { number: 1, ..full("a") });
    assert_eq!(stored(store, "a").await, made);
    assert_eq!(store.job_at("a", 0, 1).await.expect("reads"), Some(made.jobs[1].clone()));
    assert_eq!(store.job_at("a", 0, 2).await.expect("reads"), None);
    assert_eq!(store.job_at("b", 0, 1).await.expect("reads"), None);
    let queue = store.queue_depth().await.expect("counts");
    assert_eq!(
        queue,
        [(vec!["gpu".to_owned(), "linux".to_owned()], 1)],
        "what is queued is in the queue, what is not is not"
    );
    let none = Run { jobs: Vec::<Job>::new(), ..run_with_queued("b", &[]) };
    assert_eq!(store.create(none).await.expect("creates a run without jobs").jobs, []);
    assert_eq!(stored(store, "b").await.jobs, []);
}

async fn numbers_count_up_in_each_project(store: Arc<dyn RunStore>) {
    let made = (0..20).map(|place| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            store.create(run_with_queued(&format!("run{place}"), &[])).await.expect("creates").number
        })
    });
    let numbers: BTreeSet<u64> =
        futures::future::join_all(made).await.into_iter().map(|number| number.expect("joins")).collect();
    assert_eq!(numbers, (1..=20).collect(), "each number once, without gaps");
    let other = Run { project: "other".into(), ..run_with_queued("other", &[]) };
    assert_eq!(store.create(other).await.expect("creates").number, 1, "another project begins at 1");
}

async fn a_given_number_is_kept(store: &dyn RunStore) {
    let first = store.create(run_with_queued("a", &[])).await.expect("creates");
    let again = Run { number: first.number, attempt: 2, ..run_with_queued("b", &[&["linux"]]) };
    assert_eq!(store.create(again.clone()).await.expect("creates").number, first.number);
    let twice = store.create(Run { id: "c".into(), ..again.clone() }).await;
    assert!(matches!(twice, Err(Error::Conflict(_))), "an attempt is there once: {twice:?}");
    assert_eq!(store.get("c").await.expect("reads"), None);
    assert_eq!(depth(store).await, 1, "nothing of the refused run stays");
    let same_id = store.create(run_with_queued("a", &[])).await;
    assert!(matches!(same_id, Err(Error::Conflict(_))), "an id is there once: {same_id:?}");
    assert_eq!(
        store.create(run_with_queued("d", &[])).await.expect("creates").number,
        2,
        "a refused run uses no number up"
    );
    store.create(Run { number: 10, ..run_with_queued("e", &[]) }).await.expect("creates");
    assert_eq!(
        store.create(run_with_queued("f", &[])).await.expect("creates").number,
        11,
        "a number that is there is not given"
    );
}

async fn a_request_makes_one_run(store: Arc<dyn RunStore>) {
    let request = |id: String, project: &str| Run {
        request_id: "once".into(),
        project: project.into(),
        ..run_with_queued(&id, &[&["linux"]])
    };
    let made = (0..8).map(|place| {
        let (store, run) = (Arc::clone(&store), request(format!("run{place}"), "mill"));
        tokio::spawn(async move { store.create(run).await.expect("creates") })
    });
    let made: Vec<Run> = futures::future::join_all(made).await.into_iter().map(|run| run.expect("joins")).collect();
    assert!(made.iter().all(|run| *run == made[0]), "all get the same run, with its jobs");
    assert_eq!(depth(&*store).await, 1, "it is queued once");
    let other = store.create(request("other".into(), "other")).await.expect("creates");
    assert_eq!(other.id, "other", "another project's request ids are its own");
    for id in ["x", "y"] {
        assert_eq!(
            store.create(run_with_queued(id, &[])).await.expect("creates").id,
            id,
            "an empty request id is none"
        );
    }
}

async fn runs_are_found_by_number(store: &dyn RunStore) {
    store.create(run_with_queued("a", &[])).await.expect("creates");
    store.create(Run { number: 1, attempt: 3, ..run_with_queued("c", &[]) }).await.expect("creates");
    store.create(Run { number: 1, attempt: 2, ..run_with_queued("b", &[]) }).await.expect("creates");
    let other = Run { project: "other".into(), number: 7, ..run_with_queued("d", &[]) };
    store.create(other).await.expect("creates");
    let find = async |project, number| store.find(project, number).await.expect("finds");
    assert_eq!(find(Some("mill"), 1).await.as_deref(), Some("c"), "the newest attempt");
    assert_eq!(find(None, 1).await.as_deref(), Some("c"));
    assert_eq!(find(None, 7).await.as_deref(), Some("d"));
    assert_eq!(find(Some("mill"), 7).await, None);
    assert_eq!(find(Some("mill"), 2).await, None);
    assert_eq!(find(Some("mill"), u64::MAX).await, None);
}
