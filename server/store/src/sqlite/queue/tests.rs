//! What a look at the queue costs: counted in steps of SQLite's machine, which say the same on every computer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace_engine::scheduler::Lease;
use sqlx::{AssertSqlSafe, Connection};

use super::*;
use crate::sqlite::{SqliteStore, dialect};

/// The queue of a busy day, and of a quiet one.
const LONG: u32 = 100_000;
const SHORT: u32 = 100;
/// How many more steps the long queue may cost than the short one: a deeper tree in the index is not a step.
const MORE_STEPS_MAX: u64 = 8;

/// `tasks` tasks over ten label sets, half of them queued and half in the hands of runners.
async fn filled(folder: &tempfile::TempDir, tasks: u32) -> SqliteConnection {
    let path = folder.path().join(format!("{tasks}.db"));
    SqliteStore::open(&path).await.expect("opens").close().await;
    let mut connection = SqliteConnection::connect_with(&dialect::writing(&path)).await.expect("connects");
    let run = "INSERT INTO runs (id, project, number, attempt, state, created_ms, request_id, head, workflow)
        VALUES ('run', 'mill', 1, 1, 'running', 1, '', '{}', '')";
    sqlx::query(run).execute(&mut connection).await.expect("stores");
    let fill = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1)
        INSERT INTO tasks (run_id, idx, state, label_set, priority, queued_ms, runner_uuid, request_id, epoch,
            started_ms, deadline_ms, run_number, job_key)
        SELECT 'run', i, CASE WHEN i % 2 = 0 THEN 'queued' ELSE 'leased' END, '[\"label' || (i / 2 % 10) || '\"]', i % 7, i % 1000,
            CASE WHEN i % 2 = 1 THEN 'runner' || i END, 'request', 1, 1, 1000 + i, 1, 'job' FROM n";
    sqlx::query(fill).bind(tasks).execute(&mut connection).await.expect("fills");
    connection
}

/// The steps `work` takes.
async fn steps<T>(
    connection: &mut SqliteConnection,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T>,
) -> (T, u64) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    connection.lock_handle().await.expect("locks").set_progress_handler(1, move || {
        counter.fetch_add(1, Ordering::Relaxed);
        true
    });
    let result = work(&mut *connection).await.expect("works");
    connection.lock_handle().await.expect("locks").remove_progress_handler();
    (result, count.load(Ordering::Relaxed))
}

async fn plan(connection: &mut SqliteConnection, sql: &str) -> String {
    let mut query = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
    for _ in 0..sql.matches('$').count() {
        query = query.bind("1");
    }
    let rows = query.fetch_all(connection).await.expect("explains");
    rows.iter().map(|row| row.get::<String, _>(3)).collect::<Vec<_>>().join("\n")
}

fn claim() -> Claim {
    Claim {
        runner_uuid: "runner1".into(),
        runner_name: String::new(),
        labels: vec!["label3".into(), "LABEL4".into(), "other".into()],
        request_id: "request".into(),
        expires_ms: 1,
    }
}

#[tokio::test]
async fn a_look_costs_the_same_in_a_long_queue_and_in_a_short_one() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let (mut short, mut long) = (filled(&folder, SHORT).await, filled(&folder, LONG).await);
    let cost = async |connection: &mut SqliteConnection| {
        let ((), steps) = steps(connection, async |connection| {
            assert_eq!(served_sets(&mut *connection, &claim().labels).await?.len(), 2);
            assert!(first_served(&mut *connection, &claim().labels).await?.is_some());
            assert_eq!(held_under(&mut *connection, &claim()).await?, [("run".to_owned(), 1)]);
            assert_eq!(overdue(&mut *connection, 1000, 10).await?, Vec::<String>::new());
            assert_eq!(overdue(&mut *connection, 1001, 10).await?, ["run"]);
            Ok(())
        })
        .await;
        steps
    };
    let (of_short, of_long) = (cost(&mut short).await, cost(&mut long).await);
    println!("{of_short} steps with {SHORT} tasks, {of_long} with {LONG}");
    assert!(of_short > 100, "the steps are counted: {of_short}");
    assert!(of_long <= of_short + MORE_STEPS_MAX, "{of_short} steps with {SHORT} tasks, {of_long} with {LONG}");
}

#[tokio::test]
async fn a_task_changes_hands_at_the_same_cost_in_a_long_queue_and_in_a_short_one() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let (mut short, mut long) = (filled(&folder, SHORT).await, filled(&folder, LONG).await);
    let run = Run { id: "run".into(), ..Run::default() };
    let cost = async |connection: &mut SqliteConnection| {
        let ((), steps) = steps(connection, async |connection| {
            let queued =
                Job { state: State::Queued, runs_on: vec!["label3".into()], queued_ms: Some(500), ..Job::default() };
            follow(&mut *connection, &run, 1_000_001, &queued).await?;
            let mut running = Job { state: State::Running, lease: Some(lease()), ..queued };
            follow(&mut *connection, &run, 1_000_001, &running).await?;
            running.lease = Some(Lease { expires_ms: 6, ..lease() });
            move_deadline(&mut *connection, &run, 1_000_001, &running).await?;
            follow(&mut *connection, &run, 1_000_001, &Job { state: State::Success, ..running }).await
        })
        .await;
        steps
    };
    let (of_short, of_long) = (cost(&mut short).await, cost(&mut long).await);
    assert!(of_long <= of_short + MORE_STEPS_MAX, "{of_short} steps with {SHORT} tasks, {of_long} with {LONG}");
}

fn lease() -> Lease {
    Lease { runner_uuid: "r".into(), runner_name: String::new(), epoch: 1, expires_ms: 5, request_id: String::new() }
}

#[tokio::test]
async fn each_question_to_the_queue_has_its_index() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let mut connection = filled(&folder, SHORT).await;
    for (sql, index) in [
        (QUEUED_SETS, "tasks_queued"),
        (FIRST_OF_SET, "tasks_queued"),
        (DEPTH, "tasks_queued"),
        (HELD_UNDER, "tasks_holder"),
        (OVERDUE, "tasks_deadline"),
        (HELD, "tasks_holder"),
    ] {
        let plan = plan(&mut connection, sql).await;
        assert!(plan.contains(index), "{sql}\n{plan}");
        assert!(!plan.contains("SCAN tasks\n") && !plan.ends_with("SCAN tasks"), "{sql}\n{plan}");
        let sorts = plan.contains("USE TEMP B-TREE FOR ORDER BY") || plan.contains("USE TEMP B-TREE FOR GROUP BY");
        assert!(!sorts || sql == HELD, "nothing is sorted: {sql}\n{plan}");
    }
}
