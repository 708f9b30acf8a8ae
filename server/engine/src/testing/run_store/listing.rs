//! Runs are listed newest first, page after page.

use std::sync::Arc;

use super::{NOW, run_with_queued};
use crate::scheduler::store::{RunQuery, RunStore};
use crate::scheduler::{Run, State};

pub async fn run<F: Future<Output = Arc<dyn RunStore>>>(open: impl Fn() -> F) {
    let store = open().await;
    fill(&*store).await;
    filters(&*store).await;
    pages(&*store).await;
}

/// Twelve runs: of two projects and four states, two at each time.
async fn fill(store: &dyn RunStore) {
    let states = [State::Queued, State::Running, State::Success, State::Failure];
    for place in 0..12_u32 {
        let run = Run {
            project: if place % 3 == 0 { "other".into() } else { "mill".into() },
            state: states[place as usize % 4],
            created_ms: NOW + i64::from(place / 2),
            ..run_with_queued(&format!("{place:02}"), &[&["linux"]])
        };
        store.create(run).await.expect("creates");
    }
}

async fn ids(store: &dyn RunStore, query: RunQuery) -> Vec<String> {
    store.list(query).await.expect("lists").into_iter().map(|run| run.id).collect()
}

async fn filters(store: &dyn RunStore) {
    let all = RunQuery { limit: 100, ..RunQuery::default() };
    let runs = store.list(all.clone()).await.expect("lists");
    assert!(runs.iter().all(|run| run.jobs.is_empty() && run.counts == (1, 0)), "heads only");
    let order: Vec<String> = runs.into_iter().map(|run| run.id).collect();
    assert_eq!(order, ["11", "10", "09", "08", "07", "06", "05", "04", "03", "02", "01", "00"]);
    let other = RunQuery { project: Some("other".into()), ..all.clone() };
    assert_eq!(ids(store, other.clone()).await, ["09", "06", "03", "00"]);
    let over = RunQuery { states: vec![State::Failure, State::Success, State::Failure], ..all.clone() };
    assert_eq!(ids(store, over).await, ["11", "10", "07", "06", "03", "02"]);
    assert_eq!(ids(store, RunQuery { states: vec![State::Success], ..other }).await, ["06"]);
    assert_eq!(ids(store, RunQuery { project: Some("none".into()), ..all.clone() }).await, Vec::<String>::new());
    assert_eq!(ids(store, RunQuery { limit: 0, ..all }).await, Vec::<String>::new());
}

async fn pages(store: &dyn RunStore) {
    for states in [vec![], vec![State::Queued, State::Running, State::Success, State::Failure]] {
        let (mut before, mut seen) = (None, Vec::new());
        loop {
            let query = RunQuery { states: states.clone(), before: before.clone(), limit: 5, ..RunQuery::default() };
            let page = store.list(query).await.expect("lists");
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 5);
            before = Some((last.created_ms, last.id.clone()));
            seen.extend(page.into_iter().map(|run| run.id));
        }
        let all: Vec<String> = (0..12).rev().map(|place| format!("{place:02}")).collect();
        assert_eq!(seen, all, "each run once, with states {states:?}");
    }
}
