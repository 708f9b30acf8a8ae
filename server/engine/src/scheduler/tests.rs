//! The state machine by tables and journeys: a workflow, events, what stands there after.

mod told;

use super::event::{Effects, Event, Report, StepReport};
use super::run::State::{Cancelled, Failure, Pending, Queued, Running, Success};
use super::run::{Lease, Run, State, Stop};
use super::start::{NewRun, start};
use super::transition::apply;
use super::{LEASE_MS, REQUEUE_MAX, STOP_DEADLINE_MS, rerun};
use crate::error::{Error, Result};

/// A run in the hands of a test: time goes on by a millisecond with every event.
struct Journey {
    run: Run,
    now_ms: i64,
    effects: Effects,
}

impl Journey {
    fn of(workflow: &str) -> Self {
        let run =
            start(NewRun { workflow: workflow.into(), ..Default::default() }, 1_000).expect("the workflow is good");
        Self::on(run)
    }

    fn on(run: Run) -> Self {
        let mut journey = Self { run, now_ms: 1_000, effects: Effects::default() };
        journey.event(Event::Tick).expect("a tick is always taken");
        journey
    }

    fn event(&mut self, event: Event) -> Result<()> {
        self.now_ms += 1;
        let mut run = self.run.clone();
        self.effects = apply(&mut run, event, self.now_ms)?;
        self.run = run;
        Ok(())
    }

    fn claim(&mut self, key: &str) {
        self.claim_by(key, "r1");
    }

    fn claim_by(&mut self, key: &str, runner: &str) {
        let job = self.run.jobs.iter().position(|job| job.key == key).expect(key);
        let lease = Lease {
            runner_uuid: runner.into(),
            runner_name: runner.into(),
            epoch: 0,
            expires_ms: self.now_ms + LEASE_MS,
            request_id: String::new(),
        };
        self.event(Event::Claimed { job, lease }).expect(key);
    }

    fn report(&self, key: &str, runner: &str, state: Option<State>) -> Report {
        let job = self.run.jobs.iter().find(|job| job.key == key).expect(key);
        Report {
            stage: job.stage,
            row: job.row,
            runner_uuid: Some(runner.into()),
            epoch: Some(job.epoch),
            state,
            lease_expires_ms: self.now_ms + LEASE_MS,
            ..Default::default()
        }
    }

    fn end(&mut self, key: &str, state: State) {
        let report = self.report(key, "r1", Some(state));
        self.event(Event::Reported(report)).expect(key);
    }

    fn run_job(&mut self, key: &str, state: State) {
        self.claim(key);
        self.end(key, state);
    }

    fn states(&self) -> Vec<(&str, State)> {
        self.run.jobs.iter().map(|job| (job.key.as_str(), job.state)).collect()
    }

    fn state(&self, key: &str) -> State {
        self.run.jobs.iter().find(|job| job.key == key).expect(key).state
    }
}

const DIAMOND: &str = "
on: workflow_dispatch
jobs:
  a: { runs-on: linux, steps: [{ run: a }] }
  b: { needs: a, runs-on: linux, steps: [{ run: b }] }
  c: { needs: a, runs-on: linux, steps: [{ run: c }] }
  d: { needs: [b, c], runs-on: linux, steps: [{ run: d }] }
";

#[test]
fn jobs_become_ready_when_all_they_need_has_succeeded() {
    let mut journey = Journey::of(DIAMOND);
    assert_eq!(journey.states(), [("a", Queued), ("b", Pending), ("c", Pending), ("d", Pending)]);
    assert_eq!(journey.run.state, Queued);
    journey.run_job("a", Success);
    assert_eq!(journey.states(), [("a", Success), ("b", Queued), ("c", Queued), ("d", Pending)]);
    assert_eq!(journey.effects.queued, [["linux"], ["linux"]]);
    journey.run_job("b", Success);
    assert_eq!(journey.state("d"), Pending);
    journey.run_job("c", Success);
    journey.run_job("d", Success);
    assert_eq!(journey.run.state, Success);
    assert_eq!(journey.run.counts, (4, 4));
    assert!(journey.run.finished_ms.is_some());
}

