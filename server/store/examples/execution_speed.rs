//! How many executions a second go through the queue with the SQLite store, durability on, with an empty queue and with a
//! hundred thousand waiting: `cargo run --release -p millrace-store --example execution_speed [actions] [at a time]`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use buffa::Message;
use bytes::Bytes;
use millrace_engine::actions::activity::{CacheActivity, MemoryActivity};
use millrace_engine::actions::{ActionCache, ActionCacheOptions, Inline};
use millrace_engine::blobs::{BlobLimits, BlobRoom, Encoding, MemoryBlobs, NewBlob};
use millrace_engine::clock::{Clock, SystemClock};
use millrace_engine::execution::{
    ActionClaim, ActionReported, ClientMetadata, ExecuteAsk, Execution, ExecutionOptions, KnownRunner, Stage,
};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::platform_properties::Properties;
use millrace_proto::reapi::{self, Action, ActionResult, Command, ExecuteResponse};
use millrace_store::sqlite::SqliteStore;

const WAITING: usize = 100_000;

struct Scene {
    room: Arc<BlobRoom>,
    execution: Arc<Execution>,
    command: Digest,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let count = arguments.next().unwrap_or(20_000);
    let at_a_time = arguments.next().unwrap_or(256);
    let folder = tempfile::tempdir().expect("a folder");
    let scene = Arc::new(scene(&folder.path().join("speed.db")).await);
    let empty = measure(&scene, "queue empty", count, at_a_time, 0).await;
    cached(&scene, count, at_a_time).await;
    fill(&scene).await;
    let full = measure(&scene, "100 000 queued", count, at_a_time, 10_000_000).await;
    println!("ratio: {:.2}", full / empty);
    scene.execution.close().await;
}

async fn scene(path: &std::path::Path) -> Scene {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let memory = MemoryBlobs::default();
    let room = Arc::new(BlobRoom::new(Arc::new(memory.clone()), BlobLimits::default(), Arc::clone(&clock)));
    let activity = Arc::new(CacheActivity::new(Arc::new(MemoryActivity::default()), Arc::clone(&clock)));
    let options = ActionCacheOptions::default();
    let actions = ActionCache::new(Arc::new(memory), Arc::clone(&room), activity, Arc::clone(&clock), options);
    let store = Arc::new(SqliteStore::open(path).await.expect("opens"));
    let options = ExecutionOptions::default();
    let execution = Execution::open(store, Arc::clone(&room), Arc::new(actions), clock, options).await.expect("opens");
    execution.set_runners(vec![KnownRunner {
        uuid: "runner".into(),
        name: "runner".into(),
        properties: Properties::default(),
        online: true,
        draining: false,
        slots: 1,
    }]);
    let command = Command { arguments: vec!["/bin/true".into()], ..Default::default() };
    let command = put(&room, command.encode_to_vec()).await;
    Scene { room, execution, command }
}

async fn put(room: &BlobRoom, data: Vec<u8>) -> Digest {
    let data = Bytes::from(data);
    let digest = Digest::of(DigestFunction::Sha256, &data);
    let new = NewBlob { digest, encoding: Encoding::Identity, data };
    room.write_many(&InstanceName::default(), vec![new]).await.expect("writes").remove(0).expect("stored");
    digest
}

fn wire(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hex(), size_bytes: digest.size_wire(), ..Default::default() }
}

fn ask(action: Digest, priority: i32) -> ExecuteAsk {
    ExecuteAsk {
        instance: InstanceName::default(),
        action,
        skip_cache_lookup: false,
        priority,
        inline: Inline::default(),
        metadata: ClientMetadata { invocation_id: priority.to_string(), ..Default::default() },
    }
}

impl Scene {
    async fn action(&self, number: usize) -> Digest {
        let action = Action {
            command_digest: wire(&self.command).into(),
            input_root_digest: wire(&Digest::empty(DigestFunction::Sha256)).into(),
            salt: Bytes::from(number.to_le_bytes().to_vec()),
            ..Default::default()
        };
        put(&self.room, action.encode_to_vec()).await
    }

    /// A runner that completes what it gets at once.
    async fn run_one(&self) -> bool {
        let claim = ActionClaim { runner_uuid: "runner".into(), runner_name: "runner".into(), ..Default::default() };
        let Some(lease) = self.execution.claim(claim).await.expect("claims") else { return false };
        let result = ActionResult { exit_code: 0, ..Default::default() };
        let report = ActionReported {
            execution_id: lease.execution_id,
            runner_uuid: Some("runner".into()),
            epoch: Some(lease.epoch),
            stage: Some(Stage::Done),
            response: Some(ExecuteResponse { result: result.into(), ..Default::default() }),
            ..Default::default()
        };
        self.execution.report(report).await.expect("reports").ended
    }
}

/// Each lane submits an action, claims one and completes it, and waits for its own.
async fn measure(scene: &Arc<Scene>, what: &str, count: usize, at_a_time: usize, first: usize) -> f64 {
    let mut actions = Vec::with_capacity(count);
    for number in 0..count {
        actions.push(scene.action(first + number).await);
    }
    let (actions, next, begun) = (Arc::new(actions), Arc::new(AtomicUsize::new(0)), Instant::now());
    let lanes = (0..at_a_time).map(|_| {
        let (scene, actions, next) = (Arc::clone(scene), Arc::clone(&actions), Arc::clone(&next));
        tokio::spawn(async move {
            while let Some(action) = actions.get(next.fetch_add(1, Ordering::Relaxed)) {
                // More important than those that wait.
                let mut watch = scene.execution.execute(ask(*action, -1)).await.expect("executes");
                while !scene.run_one().await {}
                while watch.changed().await.is_some() {}
                assert!(watch.state().response.is_some());
            }
        })
    });
    for lane in futures::future::join_all(lanes).await {
        lane.expect("joins");
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("submit, claim and complete, {at_a_time} at a time, {what}: {rate:.0}/s");
    rate
}

async fn cached(scene: &Arc<Scene>, count: usize, at_a_time: usize) {
    let action = scene.action(0).await;
    let begun = Instant::now();
    let lanes = (0..at_a_time).map(|_| {
        let scene = Arc::clone(scene);
        tokio::spawn(async move {
            for _ in 0..count / at_a_time {
                let watch = scene.execution.execute(ask(action, 0)).await.expect("executes");
                assert!(watch.state().response.is_some_and(|response| response.cached_result));
            }
        })
    });
    for lane in futures::future::join_all(lanes).await {
        lane.expect("joins");
    }
    println!("answered from the action cache: {:.0}/s", count as f64 / begun.elapsed().as_secs_f64());
}

async fn fill(scene: &Arc<Scene>) {
    let begun = Instant::now();
    let lanes = (0..256).map(|lane| {
        let scene = Arc::clone(scene);
        tokio::spawn(async move {
            for number in (lane..WAITING).step_by(256) {
                let action = scene.action(1_000_000 + number).await;
                drop(scene.execution.execute(ask(action, 0)).await.expect("executes"));
            }
        })
    });
    for lane in futures::future::join_all(lanes).await {
        lane.expect("joins");
    }
    println!("submitted: {:.0}/s", WAITING as f64 / begun.elapsed().as_secs_f64());
    assert_eq!(scene.execution.snapshot().queued as usize, WAITING);
}
