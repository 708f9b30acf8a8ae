//! What is told of executions. Pure; the committer writes it with their changes.

use std::sync::Arc;

use millrace_proto::reapi::ExecuteResponse;
use serde::Serialize;
use uuid::Uuid;

use super::response;
use super::spec::Spec;
use super::store::Standing;
use crate::events::{EventKind, NewEvent, rfc3339, short};

/// An execution of which something may be to be told.
#[derive(Clone, Debug)]
pub(super) struct Telling {
    /// The execution.
    pub id: Uuid,
    /// What it is of.
    pub spec: Arc<Spec>,
    /// How it stands.
    pub standing: Standing,
    /// What was told of it before.
    pub told: Told,
    /// Its end.
    pub end: Option<End>,
}

/// What was told of an execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// That it is queued, and all leases up to this one.
    Lease(u64),
}

/// The end of an execution.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// What clients are told.
    pub response: Arc<ExecuteResponse>,
}

/// What is new of an execution, in order.
pub(super) fn changes(of: &Telling) -> Vec<NewEvent> {
    let mut events = Vec::new();
    if of.told == Told::Nothing {
        events.push(event(EventKind::ExecutionQueued, of, of.spec.queued_ms, "queued"));
    }
    let before = match of.told {
        Told::Nothing => 0,
        Told::Lease(epoch) => epoch,
    };
    if of.standing.epoch > before {
        let at_ms = of.standing.claimed_ms.unwrap_or(of.spec.queued_ms);
        events.push(event(EventKind::ExecutionStarted, of, at_ms, "running"));
    }
    if let Some(end) = &of.end {
        let good = response::is_success(&end.response);
        events.push(event(EventKind::ExecutionFinished, of, end.at_ms, if good { "success" } else { "failure" }));
    }
    events
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecutionData<'a> {
    execution_id: String,
    instance: &'a str,
    action: String,
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    mnemonic: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    target: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    invocation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    runner: Option<RunnerData<'a>>,
    /// Counts the runners that it was given to.
    execution: u64,
    queued_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
    /// The google.rpc.Code of its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    page: String,
}

#[derive(Serialize)]
struct RunnerData<'a> {
    id: &'a str,
    name: &'a str,
}

fn event(kind: EventKind, of: &Telling, at_ms: i64, state: &'static str) -> NewEvent {
    let Telling { id, spec, standing, .. } = of;
    let started_ms = standing.claimed_ms.filter(|_| kind != EventKind::ExecutionQueued);
    let end = of.end.as_ref().filter(|_| kind == EventKind::ExecutionFinished);
    let response = end.map(|end| &*end.response);
    let data = ExecutionData {
        execution_id: id.to_string(),
        instance: spec.instance.as_str(),
        action: spec.action.to_string(),
        state,
        mnemonic: short(&spec.mnemonic),
        target: short(&spec.target),
        invocation_id: short(&spec.invocation_id),
        runner: if kind == EventKind::ExecutionQueued { None } else { runner(standing) },
        execution: if kind == EventKind::ExecutionQueued { 0 } else { standing.epoch },
        queued_at: rfc3339(spec.queued_ms),
        started_at: started_ms.map(rfc3339),
        finished_at: end.map(|end| rfc3339(end.at_ms)),
        waited_ms: started_ms.map(|started| (started - spec.queued_ms).max(0)),
        duration_ms: end.zip(started_ms).map(|(end, started)| (end.at_ms - started).max(0)),
        code: response.map(response::code),
        exit_code: response.and_then(|response| response.result.as_option()).map(|result| result.exit_code),
        message: response.map(response::message).map(|message| short(&message).to_owned()).unwrap_or_default(),
        page: format!("/executions/{id}"),
    };
    NewEvent::new(kind, spec.instance.as_str(), &format!("executions/{id}"), at_ms, &data)
}

/// Who has it, or had it last.
fn runner(standing: &Standing) -> Option<RunnerData<'_>> {
    let held = standing.lease.as_ref().map(|lease| (&lease.runner_uuid, &lease.runner_name));
    let last = standing.last_runner.as_ref().map(|(uuid, name)| (uuid, name));
    held.or(last).map(|(id, name)| RunnerData { id: short(id), name: short(name) })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::events::EventId;
    use crate::execution::store::LeaseRecord;
    use crate::testing::execution_store::spec;

    fn telling(told: Told, standing: Standing, end: Option<End>) -> Telling {
        Telling { id: Uuid::from_u128(7), spec: Arc::new(spec("x")), standing, told, end }
    }

    fn leased(epoch: u64) -> Standing {
        let lease = LeaseRecord { runner_uuid: "r".into(), runner_name: "name".into(), ..Default::default() };
        Standing { epoch, lease: Some(lease), claimed_ms: Some(25), ..Default::default() }
    }

    fn ended() -> End {
        End { at_ms: 125, response: Arc::new(response::failed(millrace_proto::rpc::Code::UNAVAILABLE, "lost")) }
    }

    fn told(of: &Telling) -> Vec<Value> {
        let records = changes(of).into_iter().map(|event| event.record(EventId::default()));
        records.map(|record| serde_json::from_str(&record).unwrap()).collect()
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        // (told, the lease, its end) -> types
        for ((before, epoch, end), wanted) in [
            ((Told::Nothing, 0, None), &["queued"] as &[&str]),
            ((Told::Nothing, 1, None), &["queued", "started"]),
            ((Told::Nothing, 0, Some(ended())), &["queued", "finished"]),
            ((Told::Nothing, 1, Some(ended())), &["queued", "started", "finished"]),
            ((Told::Lease(0), 0, None), &[]),
            ((Told::Lease(0), 1, None), &["started"]),
            ((Told::Lease(1), 1, None), &[]),
            ((Told::Lease(1), 2, Some(ended())), &["started", "finished"]),
            ((Told::Lease(2), 2, Some(ended())), &["finished"]),
        ] {
            let standing = if epoch == 0 { Standing::default() } else { leased(epoch) };
            let events = told(&telling(before, standing, end));
            let kinds: Vec<&str> =
                events.iter().map(|event| event["type"].as_str().unwrap().rsplit('.').next().unwrap()).collect();
            assert_eq!(kinds, wanted, "{before:?}, {epoch}");
        }
    }

    #[test]
    fn fields() {
        let events = told(&telling(Told::Nothing, leased(1), Some(ended())));
        let data: Vec<&Value> = events.iter().map(|event| &event["data"]).collect();
        assert_eq!(data[0]["state"], "queued");
        assert!(data[0].get("runner").is_none() && data[0].get("code").is_none(), "{}", data[0]);
        assert_eq!((&data[1]["runner"]["name"], &data[1]["waitedMs"]), (&"name".into(), &20.into()));
        assert_eq!((&data[2]["code"], &data[2]["durationMs"]), (&14.into(), &100.into()));
        assert_eq!((&data[2]["message"], &data[2]["state"]), (&"lost".into(), &"failure".into()));
        assert_eq!(events[2]["time"], "1970-01-01T00:00:00.125Z");
        assert_eq!(events[2]["subject"], format!("executions/{}", Uuid::from_u128(7)));
    }
}
