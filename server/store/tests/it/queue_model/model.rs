//! The naive model: a map of jobs, searched from end to end for every question.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use millrace_engine::scheduler::store::Claim;
use millrace_engine::scheduler::{REQUEUE_MAX, Run, STOP_DEADLINE_MS, State, Stop};
use proptest::sample::Index;

/// A task that was given to a runner once.
#[derive(Clone, Debug)]
pub struct Grant {
    pub run_id: String,
    pub job: usize,
    pub runner_uuid: String,
    pub epoch: u64,
}

#[derive(Clone, Debug)]
pub struct ModelJob {
    pub state: State,
    pub epoch: u64,
    pub lost: u32,
    /// How, and since when.
    pub stop: Option<(Stop, i64)>,
    wanted: Vec<String>,
    priority: i32,
    queued_ms: i64,
    /// Runner, request id, end.
    held: Option<(String, String, i64)>,
}

#[derive(Default)]
pub struct Model {
    runs: BTreeMap<String, Vec<ModelJob>>,
    grants: Vec<Grant>,
}

impl ModelJob {
    pub fn lease(&self) -> Option<(String, i64)> {
        self.held.as_ref().map(|(runner, _, end)| (runner.clone(), *end))
    }

    fn runs_for(&self, runner: &str) -> bool {
        self.state == State::Running && self.held.as_ref().is_some_and(|held| held.0 == runner)
    }

    fn deadline_ms(&self) -> i64 {
        let end = self.held.as_ref().map_or(i64::MAX, |held| held.2);
        self.stop.map_or(end, |(_, since)| end.min(since + STOP_DEADLINE_MS))
    }

    fn lose(&mut self, now_ms: i64) {
        self.held = None;
        self.lost += 1;
        self.state = match (self.stop, self.lost) {
            (Some(_), _) => State::Cancelled,
            (None, lost) if lost > REQUEUE_MAX => State::Failure,
            _ => State::Queued,
        };
        self.queued_ms = now_ms;
    }
}

impl Model {
    pub fn runs(&self) -> &BTreeMap<String, Vec<ModelJob>> {
        &self.runs
    }

    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    pub fn pick_run(&self, index: Index) -> Option<String> {
        let ids: Vec<&String> = self.runs.keys().collect();
        (!ids.is_empty()).then(|| (*index.get(&ids)).clone())
    }

    pub fn pick_grant(&self, index: Index) -> Option<Grant> {
        (!self.grants.is_empty()).then(|| index.get(&self.grants).clone())
    }

    pub fn count(&self, state: State) -> u64 {
        self.runs.values().flatten().filter(|job| job.state == state).count() as u64
    }

    pub fn overdue(&self, now_ms: i64) -> Vec<String> {
        let due = |jobs: &[ModelJob]| jobs.iter().any(|job| job.state == State::Running && job.deadline_ms() <= now_ms);
        self.runs.iter().filter(|(_, jobs)| due(jobs)).map(|(id, _)| id.clone()).collect()
    }

    pub fn create(&mut self, run: &Run) {
        let job = |job: &millrace_engine::scheduler::Job| ModelJob {
            state: State::Queued,
            epoch: 0,
            lost: 0,
            stop: None,
            wanted: job.runs_on.iter().map(|label| label.to_lowercase()).collect(),
            priority: run.priority,
            queued_ms: job.queued_ms.unwrap_or(0),
            held: None,
        };
        self.runs.insert(run.id.clone(), run.jobs.iter().map(job).collect());
    }