#[test]
fn a_failure_skips_what_needs_it_and_names_it() {
    let mut journey = Journey::of(DIAMOND);
    journey.run_job("a", State::Success);
    journey.run_job("b", State::Failure);
    journey.run_job("c", State::Success);
    assert_eq!(journey.state("d"), State::Skipped);
    assert_eq!(journey.run.jobs[3].message, "needs b: failure");
    assert_eq!(journey.run.state, State::Failure);
}

#[test]
fn always_and_failure_run_after_a_failure() {
    let mut journey = Journey::of(
        "
on: workflow_dispatch
jobs:
  a: { runs-on: x, steps: [{ run: a }] }
  never: { needs: a, runs-on: x, steps: [{ run: b }] }
  sorry: { needs: never, if: failure(), runs-on: x, steps: [{ run: c }] }
  report: { needs: never, if: always(), runs-on: x, steps: [{ run: d }] }
",
    );
    journey.run_job("a", State::Failure);
    assert_eq!(journey.state("never"), State::Skipped);
    assert_eq!((journey.state("sorry"), journey.state("report")), (State::Queued, State::Queued));
}

#[test]
fn a_matrix_obeys_max_parallel_and_fail_fast() {
    let mut journey = Journey::of(
        "
on: workflow_dispatch
jobs:
  t:
    runs-on: x
    strategy: { max-parallel: 2, matrix: { n: [1, 2, 3, 4] } }
    steps: [{ run: t }]
",
    );
    let states = |journey: &Journey| journey.run.jobs.iter().map(|job| job.state).collect::<Vec<_>>();
    assert_eq!(states(&journey), [Queued, Queued, Pending, Pending]);
    assert_eq!(journey.run.jobs[2].message, "waits: max-parallel is 2");
    journey.claim("t (1)");
    journey.claim("t (2)");
    journey.end("t (1)", Failure);
    assert_eq!(states(&journey), [Failure, Running, Cancelled, Cancelled]);
    assert_eq!(journey.run.jobs[1].stop.map(|stop| stop.how), Some(Stop::Cancel), "what runs is told to stop");
    journey.end("t (2)", Cancelled);
    assert_eq!(journey.run.state, Failure);
}

#[test]
fn a_matrix_from_outputs_is_expanded_when_they_are_there() {
    let mut journey = Journey::of(
        "
on: workflow_dispatch
jobs:
  plan: { runs-on: x, outputs: { list: '' }, steps: [{ run: p }] }
  each:
    needs: plan
    runs-on: x
    strategy: { matrix: { n: '${{ fromJSON(needs.plan.outputs.list) }}' } }
    steps: [{ run: 'echo ${{ matrix.n }}' }]
  last: { needs: each, runs-on: x, steps: [{ run: l }] }
",
    );
    journey.claim("plan");
    let mut report = journey.report("plan", "r1", Some(State::Success));
    report.outputs.insert("list".into(), "[7, 8]".into());
    journey.event(Event::Reported(report)).unwrap();
    assert_eq!((journey.state("each (7)"), journey.state("each (8)")), (State::Queued, State::Queued));
    let mut places: Vec<_> = journey.run.jobs.iter().map(|job| (job.stage, job.row)).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 4, "every job has an address of its own");
    journey.run_job("each (7)", State::Success);
    journey.run_job("each (8)", State::Success);
    assert_eq!(journey.state("last"), State::Queued);
}

