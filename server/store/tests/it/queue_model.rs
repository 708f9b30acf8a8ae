//! The queue and its leases against a naive model, for every back end: any order of claims, reports, stops, lost
//! runners and restarts. No task is lost, none has two results, epochs only grow.

mod model;

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_engine::error::Error;
use millrace_engine::scheduler::store::{Claim, RunStore};
use millrace_engine::scheduler::{Event, LEASE_MS, Report, Run, State, Stop};
use millrace_engine::testing::run_store::run_with_queued;
use proptest::prelude::*;

use self::model::{Grant, Model};

/// What the runners serve.
const RUNNERS: [&[&str]; 4] = [&["linux"], &["Linux", "gpu"], &["windows"], &["linux", "gpu", "windows"]];
/// What the jobs want.
const WANTED: [&[&str]; 5] = [&["linux"], &["LINUX", "gpu"], &["windows"], &[], &["nobody-has-this"]];

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Op {
    /// A run with these jobs (places in [`WANTED`]) and this priority.
    Create(Vec<usize>, i32),
    /// A runner asks, under a request id or under none.
    Claim(usize, Option<u8>),
    /// Who got a task says that it is alive; any task that was ever given.
    Heartbeat(prop::sample::Index),
    /// Who got a task says that it has ended; the same.
    End(prop::sample::Index, State),
    /// A run is stopped.
    Stop(prop::sample::Index, Stop),
    /// A job is left out.
    Skip(prop::sample::Index, usize),
    /// A runner is removed.
    Remove(usize),
    /// Time passes.
    Wait(i64),
    /// What is overdue is looked at.
    Tick,
    /// The server starts again.
    Restart,
}

/// Any number of things that happen.
pub fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    let end = prop_oneof![Just(State::Success), Just(State::Failure), Just(State::Cancelled)];
    let stop = prop_oneof![Just(Stop::Cancel), Just(Stop::Terminate)];
    let op = prop_oneof![
        4 => (prop::collection::vec(0..WANTED.len(), 1..4), -1..2).prop_map(|(jobs, priority)| Op::Create(jobs, priority)),
        8 => (0..RUNNERS.len(), prop::option::of(0..2_u8)).prop_map(|(runner, request)| Op::Claim(runner, request)),
        3 => any::<prop::sample::Index>().prop_map(Op::Heartbeat),
        4 => (any::<prop::sample::Index>(), end).prop_map(|(grant, state)| Op::End(grant, state)),
        1 => (any::<prop::sample::Index>(), stop).prop_map(|(run, how)| Op::Stop(run, how)),
        1 => (any::<prop::sample::Index>(), 0..3_usize).prop_map(|(run, job)| Op::Skip(run, job)),
        1 => (0..RUNNERS.len()).prop_map(Op::Remove),
        4 => (1..LEASE_MS).prop_map(Op::Wait),
        4 => Just(Op::Tick),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 1..most)
}

/// Lets them happen to a store and to the model. `open` opens the same data again each time.
pub async fn check(open: impl AsyncFn() -> Arc<dyn RunStore>, ops: Vec<Op>) {
    let mut world = World { store: open().await, model: Model::default(), now_ms: 1_000_000, ends: BTreeMap::new() };
    for op in ops {
        if matches!(op, Op::Restart) {
            world.store = open().await;
        }
        world.happen(&op).await;
        world.compare(&op).await;
    }
}

struct World {
    store: Arc<dyn RunStore>,
    model: Model,
    now_ms: i64,
    /// The result of each task that has one: never another.
    ends: BTreeMap<(String, usize), State>,
}

impl World {
    async fn happen(&mut self, op: &Op) {
        match op {
            Op::Create(jobs, priority) => self.create(jobs, *priority).await,
            Op::Claim(runner, request) => self.claim(*runner, *request).await,
            Op::Heartbeat(grant) => self.report(*grant, None).await,
            Op::End(grant, state) => self.report(*grant, Some(*state)).await,
            Op::Stop(run, how) => {
                if let Some(id) = self.model.pick_run(*run) {
                    let done = self.store.apply(&id, Event::Stop(*how), self.now_ms).await.map(|_| ());
                    let possible = self.model.stop(&id, *how, self.now_ms);
                    assert_eq!(done.is_ok(), possible, "{done:?}");
                }
            }
            Op::Skip(run, job) => {
                if let Some(id) = self.model.pick_run(*run) {
                    let done =
                        self.store.apply(&id, Event::Skip { key: format!("job{job}") }, self.now_ms).await.map(|_| ());
                    assert_eq!(done.is_ok(), self.model.skip(&id, *job), "{done:?}");
                }
            }
            Op::Remove(runner) => {
                let uuid = uuid(*runner);
                for held in self.store.held().await.expect("lists").into_iter().filter(|held| held.runner_uuid == uuid)
                {
                    let event = Event::RunnerRemoved { runner_uuid: uuid.clone() };
                    self.store.apply(&held.run_id, event, self.now_ms).await.expect("applies");
                }
                self.model.remove(&uuid, self.now_ms);
            }
            Op::Wait(ms) => self.now_ms += ms,
            Op::Tick => {
                for id in self.store.overdue(self.now_ms, u32::MAX).await.expect("looks") {
                    self.store.apply(&id, Event::Tick, self.now_ms).await.expect("ticks");
                }
                self.model.tick(self.now_ms);
            }
            Op::Restart => {}
        }
    }