    /// `given`: run, job, epoch, repeated.
    pub fn claim(&mut self, claim: &Claim, now_ms: i64, given: Option<(String, usize, u64, bool)>) {
        let again: Vec<(String, usize)> = self.places(|job| {
            let same = |held: &(String, String, i64)| {
                held.0 == claim.runner_uuid && held.1 == claim.request_id && held.2 > now_ms
            };
            !claim.request_id.is_empty() && job.state == State::Running && job.held.as_ref().is_some_and(same)
        });
        if !again.is_empty() {
            let (run_id, job, epoch, repeated) = given.expect("a repeated request gets its task");
            assert!(
                repeated && again.contains(&(run_id.clone(), job)),
                "job {job} of run {run_id} is not of this request"
            );
            assert_eq!(epoch, self.runs[&run_id][job].epoch, "nothing has changed");
            return;
        }
        let labels: Vec<String> = claim.labels.iter().map(|label| label.to_lowercase()).collect();
        let fits =
            self.places(|job| job.state == State::Queued && job.wanted.iter().all(|label| labels.contains(label)));
        let order = |(run_id, job): &(String, usize)| {
            let queued = &self.runs[run_id][*job];
            (Reverse(queued.priority), queued.queued_ms, run_id.clone(), *job)
        };
        let expected = fits.into_iter().min_by_key(order);
        let Some((run_id, job, epoch, repeated)) = given else {
            assert_eq!(expected, None, "a task was kept back");
            return;
        };
        assert!(!repeated);
        assert_eq!(Some((run_id.clone(), job)), expected, "another one was first");
        let newest = self
            .grants
            .iter()
            .filter(|grant| grant.run_id == run_id && grant.job == job)
            .map(|grant| grant.epoch)
            .max();
        assert!(epoch > newest.unwrap_or(0), "epochs grow");
        let taken = &mut self.runs.get_mut(&run_id).expect("is there")[job];
        taken.state = State::Running;
        taken.epoch = epoch;
        taken.held = Some((claim.runner_uuid.clone(), claim.request_id.clone(), claim.expires_ms));
        self.grants.push(Grant { run_id, job, runner_uuid: claim.runner_uuid.clone(), epoch });
    }

    /// Whether the report is the owner's.
    pub fn report(
        &mut self,
        run_id: &str,
        job: usize,
        runner: &str,
        epoch: u64,
        state: Option<State>,
        now_ms: i64,
    ) -> bool {
        let job = &mut self.runs.get_mut(run_id).expect("is there")[job];
        let Some(held) = job.held.as_mut().filter(|held| held.0 == runner && job.epoch == epoch) else { return false };
        if job.state == State::Running {
            held.2 = held.2.max(now_ms + millrace_engine::scheduler::LEASE_MS);
            job.state = state.unwrap_or(State::Running);
        }
        true
    }

    /// Whether there was something to stop.
    pub fn stop(&mut self, run_id: &str, how: Stop, now_ms: i64) -> bool {
        let jobs = self.runs.get_mut(run_id).expect("is there");
        if jobs.iter().all(|job| job.state.is_final()) {
            return false;
        }
        for job in jobs {
            match job.state {
                State::Queued => job.state = State::Cancelled,
                State::Running if job.stop.is_none_or(|stop| stop.0 < how) => job.stop = Some((how, now_ms)),
                _ => {}
            }
        }
        true
    }

    /// Whether the job had not begun.
    pub fn skip(&mut self, run_id: &str, job: usize) -> bool {
        let job = self.runs.get_mut(run_id).expect("is there").get_mut(job).filter(|job| job.state == State::Queued);
        job.map(|job| job.state = State::Skipped).is_some()
    }

    pub fn remove(&mut self, runner: &str, now_ms: i64) {
        for job in self.runs.values_mut().flatten().filter(|job| job.runs_for(runner)) {
            job.lose(now_ms);
        }
    }

    pub fn tick(&mut self, now_ms: i64) {
        for job in self.runs.values_mut().flatten().filter(|job| job.state == State::Running) {
            let expired = job.held.as_ref().is_none_or(|held| held.2 <= now_ms);
            if job.stop.is_some() && job.deadline_ms() <= now_ms {
                (job.state, job.held) = (State::Cancelled, None);
            } else if expired {
                job.lose(now_ms);
            }
        }
    }

    fn places(&self, which: impl Fn(&ModelJob) -> bool) -> Vec<(String, usize)> {
        let jobs =
            self.runs.iter().flat_map(|(id, jobs)| jobs.iter().enumerate().map(move |(place, job)| (id, place, job)));
        jobs.filter(|(_, _, job)| which(job)).map(|(id, place, _)| (id.clone(), place)).collect()
    }
}
