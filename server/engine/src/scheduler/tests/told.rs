//! What is told of a run, by journeys: the types of the events in their order, and what they say.

use serde_json::Value;

use super::*;
use crate::events::{EventId, NewEvent};
use crate::scheduler::created_event;

fn read(event: &NewEvent) -> Value {
    serde_json::from_str(&event.record(EventId { row: 1, place: 0 })).expect("JSON")
}

/// `job.started a`, `step.finished a 0 success`, `run.finished failure`.
fn line(event: &Value) -> String {
    let kind = event["type"].as_str().expect("a type").strip_prefix("dev.millrace.").expect("the prefix").to_owned();
    let data = &event["data"];
    let job = data["job"].as_str().map(|job| format!(" {job}")).unwrap_or_default();
    let step = data["step"].as_u64().map(|step| format!(" {step}")).unwrap_or_default();
    let end = if kind.ends_with("finished") {
        format!(" {}", data["state"].as_str().expect("a state"))
    } else {
        String::new()
    };
    format!("{kind}{job}{step}{end}")
}

impl Journey {
    /// What the last event told.
    fn told(&self) -> Vec<String> {
        self.effects.events.iter().map(|event| line(&read(event))).collect()
    }

    fn data(&self, place: usize) -> Value {
        read(&self.effects.events[place])["data"].clone()
    }

    fn steps(&mut self, key: &str, state: Option<State>, steps: Vec<StepReport>) {
        let report = Report { steps, ..self.report(key, "r1", state) };
        self.event(Event::Reported(report)).expect(key);
    }
}

const TWO_STEPS: &str = "
on: workflow_dispatch
name: build
jobs:
  a: { runs-on: [linux, gpu], steps: [{ run: one }, { run: two }, { run: three }] }
  b: { needs: a, runs-on: linux, steps: [{ run: b }] }
";

fn step(index: u32, state: State, exit_code: Option<i32>) -> StepReport {
    StepReport { index, state: Some(state), started_ms: 1_005, exit_code, ..Default::default() }
}

#[test]
fn a_run_is_told_from_its_beginning_to_its_end() {
    let mut journey = Journey::of(TWO_STEPS);
    assert_eq!(line(&read(&created_event(&journey.run))), "run.created");
    assert_eq!(journey.told(), ["job.queued a"]);
    journey.claim("a");
    assert_eq!(journey.told(), ["run.started", "job.started a"]);
    journey.steps("a", None, vec![step(0, Running, None)]);
    assert_eq!(journey.told(), ["step.started a 0"]);
    journey.steps("a", None, vec![]);
    assert!(journey.told().is_empty(), "a heartbeat is nothing to tell");
    journey.steps("a", None, vec![step(0, Success, Some(0)), step(1, Running, None)]);
    assert_eq!(journey.told(), ["step.finished a 0 success", "step.started a 1"]);
    journey.steps("a", Some(Success), vec![step(1, Success, Some(0)), step(2, Success, Some(0))]);
    let wanted = [
        "step.finished a 1 success",
        "step.started a 2",
        "step.finished a 2 success",
        "job.finished a success",
        "job.queued b",
    ];
    assert_eq!(journey.told(), wanted);
    journey.claim("b");
    assert_eq!(journey.told(), ["job.started b"]);
    journey.end("b", Failure);
    assert_eq!(journey.told(), ["step.finished b 0 skipped", "job.finished b failure", "run.finished failure"]);
}

#[test]
fn what_is_said() {
    let mut journey = Journey::of(TWO_STEPS);
    journey.run.project = "mill".into();
    journey.run.id = "0190".into();
    journey.run.number = 12;
    journey.claim("a");
    let event = read(&journey.effects.events[1]);
    assert_eq!((&event["subject"], &event["project"]), (&"runs/0190/jobs/0.0".into(), &"mill".into()));
    assert_eq!(event["time"], "1970-01-01T00:00:01.002Z");
    let data = &event["data"];
    assert_eq!((&data["runNumber"], &data["runsOn"]), (&12.into(), &serde_json::json!(["linux", "gpu"])));
    assert_eq!((&data["runner"]["id"], &data["execution"], &data["waitedMs"]), (&"r1".into(), &1.into(), &1.into()));
    assert_eq!(data["page"], "/runs/0190?job=a");
    journey.steps("a", None, vec![step(1, Failure, Some(7))]);
    let data = journey.data(1);
    assert_eq!((&data["exitCode"], &data["logId"]), (&7.into(), &"0190.0.0.0.1.1".into()));
    assert_eq!(
        (&data["page"], &data["startedAt"]),
        (&"/runs/0190?job=a&step=1".into(), &"1970-01-01T00:00:01.005Z".into())
    );
    journey.end("a", Failure);
    let last = journey.effects.events.len() - 1;
    let data = journey.data(last);
    assert_eq!((&data["name"], &data["state"], &data["jobs"]), (&"build".into(), &"failure".into(), &2.into()));
    assert_eq!((&data["durationMs"], &data["page"]), (&2.into(), &"/runs/0190".into()));
}

