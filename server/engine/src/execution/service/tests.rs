//! Remote execution on stores in memory, with a clock that is set by hand.

mod asking;
mod life;
mod listings;
mod restart;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use buffa::Message;
use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::platform_properties::{Properties, Property};
use millrace_proto::reapi::{self, Action, ActionResult, Command, Directory, DirectoryNode, ExecuteResponse, FileNode};
use millrace_proto::rpc::{Code, Status};

use super::*;
use crate::actions::activity::{CacheActivity, MemoryActivity};
use crate::actions::{ActionCacheOptions, Inline, Origin};
use crate::blobs::{BlobLimits, Encoding, MemoryBlobs, NewBlob, Verified, VerifyReads};
use crate::execution::*;

const SHA256: DigestFunction = DigestFunction::Sha256;

/// Stands still unless it is moved.
#[derive(Default)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Remote execution as the server has it, and one runner, which offers `os=linux`.
struct Scene {
    store: MemoryExecutions,
    room: Arc<BlobRoom>,
    actions: Arc<ActionCache>,
    clock: Arc<HandClock>,
    options: ExecutionOptions,
    execution: Arc<Execution>,
    main: InstanceName,
}

async fn scene() -> Scene {
    scene_with(ExecutionOptions::default()).await
}

async fn scene_with(options: ExecutionOptions) -> Scene {
    let clock = Arc::new(HandClock(AtomicI64::new(1_000_000)));
    let memory = MemoryBlobs::default();
    let blobs = Verified::new(Arc::new(memory.clone()), VerifyReads::Checksums);
    let room = Arc::new(BlobRoom::new(Arc::new(blobs), BlobLimits::default(), clock.clone()));
    let activity = Arc::new(CacheActivity::new(Arc::new(MemoryActivity::default()), clock.clone()));
    let cache = ActionCacheOptions::default();
    let actions = Arc::new(ActionCache::new(Arc::new(memory), Arc::clone(&room), activity, clock.clone(), cache));
    let store = MemoryExecutions::default();
    let execution = open(&store, &room, &actions, &clock, &options).await;
    let main = InstanceName::parse("main").expect("a name");
    Scene { store, room, actions, clock, options, execution, main }
}

async fn open(
    store: &MemoryExecutions,
    room: &Arc<BlobRoom>,
    actions: &Arc<ActionCache>,
    clock: &Arc<HandClock>,
    options: &ExecutionOptions,
) -> Arc<Execution> {
    let store = Arc::new(store.clone());
    let execution = Execution::open(store, Arc::clone(room), Arc::clone(actions), clock.clone(), options.clone());
    let execution = execution.await.expect("opens");
    execution.set_runners(vec![KnownRunner {
        uuid: "linux-uuid".into(),
        name: "linux".into(),
        properties: linux(),
        online: true,
        ..Default::default()
    }]);
    execution
}

impl Scene {
    async fn put(&self, data: impl Into<Bytes>) -> Digest {
        let data = data.into();
        let digest = Digest::of(SHA256, &data);
        let new = NewBlob { digest, encoding: Encoding::Identity, data };
        self.room.write_many(&self.main, vec![new]).await.expect("writes").remove(0).expect("stored");
        digest
    }

    /// An Action of `/bin/true`; `change` makes it another.
    async fn action(&self, change: impl FnOnce(&mut Action, &mut Command)) -> Digest {
        let mut command = Command { arguments: vec!["/bin/true".into(), "-x".into()], ..Default::default() };
        let root = wire(&self.put(Directory::default().encode_to_vec()).await);
        let mut action = Action { input_root_digest: root.into(), ..Default::default() };
        change(&mut action, &mut command);
        let command = self.put(command.encode_to_vec()).await;
        if !action.command_digest.is_set() {
            action.command_digest = wire(&command).into();
        }
        self.put(action.encode_to_vec()).await
    }

    async fn salted(&self, salt: &'static str) -> Digest {
        self.action(|action, _| action.salt = Bytes::from_static(salt.as_bytes())).await
    }

    fn ask(&self, action: Digest) -> ExecuteAsk {
        ExecuteAsk {
            instance: self.main.clone(),
            action,
            skip_cache_lookup: false,
            priority: 0,
            inline: Inline::default(),
            metadata: ClientMetadata::default(),
        }
    }

    async fn execute(&self, action: Digest) -> Result<Watch> {
        self.execution.execute(self.ask(action)).await
    }

    async fn claim(&self, request: &str) -> Option<ActionLease> {
        self.execution.claim(claim(request)).await.expect("claims")
    }

    async fn finish(&self, lease: &ActionLease, response: ExecuteResponse) -> Result<ReportAnswer> {
        let report = ActionReported { response: Some(response), stage: Some(Stage::Done), ..word(lease) };
        self.execution.report(report).await
    }

    async fn is_cached(&self, action: &Digest) -> bool {
        let got = self.actions.get(&self.main, action, &Inline::default(), Origin::default()).await;
        got.expect("answers").is_some()
    }

    fn pass(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// The same server again, as after a crash: nothing but the stores stays.
    async fn restarted(self) -> Self {
        let execution = open(&self.store, &self.room, &self.actions, &self.clock, &self.options).await;
        Self { execution, ..self }
    }
}

fn linux() -> Properties {
    Properties::new([Property { name: "os".into(), value: "linux".into() }])
}

fn claim(request: &str) -> ActionClaim {
    ActionClaim {
        runner_uuid: "linux-uuid".into(),
        runner_name: "linux".into(),
        properties: linux(),
        request_id: request.into(),
        ..Default::default()
    }
}

fn word(lease: &ActionLease) -> ActionReported {
    ActionReported {
        execution_id: lease.execution_id.clone(),
        runner_uuid: Some("linux-uuid".into()),
        epoch: Some(lease.epoch),
        ..Default::default()
    }
}

fn wire(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hex(), size_bytes: digest.size_wire(), ..Default::default() }
}

fn exited(exit_code: i32) -> ExecuteResponse {
    let result = ActionResult { exit_code, stdout_raw: Bytes::from_static(b"hello"), ..Default::default() };
    ExecuteResponse { result: result.into(), ..Default::default() }
}

/// The last state.
async fn end(watch: &mut Watch) -> OperationState {
    while watch.changed().await.is_some() {}
    watch.state()
}

fn code(state: &OperationState) -> i32 {
    state.response.as_ref().expect("is done").status.as_option().expect("has a status").code
}
