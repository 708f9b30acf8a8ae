//! An agent of the runner protocol that does nothing by itself: each call is made when its owner says so.

use anyhow::Context;
use serde::Deserialize;
use tonic::Status;

use crate::client::Client;
use crate::wire::runner_v1::{
    ActionState, DeclareRequest, FetchTaskRequest, RegisterRequest, StepState, UpdateLogRequest, UpdateTaskRequest,
    UpdateTaskResponse,
};

/// A registered agent.
#[derive(Clone)]
pub struct Agent {
    /// Its connection, with its token.
    pub client: Client,
    /// Its identity.
    pub uuid: String,
    /// Its secret.
    pub token: String,
}

/// A task as the agent needs it: its address and its lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Task {
    /// The run.
    pub tx_uuid: String,
    /// The stage in the run.
    pub stage_idx: u32,
    /// The row in the stage.
    pub step_row_idx: u32,
    /// The step in the row.
    pub step_idx: u32,
    /// The lease.
    pub epoch: u64,
    /// The job's key.
    pub key: String,
}

impl Agent {
    /// Registers and declares a new agent.
    pub async fn register(url: &str, registration_token: &str, name: &str, labels: &[&str]) -> anyhow::Result<Self> {
        Self::declared(url, registration_token, name, labels, false).await
    }

    /// Registers and declares a new agent that runs actions of remote execution.
    pub async fn register_for_actions(url: &str, registration_token: &str, name: &str) -> anyhow::Result<Self> {
        Self::declared(url, registration_token, name, &[name], true).await
    }

    async fn declared(
        url: &str,
        registration_token: &str,
        name: &str,
        labels: &[&str],
        runs_actions: bool,
    ) -> anyhow::Result<Self> {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        let request = RegisterRequest {
            name: name.to_owned(),
            token: registration_token.to_owned(),
            version: "bench".to_owned(),
            labels: labels.clone(),
            ..Default::default()
        };
        let registered = Client::new(url, "")?.agents().register(request).await?.into_inner().runner;
        let runner = registered.context("Register answered without a runner")?;
        let client = Client::new(url, &runner.token)?;
        let declare = DeclareRequest {
            token: runner.token.clone(),
            uuid: runner.uuid.clone(),
            version: "bench".to_owned(),
            labels,
            slots: 1,
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            runs_actions,
            ..Default::default()
        };
        client.agents().declare(declare).await?;
        Ok(Self { client, uuid: runner.uuid, token: runner.token })
    }

    /// The same agent at another address (a restarted server, a proxy), over a connection of its own.
    pub fn at(&self, url: &str) -> anyhow::Result<Self> {
        Ok(Self { client: Client::new(url, &self.token)?, ..self.clone() })
    }

    /// Waits for a task, at most so long.
    pub async fn fetch(&self, request_id: &str, wait_ms: u32) -> Result<Option<Task>, Status> {
        let request = FetchTaskRequest {
            token: self.token.clone(),
            request_id: request_id.to_owned(),
            wait_ms,
            ..Default::default()
        };
        let answer = self.client.agents().fetch_task(request).await?.into_inner();
        if !answer.success {
            return Ok(None);
        }
        serde_json::from_str(&answer.content).map(Some).map_err(|error| Status::internal(format!("content: {error}")))
    }

    /// Says how a task stands; `action` is the state of its first action.
    pub async fn report(&self, task: &Task, state: &str, action: &str) -> Result<UpdateTaskResponse, Status> {
        let now = crate::now_ms();
        let actions = if action.is_empty() {
            Vec::new()
        } else {
            let end_time = if action == "running" { 0 } else { now };
            vec![ActionState { state: action.to_owned(), start_time: now, end_time, ..Default::default() }]
        };
        let request = UpdateTaskRequest {
            tx_uuid: task.tx_uuid.clone(),
            stage_idx: task.stage_idx,
            step_row_idx: task.step_row_idx,
            step_idx: task.step_idx,
            state: Some(StepState { state: state.to_owned(), actions, ..Default::default() }),
            epoch: task.epoch,
            ..Default::default()
        };
        Ok(self.client.agents().update_task(request).await?.into_inner())
    }

    /// Sends rows of the first action's log; answers how many are stored.
    pub async fn log(&self, task: &Task, index: i64, rows: Vec<String>, no_more: bool) -> Result<i64, Status> {
        let times = vec![crate::now_ms(); rows.len()];
        let request = UpdateLogRequest {
            tx_uuid: task.tx_uuid.clone(),
            stage_idx: task.stage_idx,
            step_row_idx: task.step_row_idx,
            step_idx: task.step_idx,
            epoch: task.epoch,
            index,
            rows,
            times,
            no_more,
            ..Default::default()
        };
        Ok(self.client.agents().update_log(request).await?.into_inner().ack_index)
    }
}

impl Task {
    /// The log of an action, as `LogService` names it.
    pub fn log_id(&self, action: u32) -> String {
        let Self { tx_uuid, stage_idx, step_row_idx, step_idx, epoch, .. } = self;
        format!("{tx_uuid}.{stage_idx}.{step_row_idx}.{step_idx}.{epoch}.{action}")
    }
}