#[test]
fn cancel_asks_and_terminate_kills() {
    let mut journey = Journey::of(DIAMOND);
    journey.run_job("a", State::Success);
    journey.claim("b");
    journey.event(Event::Stop(Stop::Cancel)).unwrap();
    assert_eq!(journey.state("b"), State::Running, "it may end by itself");
    assert_eq!((journey.state("c"), journey.state("d")), (State::Cancelled, State::Pending));
    journey.event(Event::Stop(Stop::Terminate)).unwrap();
    assert_eq!(journey.run.jobs[1].stop.map(|stop| stop.how), Some(Stop::Terminate));
    journey.end("b", State::Cancelled);
    assert_eq!(journey.state("d"), State::Cancelled);
    assert_eq!(journey.run.state, State::Cancelled);
    let error = journey.event(Event::Stop(Stop::Cancel)).unwrap_err();
    assert!(matches!(error, Error::Precondition(_)), "{error}");
}

#[test]
fn a_runner_that_does_not_stop_is_given_up_on() {
    let mut journey = Journey::of(DIAMOND);
    journey.claim("a");
    journey.event(Event::Stop(Stop::Cancel)).unwrap();
    journey.now_ms += STOP_DEADLINE_MS;
    let heartbeat = journey.report("a", "r1", None);
    journey.event(Event::Reported(heartbeat)).unwrap();
    journey.event(Event::Tick).unwrap();
    assert_eq!(journey.state("a"), State::Cancelled);
    assert_eq!(journey.run.jobs[0].message, "cancelled; the runner did not stop the job in time");
}

#[test]
fn a_lost_runner_s_job_is_given_to_another_a_few_times() {
    let mut journey = Journey::of(DIAMOND);
    for turn in 0..=REQUEUE_MAX {
        journey.claim_by("a", "gone");
        let mut report = journey.report("a", "gone", None);
        report.steps = vec![StepReport {
            index: 0,
            state: Some(State::Running),
            started_ms: journey.now_ms,
            ..Default::default()
        }];
        journey.event(Event::Reported(report)).unwrap();
        journey.now_ms += LEASE_MS + 1;
        journey.event(Event::Tick).unwrap();
        let id = &journey.run.id;
        assert_eq!(journey.effects.abandoned_logs, [format!("{id}.0.0.0.{}.0", turn + 1)]);
        if turn < REQUEUE_MAX {
            assert_eq!(journey.state("a"), State::Queued);
            assert_eq!(journey.effects.queued, [["linux"]]);
        }
    }
    assert_eq!(journey.state("a"), State::Failure);
    assert!(journey.run.jobs[0].message.contains("at most 4 times"), "{}", journey.run.jobs[0].message);
}

#[test]
fn only_the_owner_of_the_newest_lease_is_heard() {
    let mut journey = Journey::of(DIAMOND);
    journey.claim_by("a", "one");
    let old = journey.report("a", "one", Some(State::Success));
    let stranger = journey.report("a", "two", Some(State::Success));
    assert!(matches!(journey.event(Event::Reported(stranger)), Err(Error::Denied(_))));
    journey.now_ms += LEASE_MS + 1;
    journey.event(Event::Tick).unwrap();
    assert!(matches!(journey.event(Event::Reported(old.clone())), Err(Error::Denied(_))), "nobody has it");
    journey.claim_by("a", "one");
    let error = journey.event(Event::Reported(old)).unwrap_err().to_string();
    assert!(error.contains("epoch 1 of job a is over"), "{error}");
    let nowhere = Report { stage: 9, runner_uuid: Some("one".into()), ..Default::default() };
    assert!(matches!(journey.event(Event::Reported(nowhere)), Err(Error::Denied(_))));
}

#[test]
fn a_word_after_the_end_changes_nothing() {
    let mut journey = Journey::of(DIAMOND);
    journey.claim("a");
    let again = journey.report("a", "r1", Some(State::Failure));
    journey.end("a", State::Success);
    let before = journey.run.clone();
    journey.event(Event::Reported(again)).unwrap();
    assert_eq!(journey.run, before);
    assert!(journey.effects.changed_jobs.is_empty() && !journey.effects.visible);
}

