//! Many who write, many who read, one connection that commits in groups.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use millrace_engine::scheduler::store::{Claim, RunQuery, RunStore};
use millrace_engine::scheduler::{Event, Report, State};
use millrace_engine::testing::run_store::run_with_queued;
use millrace_store::sqlite::SqliteStore;

use super::Databases;

const WRITERS: usize = 64;
const RUNS_OF_EACH: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn all_writers_are_answered_and_what_they_wrote_is_found_again() {
    let databases = Databases::new();
    let path = databases.path();
    let store = SqliteStore::open(&path).await.expect("opens");
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for run in 0..RUNS_OF_EACH {
                let id = format!("{writer}-{run}");
                store.create(run_with_queued(&id, &[&["linux"]])).await.expect("creates");
                // Fails, among others that do not: only its own savepoint is taken back.
                store.create(run_with_queued(&id, &[&["linux"]])).await.expect_err("is there already");
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.expect("joins");
    }
    store.close().await;
    let store = SqliteStore::open(&path).await.expect("opens again");
    let numbers: Vec<u64> = store
        .list(RunQuery { limit: 1000, ..RunQuery::default() })
        .await
        .expect("lists")
        .iter()
        .map(|run| run.number)
        .collect();
    let total = WRITERS * RUNS_OF_EACH;
    assert_eq!(numbers.len(), total);
    assert_eq!(*numbers.iter().max().expect("some"), total as u64, "refused runs used no number up");
    assert_eq!(store.queue_depth().await.expect("counts"), [(vec!["linux".to_owned()], total as u64)]);
}

/// A reader never makes the writer fail, nor the other way round; and nobody sees half of a change.
#[tokio::test(flavor = "multi_thread")]
async fn readers_and_the_writer_do_not_meet() {
    let databases = Databases::new();
    let store = databases.open().await;
    store.create(run_with_queued("0", &[&["linux"]])).await.expect("creates");
    let newest = Arc::new(AtomicI64::new(0));
    let readers: Vec<_> =
        (0..16).map(|_| tokio::spawn(read_until_negative(store.clone(), Arc::clone(&newest)))).collect();
    for place in 1..=100 {
        let claimed = store.claim(claim("r"), 1).await.expect("claims").expect("a task");
        let report = Report { state: Some(State::Success), ..Report::default() };
        store.apply(&claimed.run.id, Event::Reported(report), 1).await.expect("applies");
        store.create(run_with_queued(&place.to_string(), &[&["linux"]])).await.expect("creates");
        newest.store(place, Ordering::Relaxed);
    }
    newest.store(-1, Ordering::Relaxed);
    for reader in futures::future::join_all(readers).await {
        assert!(reader.expect("no reader failed") > 0, "each has read");
    }
}

async fn read_until_negative(store: SqliteStore, newest: Arc<AtomicI64>) -> u32 {
    let mut reads = 0;
    while let newest @ 0.. = newest.load(Ordering::Relaxed) {
        let run = store.get(&newest.to_string()).await.expect("reads").expect("is there");
        assert_eq!(run.state.is_final(), run.jobs[0].state.is_final(), "run and job are of the same moment");
        assert_eq!(run.counts.1 == 1, run.jobs[0].state.is_final(), "and so are the counts");
        store.list(RunQuery { limit: 10, ..RunQuery::default() }).await.expect("lists");
        store.overdue(i64::MAX, 10).await.expect("looks");
        reads += 1;
    }
    reads
}

fn claim(runner: &str) -> Claim {
    Claim {
        runner_uuid: runner.into(),
        runner_name: String::new(),
        labels: vec!["linux".into()],
        request_id: "1".into(),
        expires_ms: i64::MAX,
    }
}

/// Who has gone before its turn gets no task that nobody would run.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_caller_has_gone_is_whole_or_nothing() {
    let databases = Databases::new();
    let store = databases.open().await;
    store.create(run_with_queued("a", &[&["linux"][..]; 32])).await.expect("creates");
    let claims: Vec<_> = (0..32)
        .map(|place| {
            let store = store.clone();
            tokio::spawn(async move { store.claim(claim(&format!("r{place}")), 1).await })
        })
        .collect();
    for claim in claims.iter().skip(1).step_by(2) {
        claim.abort();
    }
    for claim in claims {
        // Either aborted or given.
        let _ = claim.await;
    }
    let (held, queued) = (store.held().await.expect("lists").len() as u64, store.queue_depth().await.expect("counts"));
    assert!(held >= 16, "those who stayed got one");
    assert_eq!(held + queued.iter().map(|(_, depth)| depth).sum::<u64>(), 32, "a task is queued or held");
    let run = store.get("a").await.expect("reads").expect("is there");
    assert_eq!(run.jobs.iter().filter(|job| job.state == State::Running).count() as u64, held);
}
