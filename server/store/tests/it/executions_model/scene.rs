//! A server's remote execution on a database, with blobs in memory and a clock that is set by hand.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use buffa::Message;
use bytes::Bytes;
use millrace_engine::actions::activity::{CacheActivity, MemoryActivity};
use millrace_engine::actions::{ActionCache, ActionCacheOptions, Inline};
use millrace_engine::blobs::{BlobLimits, BlobRoom, Encoding, MemoryBlobs, NewBlob};
use millrace_engine::clock::Clock;
use millrace_engine::error::Result;
use millrace_engine::execution::store::ExecutionStore;
use millrace_engine::execution::{
    ActionClaim, ActionLease, ActionReported, ClientMetadata, ExecuteAsk, Execution, ExecutionOptions, ExecutionState,
    KnownRunner, OperationState, ReportAnswer, Watch,
};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::platform_properties::{Properties, Property};
use millrace_proto::reapi::{self, Action, ActionResult, Command, ExecuteResponse};
use millrace_store::sqlite::SqliteStore;

use super::RUNNERS;
use super::model::Grant;

pub const LEASE_MS: i64 = 1_000;
pub const LOST_MAX: usize = 2;
const FOREVER_MS: i64 = 1 << 50;

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub struct Scene {
    path: PathBuf,
    clock: Arc<HandClock>,
    room: Arc<BlobRoom>,
    actions: Arc<ActionCache>,
    pub store: SqliteStore,
    pub execution: Arc<Execution>,
    /// The clients, who never leave by themselves.
    watches: Vec<Watch>,
}

/// What an action asks for.
pub fn asks(action: usize) -> Option<&'static str> {
    [None, Some("os=linux"), Some("gpu=yes")][action % 3]
}

fn properties(text: &str) -> Properties {
    Properties::new(text.split(' ').map(|one| Property::parse(one).expect("a property")))
}

fn wire(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hex(), size_bytes: digest.size_wire(), ..Default::default() }
}

impl Scene {
    pub async fn open(path: PathBuf) -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(1_000_000)));
        let memory = MemoryBlobs::default();
        let room = Arc::new(BlobRoom::new(Arc::new(memory.clone()), BlobLimits::default(), clock.clone()));
        let activity = Arc::new(CacheActivity::new(Arc::new(MemoryActivity::default()), clock.clone()));
        let options = ActionCacheOptions::default();
        let actions = Arc::new(ActionCache::new(Arc::new(memory), Arc::clone(&room), activity, clock.clone(), options));
        let store = SqliteStore::open(&path).await.expect("opens");
        let execution = start(&store, &room, &actions, &clock).await;
        Self { path, clock, room, actions, store, execution, watches: Vec::new() }
    }

    pub async fn close(self) {
        self.execution.close().await;
        self.store.close().await;
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    pub fn pass(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    pub async fn execute(&mut self, number: usize) -> OperationState {
        let platform = asks(number).map(|ask| {
            let Property { name, value } = Property::parse(ask).expect("a property");
            let property = reapi::platform::Property { name, value, ..Default::default() };
            reapi::Platform { properties: vec![property], ..Default::default() }
        });
        let command = Command { arguments: vec![format!("command {number}")], ..Default::default() };
        let mut action = Action {
            command_digest: wire(&self.put(command.encode_to_vec()).await).into(),
            input_root_digest: wire(&Digest::empty(DigestFunction::Sha256)).into(),
            ..Default::default()
        };
        if let Some(platform) = platform {
            action.platform = platform.into();
        }
        let ask = ExecuteAsk {
            instance: InstanceName::default(),
            action: self.put(action.encode_to_vec()).await,
            skip_cache_lookup: false,
            priority: 0,
            inline: Inline::default(),
            metadata: ClientMetadata::default(),
        };
        let watch = self.execution.execute(ask).await.expect("executes");
        let state = watch.state();
        self.watches.push(watch);
        state
    }

    async fn put(&self, data: Vec<u8>) -> Digest {
        let data = Bytes::from(data);
        let digest = Digest::of(DigestFunction::Sha256, &data);
        let new = NewBlob { digest, encoding: Encoding::Identity, data };
        let written = self.room.write_many(&InstanceName::default(), vec![new]).await;
        written.expect("writes").remove(0).expect("stored");
        digest
    }

    pub async fn claim(&self, runner: usize, request: Option<u8>) -> Option<ActionLease> {
        let claim = ActionClaim {
            runner_uuid: runner.to_string(),
            runner_name: runner.to_string(),
            properties: properties(RUNNERS[runner]),
            request_id: request.map(|request| request.to_string()).unwrap_or_default(),
            ..Default::default()
        };
        self.execution.claim(claim).await.expect("claims")
    }

    /// The word of who got a lease; an end is that of a process that failed, so that nothing is cached.
    pub async fn report(&self, grant: &Grant, end: bool) -> Result<ReportAnswer> {
        let result = ActionResult { exit_code: 1, ..Default::default() };
        let response = ExecuteResponse { result: result.into(), ..Default::default() };
        let report = ActionReported {
            execution_id: grant.id.clone(),
            runner_uuid: Some(grant.runner.to_string()),
            epoch: Some(grant.epoch),
            response: end.then_some(response),
            ..Default::default()
        };
        self.execution.report(report).await
    }

    pub async fn cancel(&self, operation: &str) {
        self.execution.cancel(&InstanceName::default(), operation).await.expect("cancels");
    }

    pub async fn remove(&self, runner: usize) {
        self.execution.runner_removed(&runner.to_string()).await.expect("removes");
    }

    pub async fn tick(&self) {
        self.execution.tick().await.expect("ticks");
    }

    /// The server's memory is gone; the clients come back.
    pub async fn restart(&mut self, operations: &[String]) {
        self.store.close().await;
        self.store = SqliteStore::open(&self.path).await.expect("opens again");
        self.execution = start(&self.store, &self.room, &self.actions, &self.clock).await;
        self.watches.clear();
        for operation in operations {
            let watch = self.execution.wait(&InstanceName::default(), operation).await.expect("is there still");
            self.watches.push(watch);
        }
    }

    pub async fn state(&self, execution: &str) -> ExecutionState {
        self.execution.execution(execution).await.expect("is known")
    }

    /// What the database has, and its epochs.
    pub async fn stored(&self) -> Vec<(String, u64)> {
        let records = self.store.load().await.expect("loads");
        records.into_iter().map(|record| (record.id.to_string(), record.standing.epoch)).collect()
    }
}

async fn start(
    store: &SqliteStore,
    room: &Arc<BlobRoom>,
    actions: &Arc<ActionCache>,
    clock: &Arc<HandClock>,
) -> Arc<Execution> {
    let options = ExecutionOptions {
        lease_ms: LEASE_MS,
        lost_max: LOST_MAX as u32,
        client_grace_ms: FOREVER_MS,
        ..Default::default()
    };
    let store = Arc::new(store.clone());
    let execution = Execution::open(store, Arc::clone(room), Arc::clone(actions), clock.clone(), options);
    let execution = execution.await.expect("opens");
    let runner = |(number, offers): (usize, &&str)| KnownRunner {
        uuid: number.to_string(),
        name: number.to_string(),
        properties: properties(offers),
        online: true,
        draining: false,
        slots: 1,
    };
    execution.set_runners(RUNNERS.iter().enumerate().map(runner).collect());
    execution
}