#[test]
fn a_lost_job_is_told_with_who_had_it_and_waits_again() {
    let mut journey = Journey::of(TWO_STEPS);
    journey.claim("a");
    journey.steps("a", None, vec![step(0, Running, None)]);
    journey.now_ms += 2 * LEASE_MS;
    journey.event(Event::Tick).expect("a tick");
    assert_eq!(journey.told(), ["job.lost a", "job.queued a"]);
    let data = journey.data(0);
    assert_eq!((&data["runner"]["id"], &data["lost"], &data["state"]), (&"r1".into(), &1.into(), &"lost".into()));
    assert!(journey.data(1).get("runner").is_none());
    journey.claim_by("a", "r2");
    assert_eq!(journey.told(), ["job.started a"]);
    assert_eq!(journey.data(0)["execution"], 2);
    // Too often, it fails.
    for _ in 0..REQUEUE_MAX {
        journey.event(Event::RunnerRemoved { runner_uuid: "r2".into() }).expect("is taken");
        if journey.state("a") == Queued {
            journey.claim_by("a", "r2");
        }
    }
    assert_eq!(
        journey.told(),
        [
            "job.lost a",
            "step.finished a 0 skipped",
            "step.finished a 1 skipped",
            "step.finished a 2 skipped",
            "job.finished a failure",
            "job.finished b skipped",
            "run.finished failure"
        ]
    );
}

#[test]
fn jobs_that_never_ran_are_told_without_their_steps() {
    let mut journey = Journey::of(TWO_STEPS);
    journey.event(Event::Stop(Stop::Cancel)).expect("stops");
    assert_eq!(journey.told(), ["job.finished a cancelled", "job.finished b cancelled", "run.finished cancelled"]);
    let old = journey.run.clone();
    let mut again = Journey::on(rerun::rerun(&old, false, "me", 5_000).expect("again"));
    assert_eq!(again.told(), ["job.queued a"]);
    assert_eq!(read(&created_event(&again.run))["data"]["rerunOf"], old.id.as_str());
    again.run_job("a", Success);
    again.run_job("b", Failure);
    // What is kept of an earlier attempt is not told again.
    let mut third = Journey::on(rerun::rerun(&again.run, true, "me", 6_000).expect("again"));
    assert_eq!(third.told(), ["job.queued b"]);
    third.run_job("b", Success);
    assert_eq!(third.told(), ["step.finished b 0 skipped", "job.finished b success", "run.finished success"]);
}

#[test]
fn held_jobs_and_matrices() {
    let mut journey = Journey::of(
        "
on: workflow_dispatch
jobs:
  a: { runs-on: x, environment: { name: prod, approval: required }, steps: [{ run: a }] }
",
    );
    assert_eq!(journey.told(), ["job.held a"]);
    journey.event(Event::Approve { key: None }).expect("is held");
    assert_eq!(journey.told(), ["job.queued a"]);
    let mut journey = Journey::of(
        "
on: workflow_dispatch
jobs:
  t:
    runs-on: x
    strategy: { max-parallel: 1, matrix: { n: [1, 2] } }
    steps: [{ run: t }]
",
    );
    assert_eq!(journey.told().len(), 1);
    let first = journey.run.jobs[0].key.clone();
    journey.run_job(&first, Success);
    let second = journey.run.jobs[1].key.clone();
    let wanted = [
        format!("step.finished {first} 0 skipped"),
        format!("job.finished {first} success"),
        format!("job.queued {second}"),
    ];
    assert_eq!(journey.told(), wanted);
}
