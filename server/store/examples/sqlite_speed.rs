//! How many runs, claims and heartbeats the SQLite store takes a second, durability on:
//! `cargo run --release -p millrace-store --example sqlite_speed`.

use millrace_engine::scheduler::store::{Claim, RunStore};
use millrace_engine::scheduler::{Event, Report};
use millrace_engine::testing::run_store::run_with_queued;
use millrace_store::sqlite::SqliteStore;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&folder.path().join("speed.db")).await.expect("opens");
    measure("runs of one job created, one after the other", 500, 1, |place| {
        let store = store.clone();
        async move { store.create(run_with_queued(&format!("s{place}"), &[&["linux"]])).await.map(|_| ()) }
    })
    .await;
    measure("runs of one job created, 64 at a time", 6400, 64, |place| {
        let store = store.clone();
        async move { store.create(run_with_queued(&format!("m{place}"), &[&["linux"]])).await.map(|_| ()) }
    })
    .await;
    measure("claims that find nothing, 64 at a time", 6400, 64, |_| {
        let store = store.clone();
        let claim = Claim { labels: vec!["windows".into()], request_id: String::new(), ..claim("r") };
        async move { store.claim(claim, 1).await.map(|_| ()) }
    })
    .await;
    measure("claims, 64 at a time", 6400, 64, |place| {
        let store = store.clone();
        async move { store.claim(claim(&format!("r{place}")), 1).await.map(|_| ()) }
    })
    .await;
    let held = store.held().await.expect("lists");
    measure("heartbeats, 64 at a time", held.len(), 64, |place| {
        let (store, id) = (store.clone(), held[place].run_id.clone());
        let report = Report { lease_expires_ms: i64::MAX, ..Report::default() };
        async move { store.apply(&id, Event::Reported(report), 1).await.map(|_| ()) }
    })
    .await;
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

async fn measure<F: Future<Output = millrace_engine::error::Result<()>> + Send + 'static>(
    what: &str,
    count: usize,
    at_a_time: usize,
    work: impl Fn(usize) -> F,
) {
    let begun = std::time::Instant::now();
    let running: Vec<Vec<F>> =
        (0..at_a_time).map(|lane| (lane..count).step_by(at_a_time).map(&work).collect()).collect();
    let lanes = running.into_iter().map(|lane| {
        tokio::spawn(async move {
            for work in lane {
                work.await.expect("works");
            }
        })
    });
    for lane in futures::future::join_all(lanes).await {
        lane.expect("joins");
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what}: {:.0}/s", count as f64 / seconds);
}
