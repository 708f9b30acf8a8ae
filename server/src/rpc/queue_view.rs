//! The queue as one caller may see it: with the jobs of pipelines beside it, and for a token of one project with that
//! project's own waiting executions alone. Numbers of the whole queue are everybody's: they say how long one waits.

use std::collections::BTreeMap;

use millrace_engine::error::{Error, Result};
use millrace_engine::execution::{ExecutionQuery, ExecutionState, QueueSnapshot, Stage, WaitingSnapshot};
use millrace_engine::scheduler::waiters::serves;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::millrace::v1 as api;
use millrace_proto::platform_properties::Properties;

use super::queue_shown;
use crate::app::App;
use crate::auth::Caller;

/// How many runners are named with a group of jobs.
const JOB_RUNNERS_MAX: usize = 20;
/// How many waiting executions of one project are looked at.
const OWN_WAITING_MAX: usize = 500;

/// The queue now.
pub async fn queue(app: &App, caller: &Caller) -> Result<api::Queue> {
    let mut snapshot = app.execution.snapshot();
    if let Some(project) = caller.project() {
        only_of(app, &mut snapshot, project).await?;
    }
    Ok(queue_shown::queue(&snapshot, jobs(app).await?))
}

/// An execution, if the caller may see it.
pub async fn execution(app: &App, caller: &Caller, id: &str) -> Result<ExecutionState> {
    if id.is_empty() {
        return Err(Error::invalid("id", "is empty"));
    }
    let state = app.execution.execution(id).await?;
    if caller.sees(state.instance.as_str()) {
        return Ok(state);
    }
    Err(Error::NotFound(format!("execution {id}")))
}

/// Jobs that wait, by their labels.
async fn jobs(app: &App) -> Result<Vec<api::JobGroup>> {
    let depths = app.scheduler.queue_depth().await?;
    if depths.is_empty() {
        return Ok(Vec::new());
    }
    let mut runners = app.runners.list().await?;
    runners.retain(|runner| app.runners.is_online(runner) && !runner.draining);
    let group = |(labels, queued): (Vec<String>, u64)| {
        let serving = runners.iter().filter(|runner| serves(&runner.labels, &labels));
        api::JobGroup {
            runners: serving.take(JOB_RUNNERS_MAX).map(|runner| runner.name.clone()).collect(),
            labels,
            queued: queued as i64,
            ..Default::default()
        }
    };
    Ok(depths.into_iter().map(group).collect())
}

/// Leaves of the waiting groups those of one project, with its own numbers.
async fn only_of(app: &App, snapshot: &mut QueueSnapshot, project: &str) -> Result<()> {
    let own = match InstanceName::parse(project) {
        Ok(instance) => waiting(app, instance).await?,
        Err(_) => Vec::new(),
    };
    let mut groups: BTreeMap<(&str, &Properties), WaitingSnapshot> = BTreeMap::new();
    for state in &own {
        let group = groups.entry((&state.platform, &state.properties)).or_default();
        group.queued += 1;
        let oldest = group.oldest_queued_ms.unwrap_or(state.queued_ms).min(state.queued_ms);
        group.oldest_queued_ms = Some(oldest);
    }
    let narrow = |platform: &str, waiting: &mut Vec<WaitingSnapshot>| {
        waiting.retain_mut(|group| match groups.get(&(platform, &group.properties)) {
            Some(own) => {
                (group.queued, group.oldest_queued_ms) = (own.queued, own.oldest_queued_ms);
                true
            }
            None => false,
        });
    };
    for platform in &mut snapshot.platforms {
        narrow(&platform.name, &mut platform.waiting);
    }
    narrow("", &mut snapshot.unmatched);
    Ok(())
}

async fn waiting(app: &App, instance: InstanceName) -> Result<Vec<ExecutionState>> {
    let query = ExecutionQuery {
        instance: Some(instance),
        stages: vec![Stage::Queued],
        page_size: OWN_WAITING_MAX,
        ..Default::default()
    };
    Ok(app.execution.executions(query).await?.items)
}
