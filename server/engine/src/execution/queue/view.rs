//! How the queue looks: its executions one by one, and the whole as a page shows it.

use std::collections::HashMap;

use uuid::Uuid;

use super::lanes::{Group, GroupKey, Lanes};
use super::platforms::{Platform, PlatformId};
use super::{Entry, Queue};
use crate::execution::WAITING_GROUPS_MAX;
use crate::execution::snapshot::{PlatformSnapshot, QueueSnapshot, RunnerSnapshot, WaitingSnapshot};
use crate::execution::spec::Spec;
use crate::execution::state::{ExecutionState, Stage, operation_id, operation_name};
use crate::execution::store::Standing;

impl Queue {
    /// An execution that is queued or held, as it stands.
    pub fn state(&self, entry: &Entry) -> ExecutionState {
        let platform = entry.place.as_ref().and_then(|place| place.platform);
        let holder = entry.standing.lease.as_ref().and_then(|lease| self.platforms.runner(&lease.runner_uuid));
        let platform = platform.or(holder.map(|member| member.platform)).and_then(|id| self.platforms.get(id));
        let message = match (&entry.standing.cancelled, platform) {
            (Some(why), _) => format!("is being cancelled: {why}"),
            (None, None) if entry.stage == Stage::Queued => {
                self.platforms.explain(&self.platforms.matched(&entry.spec.properties))
            }
            (None, Some(platform)) if entry.stage == Stage::Queued && platform.online == 0 => {
                format!("no runner of the platform \"{}\" is online", platform.name)
            }
            _ => String::new(),
        };
        ExecutionState {
            stage: entry.stage,
            platform: platform.map(|platform| platform.name.clone()).unwrap_or_default(),
            message,
            ..state_of(entry.id, &entry.spec, &entry.standing)
        }
    }

    /// The whole queue, but for what is counted by the minute.
    pub fn snapshot(&self, now_ms: i64) -> QueueSnapshot {
        let mut by_runner: HashMap<&str, u32> = HashMap::new();
        for (runner, held) in &self.held {
            by_runner.insert(runner, held.len() as u32);
        }
        let executing: usize = self.held.values().map(std::collections::BTreeSet::len).sum();
        QueueSnapshot {
            time_ms: now_ms,
            platforms: self.platforms.iter().map(|(id, platform)| self.platform(id, platform, &by_runner)).collect(),
            unmatched: self.waiting(&self.unmatched, true),
            queued: (self.entries.len() - executing) as u64,
            executing: executing as u64,
            finished_last_minute: 0,
            cached_last_minute: 0,
            unmatched_wait_ms: self.limits.unmatched_wait_ms,
        }
    }

    /// What runners have.
    pub fn held(&self) -> impl Iterator<Item = &Entry> {
        self.held.values().flatten().filter_map(|id| self.entries.get(id))
    }

    fn platform(&self, id: PlatformId, platform: &Platform, by_runner: &HashMap<&str, u32>) -> PlatformSnapshot {
        let members = self.platforms.runners().filter(|member| member.platform == id);
        let runners: Vec<RunnerSnapshot> = members
            .map(|member| {
                let runner = &member.runner;
                RunnerSnapshot {
                    uuid: runner.uuid.clone(),
                    name: runner.name.clone(),
                    online: runner.online,
                    draining: runner.draining,
                    slots: runner.slots,
                    executing: by_runner.get(runner.uuid.as_str()).copied().unwrap_or(0),
                }
            })
            .collect();
        PlatformSnapshot {
            name: platform.name.clone(),
            properties: platform.properties.clone(),
            configured: platform.configured,
            queued: platform.lanes.len() as u64,
            executing: runners.iter().map(|runner| u64::from(runner.executing)).sum(),
            oldest_queued_ms: platform.lanes.oldest_ms(),
            waiting: self.waiting(&platform.lanes, false),
            runners,
        }
    }

    fn waiting(&self, lanes: &Lanes, mismatched: bool) -> Vec<WaitingSnapshot> {
        let snapshot = |(key, group): (&GroupKey, &Group)| WaitingSnapshot {
            properties: key.requested.clone(),
            queued: group.len() as u64,
            oldest_queued_ms: group.oldest_ms(),
            mismatches: if mismatched { self.platforms.mismatches(&key.requested) } else { Vec::new() },
        };
        lanes.groups().take(WAITING_GROUPS_MAX).map(snapshot).collect()
    }
}

/// What a record says of an execution; stage, platform and message are not in it.
pub fn state_of(id: Uuid, spec: &Spec, standing: &Standing) -> ExecutionState {
    let lease = standing.lease.as_ref().map(|lease| (&lease.runner_uuid, &lease.runner_name));
    let runner = lease.or(standing.last_runner.as_ref().map(|(uuid, name)| (uuid, name)));
    let live = standing.operations.iter().filter(|operation| !operation.deleted);
    ExecutionState {
        id: id.to_string(),
        instance: spec.instance.clone(),
        action: Some(spec.action),
        properties: spec.properties.clone(),
        priority: standing.priority,
        operations: live.map(|operation| operation_name(&spec.instance, &operation_id(id, operation.number))).collect(),
        invocation_id: spec.invocation_id.clone(),
        target: spec.target.clone(),
        mnemonic: spec.mnemonic.clone(),
        command: spec.command_line.clone(),
        runner_uuid: runner.map(|(uuid, _)| uuid.clone()).unwrap_or_default(),
        runner_name: runner.map(|(_, name)| name.clone()).unwrap_or_default(),
        lost: standing.lost.len() as u32,
        epoch: standing.epoch,
        queued_ms: spec.queued_ms,
        claimed_ms: standing.claimed_ms,
        started_ms: standing.started_ms,
        do_not_cache: spec.do_not_cache,
        input_fetched_bytes: standing.input_fetched_bytes,
        input_cached_bytes: standing.input_cached_bytes,
        ..Default::default()
    }
}
