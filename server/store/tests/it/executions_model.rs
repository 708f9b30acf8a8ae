//! Remote execution on SQLite against a naive model: any order of submissions, claims, words, cancellations, lost runners
//! and restarts. No execution is lost, none has two results, what is merged is run once, epochs only grow.

mod model;
pub mod scene;

use millrace_engine::error::Error;
use millrace_engine::execution::Stage;
use proptest::prelude::*;

use self::model::{Model, Phase};
use self::scene::{LEASE_MS, Scene};

/// What the two runners offer, and what actions ask for.
pub const RUNNERS: [&str; 2] = ["os=linux", "os=linux gpu=yes"];
const ACTIONS: usize = 5;

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Op {
    /// A client asks for an action.
    Execute(usize),
    /// A runner asks, under a request id or under none.
    Claim(usize, Option<u8>),
    /// Who got an execution says that it is alive; any lease that was ever given.
    Heartbeat(prop::sample::Index),
    /// Who got an execution says that it has ended; the same.
    End(prop::sample::Index),
    /// A client gives its operation up.
    Cancel(prop::sample::Index),
    /// A runner is removed; it comes back at once.
    Remove(usize),
    /// Time passes.
    Wait(i64),
    /// What is overdue is looked at.
    Tick,
    /// The server is killed and starts again.
    Restart,
}

/// Any number of things that happen.
pub fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..ACTIONS).prop_map(Op::Execute),
        8 => (0..RUNNERS.len(), prop::option::of(0..2_u8)).prop_map(|(runner, request)| Op::Claim(runner, request)),
        3 => any::<prop::sample::Index>().prop_map(Op::Heartbeat),
        4 => any::<prop::sample::Index>().prop_map(Op::End),
        2 => any::<prop::sample::Index>().prop_map(Op::Cancel),
        1 => (0..RUNNERS.len()).prop_map(Op::Remove),
        3 => (1..LEASE_MS).prop_map(Op::Wait),
        3 => Just(Op::Tick),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 1..most)
}

/// Lets them happen to a server on a database, and to the model.
pub async fn check(path: std::path::PathBuf, ops: Vec<Op>) {
    let mut scene = Scene::open(path).await;
    let mut model = Model::default();
    for op in ops {
        happen(&mut scene, &mut model, &op).await;
        compare(&scene, &model, &op).await;
    }
    scene.close().await;
}

async fn happen(scene: &mut Scene, model: &mut Model, op: &Op) {
    let now = scene.now_ms();
    match op {
        Op::Execute(action) => {
            let state = scene.execute(*action).await;
            model.executed(*action, &state.execution_id, &state.id);
        }
        Op::Claim(runner, request) => {
            let lease = scene.claim(*runner, *request).await;
            model.claimed(*runner, *request, lease.as_ref(), now);
        }
        Op::Heartbeat(grant) => {
            let Some(grant) = model.grant(*grant) else { return };
            let answer = scene.report(&grant, false).await;
            match model.holder(&grant) {
                Some(cancelled) => {
                    assert_eq!(answer.expect("its holder is heard").cancelled, cancelled, "{op:?}");
                    model.heard(&grant, now);
                }
                None if model.ended_under(&grant) => assert!(answer.is_ok_and(|answer| answer.ended), "{op:?}"),
                None => assert!(matches!(answer, Err(Error::Denied(_))), "{op:?}: {answer:?}"),
            }
        }
        Op::End(grant) => {
            let Some(grant) = model.grant(*grant) else { return };
            let answer = scene.report(&grant, true).await;
            if model.holder(&grant).is_some() {
                assert!(answer.expect("its holder is heard").ended, "{op:?}");
                model.ended(&grant);
            } else if model.ended_under(&grant) {
                assert!(answer.is_ok_and(|answer| answer.ended), "{op:?}");
            } else {
                assert!(matches!(answer, Err(Error::Denied(_))), "{op:?}: {answer:?}");
            }
        }
        Op::Cancel(operation) => {
            let Some(operation) = model.operation(*operation) else { return };
            scene.cancel(&operation).await;
            model.cancelled(&operation);
        }
        Op::Remove(runner) => {
            scene.remove(*runner).await;
            model.removed(*runner);
        }
        Op::Wait(ms) => scene.pass(*ms),
        Op::Tick => {
            scene.tick().await;
            model.tick(now);
        }
        Op::Restart => {
            scene.restart(&model.live_operations()).await;
            model.restarted(now);
        }
    }
}

/// What the server says of every execution is what the model says, and the database has exactly what is not done.
async fn compare(scene: &Scene, model: &Model, op: &Op) {
    let mut active = Vec::new();
    for known in &model.executions {
        let state = scene.state(&known.id).await;
        match &known.phase {
            Phase::Queued => assert_eq!(state.stage, Stage::Queued, "{op:?}: {known:?}"),
            Phase::Held { epoch, .. } => {
                assert_eq!((state.stage, state.epoch), (Stage::InputFetch, *epoch), "{op:?}: {known:?}");
            }
            Phase::Done { .. } => assert_eq!(state.stage, Stage::Done, "{op:?}: {known:?}"),
        }
        assert_eq!(state.operations.len(), known.operations.len(), "{op:?}: {known:?}");
        if !matches!(known.phase, Phase::Done { .. }) {
            active.push((known.id.clone(), known.epoch));
        }
    }
    active.sort();
    assert_eq!(scene.stored().await, active, "{op:?}");
}
