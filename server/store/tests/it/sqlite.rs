//! The SQLite store: the suites every store must pass, and what only this one promises.

mod events;
mod files;
mod group_commit;
mod power;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use millrace_engine::testing::{
    activity_store, execution_store, invocation_store, run_store, runner_store, token_store,
};
use millrace_store::sqlite::SqliteStore;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{executions_model, queue_model};

/// A folder for databases; they go away with it.
struct Databases {
    folder: TempDir,
    made: AtomicU32,
}

impl Databases {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("makes a folder"), made: AtomicU32::new(0) }
    }

    /// The path of a database that is not there yet.
    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}/millrace.db", self.made.fetch_add(1, Ordering::Relaxed)))
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path()).await.expect("opens")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn is_a_run_store() {
    let databases = Databases::new();
    run_store::run(|| async { Arc::new(databases.open().await) as Arc<_> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn is_a_runner_store() {
    let databases = Databases::new();
    runner_store::run(|| async { Arc::new(databases.open().await) as Arc<_> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn is_a_token_store() {
    let databases = Databases::new();
    token_store::run(|| async { Arc::new(databases.open().await) as Arc<_> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn is_an_activity_store() {
    let databases = Databases::new();
    activity_store::run(|| async { Arc::new(databases.open().await) as Arc<_> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn is_an_execution_store() {
    let databases = Databases::new();
    execution_store::run(|| async { Arc::new(databases.open().await) as Arc<_> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn is_an_invocation_store() {
    let databases = Databases::new();
    invocation_store::run(|| async { Arc::new(databases.open().await) as Arc<_> }).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_does_what_the_model_does(ops in queue_model::ops(60)) {
        let databases = Databases::new();
        let path = databases.path();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("starts");
        runtime.block_on(queue_model::check(async || Arc::new(SqliteStore::open(&path).await.expect("opens")) as Arc<_>, ops));
    }

    #[test]
    fn executions_do_what_the_model_does(ops in executions_model::ops(60)) {
        let databases = Databases::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("starts");
        runtime.block_on(executions_model::check(databases.path(), ops));
    }
}
