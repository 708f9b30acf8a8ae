//! What is told of runners. Pure; stores write it with the change.

use serde::Serialize;

use super::store::Runner;
use crate::events::{EventKind, NewEvent, short};

/// So many labels of a runner are told.
const LABELS_MAX: usize = 64;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunnerData<'a> {
    runner_id: &'a str,
    name: &'a str,
    labels: Vec<&'a str>,
    os: &'a str,
    arch: &'a str,
    version: &'a str,
    slots: u32,
    draining: bool,
    ephemeral: bool,
    page: &'static str,
}

/// It has been registered.
pub fn registered(runner: &Runner, now_ms: i64) -> NewEvent {
    event(EventKind::RunnerRegistered, runner, now_ms)
}

/// It is heard of again, or has not been heard of for a while.
pub fn presence(runner: &Runner, online: bool, now_ms: i64) -> NewEvent {
    event(if online { EventKind::RunnerOnline } else { EventKind::RunnerOffline }, runner, now_ms)
}

/// It gets nothing new, or does again.
pub fn draining(runner: &Runner, now_ms: i64) -> NewEvent {
    event(EventKind::RunnerDraining, runner, now_ms)
}

/// It is forgotten.
pub fn removed(runner: &Runner, now_ms: i64) -> NewEvent {
    event(EventKind::RunnerRemoved, runner, now_ms)
}

fn event(kind: EventKind, runner: &Runner, now_ms: i64) -> NewEvent {
    let data = RunnerData {
        runner_id: &runner.uuid,
        name: short(&runner.name),
        labels: runner.labels.iter().take(LABELS_MAX).map(|label| short(label)).collect(),
        os: short(&runner.os),
        arch: short(&runner.arch),
        version: short(&runner.version),
        slots: runner.slots,
        draining: runner.draining,
        ephemeral: runner.ephemeral,
        page: "/runners",
    };
    // Runners are of no project: who sees all sees them.
    NewEvent::new(kind, "", &format!("runners/{}", runner.uuid), now_ms, &data)
}
