//! The scheduler alone: clients execute new actions, and agents of the bench say at once that they are done. Nothing is
//! run, and every transition is as durable as it always is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bazel_remote_apis::build::bazel::remote::execution::v2::batch_update_blobs_request::Request as NewBlob;
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::execution_client::ExecutionClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    Action, ActionResult, BatchUpdateBlobsRequest, Command, Digest, ExecuteRequest, ExecuteResponse,
};
use bazel_remote_apis::google::longrunning::operation;
use millrace_bench::agent::Agent;
use millrace_bench::client::Client;
use millrace_bench::wire::runner_v1::action_report::Stage;
use millrace_bench::wire::runner_v1::fetch_task_request::Wants;
use millrace_bench::wire::runner_v1::{
    ActionReport, ActionTask, FetchTaskRequest, FetchTaskResponse, UpdateTaskRequest,
};
use prost::Message;

use crate::reapi::content::{Blob, Content};
use crate::report::Report;
use crate::samples::Samples;
use crate::target::Target;

/// How many actions clients wait for at once.
const CLIENTS: usize = 512;
/// How many connections they share.
const CONNECTIONS: usize = 4;
/// How many agents take actions, each one at a time.
const AGENTS: usize = 256;
/// How many actions are uploaded at once.
const BATCH_ACTIONS: usize = 1_000;
/// Actions a second that there are to be enough of, for each second that is measured.
const ACTIONS_PER_SECOND: usize = 10_000;
/// How long an agent's FetchTask may be held, in milliseconds.
const WAIT_MS: u32 = 1_000;

/// Measures for so many seconds.
pub async fn scheduler(target: &Target, seconds: u64) -> Result<Report> {
    let seconds = seconds.max(1);
    let clients: Vec<Client> = (0..CONNECTIONS).map(|_| target.another_client()).collect::<Result<_>>()?;
    let actions = Arc::new(upload(&clients[0], seconds as usize * ACTIONS_PER_SECOND).await?);
    let stop = Arc::new(AtomicBool::new(false));
    let agent = target.agent_for_actions("bench-scheduler").await?;
    let agents: Vec<_> = (0..AGENTS)
        .map(|number| {
            let (agent, stop) = (agent.at(&target.url), Arc::clone(&stop));
            tokio::spawn(async move { complete(agent?, number, &stop).await })
        })
        .collect();
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds);
    let callers: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (client, actions, next) =
                (clients[number % CONNECTIONS].clone(), Arc::clone(&actions), Arc::clone(&next));
            tokio::spawn(async move { execute_until(&client, &actions, &next, until).await })
        })
        .collect();
    let mut latencies = Samples::default();
    for caller in callers {
        latencies.extend(caller.await??);
    }
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    for agent in agents {
        agent.await??;
    }
    let mut report = Report::new(format!("scheduler: {CLIENTS} clients, {AGENTS} agents that complete at once"));
    report.figure("actions executed", latencies.len() as f64 / took.as_secs_f64(), "/s");
    report.latency("Execute called -> done", &latencies, &[]);
    Ok(report)
}

/// So many actions, with one Command.
async fn upload(client: &Client, count: usize) -> Result<Vec<Digest>> {
    let mut content = Content::new(rand::random(), "scheduler");
    let command = Command { arguments: vec!["/bin/true".to_owned()], ..Default::default() };
    let (command, root) = (Blob::of(command.encode_to_vec().into()), Blob::of(Vec::new().into()));
    let mut blobs = vec![command.clone()];
    let mut actions = Vec::with_capacity(count);
    for _ in 0..count {
        let action = Action {
            command_digest: Some(command.digest()),
            input_root_digest: Some(root.digest()),
            salt: content.bytes(16).to_vec(),
            ..Default::default()
        };
        let blob = Blob::of(action.encode_to_vec().into());
        actions.push(blob.digest());
        blobs.push(blob);
    }
    let mut storage = ContentAddressableStorageClient::new(client.connection());
    for batch in blobs.chunks(BATCH_ACTIONS) {
        let requests = batch.iter().map(|blob| NewBlob {
            digest: Some(blob.digest()),
            data: blob.pieces.concat(),
            ..Default::default()
        });
        let request = BatchUpdateBlobsRequest { requests: requests.collect(), ..Default::default() };
        storage.batch_update_blobs(request).await.context("uploading actions")?;
    }
    Ok(actions)
}

/// Executes one action after the other.
async fn execute_until(client: &Client, actions: &[Digest], next: &AtomicUsize, until: Instant) -> Result<Samples> {
    let mut execution = ExecutionClient::new(client.connection());
    let mut latencies = Samples::default();
    while Instant::now() < until {
        let action =
            actions.get(next.fetch_add(1, Ordering::Relaxed)).context("more actions were done than there are")?;
        let called = Instant::now();
        let request = ExecuteRequest { action_digest: Some(action.clone()), ..Default::default() };
        let mut operations = execution.execute(request).await?.into_inner();
        let mut last = None;
        while let Some(operation) = operations.message().await? {
            last = Some(operation);
        }
        latencies.push(called.elapsed());
        let Some(operation::Result::Response(any)) = last.and_then(|last| last.result) else {
            anyhow::bail!("an Execute that ended without a response");
        };
        let response = ExecuteResponse::decode(any.value.as_slice())?;
        ensure!(response.status.as_ref().is_none_or(|status| status.code == 0), "{response:?}");
        ensure!(response.result.is_some(), "an Execute without a result");
    }
    Ok(latencies)
}

/// Takes actions and says that they are done, until it is told to stop.
async fn complete(agent: Agent, number: usize, stop: &AtomicBool) -> Result<()> {
    let response = ExecuteResponse { result: Some(ActionResult::default()), ..Default::default() }.encode_to_vec();
    let (mut agents, mut asked) = (agent.client.agents(), 0_u64);
    let mut task: Option<ActionTask> = None;
    while !stop.load(Ordering::Relaxed) || task.is_some() {
        let next = match task.take() {
            None => {
                asked += 1;
                let request = FetchTaskRequest {
                    request_id: format!("{number}-{asked}"),
                    wait_ms: WAIT_MS,
                    wants: Wants::JobsAndActions.into(),
                    ..Default::default()
                };
                agents.fetch_task(request).await?.into_inner()
            }
            Some(done) => {
                let last = stop.load(Ordering::Relaxed);
                let report =
                    ActionReport { stage: Stage::Done.into(), response: response.clone(), ..Default::default() };
                let request = UpdateTaskRequest {
                    tx_uuid: done.execution_id,
                    epoch: done.epoch,
                    action: Some(report),
                    do_next: !last,
                    wants: Wants::JobsAndActions.into(),
                    ..Default::default()
                };
                agents.update_task(request).await?.into_inner().next.unwrap_or_default()
            }
        };
        let FetchTaskResponse { action, .. } = next;
        task = action;
    }
    Ok(())
}