#[test]
fn a_heartbeat_moves_the_lease_and_nothing_a_reader_sees() {
    let mut journey = Journey::of(DIAMOND);
    journey.claim("a");
    let revision = journey.run.revision;
    journey.now_ms += 10_000;
    let heartbeat = journey.report("a", "r1", None);
    journey.event(Event::Reported(heartbeat)).unwrap();
    assert_eq!(journey.effects.changed_jobs, [0]);
    assert_eq!(journey.run.revision, revision);
}

#[test]
fn a_held_job_waits_for_a_person() {
    let mut journey = Journey::of(
        "
on: workflow_dispatch
jobs:
  ship: { runs-on: x, environment: { name: prod, approval: required }, steps: [{ run: s }] }
",
    );
    assert_eq!((journey.state("ship"), journey.run.state), (State::Held, State::Held));
    assert_eq!(journey.run.jobs[0].message, "waits for approval of environment prod");
    assert!(matches!(journey.event(Event::Approve { key: Some("no".into()) }), Err(Error::NotFound(_))));
    journey.event(Event::Approve { key: None }).unwrap();
    assert_eq!(journey.state("ship"), State::Queued);
    assert!(matches!(journey.event(Event::Approve { key: None }), Err(Error::Precondition(_))));
}

#[test]
fn a_skipped_job_skips_what_needs_it_and_a_running_one_can_t_be_skipped() {
    let mut journey = Journey::of(DIAMOND);
    journey.run_job("a", State::Success);
    journey.event(Event::Skip { key: "b".into() }).unwrap();
    journey.claim("c");
    let error = journey.event(Event::Skip { key: "c".into() }).unwrap_err().to_string();
    assert!(error.contains("only a job that has not begun"), "{error}");
    journey.end("c", State::Success);
    assert_eq!(journey.state("d"), State::Skipped);
    assert_eq!(journey.run.state, State::Success);
}

#[test]
fn a_job_that_is_too_slow_is_stopped_though_its_runner_says_nothing_of_it() {
    let mut journey =
        Journey::of("on: workflow_dispatch\njobs: { a: { runs-on: x, timeout-minutes: 1, steps: [{ run: a }] } }");
    journey.claim("a");
    journey.now_ms += 60_000 + super::TIMEOUT_SLACK_MS;
    let heartbeat = journey.report("a", "r1", None);
    journey.event(Event::Reported(heartbeat)).unwrap();
    journey.event(Event::Tick).unwrap();
    assert_eq!(journey.run.jobs[0].stop.map(|stop| stop.how), Some(Stop::Terminate));
    assert_eq!(journey.run.jobs[0].message, "timed out after 1 min");
}

#[test]
fn a_rerun_of_failed_jobs_keeps_what_succeeded_and_its_logs() {
    let mut journey = Journey::of(DIAMOND);
    journey.run_job("a", State::Success);
    journey.run_job("b", State::Failure);
    journey.run_job("c", State::Success);
    let old = journey.run.clone();
    let again = Journey::on(rerun::rerun(&old, true, "me", 9_000).unwrap());
    assert_eq!(again.states(), [("a", Success), ("b", Queued), ("c", Success), ("d", Pending)]);
    assert_eq!((again.run.attempt, again.run.number, again.run.rerun_of.as_ref()), (2, old.number, Some(&old.id)));
    assert_eq!(again.run.jobs[0].log_id(&again.run.id, 0), old.jobs[0].log_id(&old.id, 0));
    let all = Journey::on(rerun::rerun(&old, false, "me", 9_000).unwrap());
    assert_eq!(all.states(), [("a", Queued), ("b", Pending), ("c", Pending), ("d", Pending)]);
    let error = rerun::rerun(&all.run, false, "me", 9_000).unwrap_err();
    assert!(matches!(error, Error::Precondition(_)), "{error}");
}