    async fn create(&mut self, jobs: &[usize], priority: i32) {
        let wanted: Vec<&[&str]> = jobs.iter().map(|job| WANTED[*job]).collect();
        // Ids do not grow with time, so that the queue's order can't lean on them.
        let id = format!("{:02x}-{}", (self.model.run_count() * 37) % 256, self.model.run_count());
        let mut run = Run { priority, created_ms: self.now_ms, ..run_with_queued(&id, &wanted) };
        for job in &mut run.jobs {
            job.queued_ms = Some(self.now_ms);
        }
        self.store.create(run.clone()).await.expect("creates");
        self.model.create(&run);
    }

    async fn claim(&mut self, runner: usize, request: Option<u8>) {
        let claim = Claim {
            runner_uuid: uuid(runner),
            runner_name: String::new(),
            labels: RUNNERS[runner].iter().map(ToString::to_string).collect(),
            request_id: request.map(|request| request.to_string()).unwrap_or_default(),
            expires_ms: self.now_ms + LEASE_MS,
        };
        let given = self.store.claim(claim.clone(), self.now_ms).await.expect("claims");
        let given =
            given.map(|given| (given.run.id.clone(), given.job, given.run.jobs[given.job].epoch, given.repeated));
        self.model.claim(&claim, self.now_ms, given);
    }

    async fn report(&mut self, grant: prop::sample::Index, state: Option<State>) {
        let Some(Grant { run_id, job, runner_uuid, epoch }) = self.model.pick_grant(grant) else { return };
        let report = Report {
            row: job as u32,
            runner_uuid: Some(runner_uuid.clone()),
            epoch: Some(epoch),
            state,
            lease_expires_ms: self.now_ms + LEASE_MS,
            ..Report::default()
        };
        let heard = self.store.apply(&run_id, Event::Reported(report), self.now_ms).await;
        let owner = self.model.report(&run_id, job, &runner_uuid, epoch, state, self.now_ms);
        match heard {
            Ok(_) => assert!(owner, "a stranger or an old lease was heard"),
            Err(Error::Denied(_)) => assert!(!owner, "the owner was refused"),
            Err(error) => panic!("{error}"),
        }
    }

    /// The store says what the model says, wherever one can look.
    async fn compare(&mut self, op: &Op) {
        for (id, jobs) in self.model.runs() {
            let run = self.store.get(id).await.expect("reads").expect("is there");
            for (place, (job, expected)) in run.jobs.iter().zip(jobs).enumerate() {
                let lease = job.lease.as_ref().map(|lease| (lease.runner_uuid.clone(), lease.expires_ms));
                let seen = (job.state, job.epoch, job.lost, lease, job.stop.map(|stop| stop.how));
                let expected =
                    (expected.state, expected.epoch, expected.lost, expected.lease(), expected.stop.map(|stop| stop.0));
                assert_eq!(seen, expected, "job {place} of run {id} after {op:?}");
                if job.state.is_final() {
                    let first = *self.ends.entry((id.clone(), place)).or_insert(job.state);
                    assert_eq!(job.state, first, "job {place} of run {id} had a result already");
                }
            }
            assert_eq!(
                run.state.is_final(),
                jobs.iter().all(|job| job.state.is_final()),
                "run {id} ends with its jobs"
            );
        }
        let queued: u64 = self.store.queue_depth().await.expect("counts").into_iter().map(|(_, depth)| depth).sum();
        assert_eq!(queued, self.model.count(State::Queued), "the queue after {op:?}");
        assert_eq!(
            self.store.held().await.expect("lists").len() as u64,
            self.model.count(State::Running),
            "held after {op:?}"
        );
        let mut overdue = self.store.overdue(self.now_ms, u32::MAX).await.expect("looks");
        overdue.sort_unstable();
        assert_eq!(overdue, self.model.overdue(self.now_ms), "overdue after {op:?}");
    }
}

fn uuid(runner: usize) -> String {
    format!("runner{runner}")
}
