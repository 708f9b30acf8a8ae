//! A runner of actions that executes nothing: each of its calls is made when the test says so. It speaks the runner protocol
//! by the stubs that prost and tonic generate.

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use millrace_bench::wire::runner_v1::action_report::Stage;
use millrace_bench::wire::runner_v1::fetch_task_request::Wants;
use millrace_bench::wire::runner_v1::runner_service_client::RunnerServiceClient;
use millrace_bench::wire::runner_v1::{
    ActionReport, ActionTask, DeclareRequest, FetchTaskRequest, Property, RegisterRequest, UpdateTaskRequest,
    UpdateTaskResponse,
};
use prost::Message;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::app::{TestApp, Wire, wire_to, within};

/// What a fake runner offers when the test does not say.
pub const OFFERS: &[(&str, &str)] = &[("OSFamily", "linux"), ("ISA", "x86-64")];

/// A registered and declared runner.
#[derive(Clone)]
pub struct FakeRunner {
    pub client: RunnerServiceClient<Wire>,
    pub uuid: String,
    pub token: String,
}

impl FakeRunner {
    /// One with the usual offers.
    pub async fn start(test: &TestApp, name: &str) -> Self {
        Self::offering(test, name, OFFERS).await
    }

    /// One with these offers.
    pub async fn offering(test: &TestApp, name: &str, properties: &[(&str, &str)]) -> Self {
        Self::register(test, name, properties, false).await
    }

    /// One that leaves after a task.
    pub async fn ephemeral(test: &TestApp, name: &str) -> Self {
        Self::register(test, name, OFFERS, true).await
    }

    async fn register(test: &TestApp, name: &str, properties: &[(&str, &str)], ephemeral: bool) -> Self {
        let request = RegisterRequest { token: test.registration_token().await, ephemeral, ..registration(name) };
        Self::declared(test.agent(None), request, properties, |token| test.agent(Some(token))).await
    }

    /// One at any server.
    pub async fn at(url: &str, registration_token: &str, name: &str) -> Self {
        let request = RegisterRequest { token: registration_token.into(), ..registration(name) };
        let client = |token: &str| RunnerServiceClient::new(wire_to(url, token));
        Self::declared(client(registration_token), request, OFFERS, client).await
    }

    async fn declared(
        mut stranger: RunnerServiceClient<Wire>,
        request: RegisterRequest,
        properties: &[(&str, &str)],
        client: impl Fn(&str) -> RunnerServiceClient<Wire>,
    ) -> Self {
        let answer = stranger.register(request).await.expect("registered").into_inner();
        let runner = answer.runner.expect("a runner");
        let mut client = client(&runner.token);
        let property = |(name, value): &(&str, &str)| Property { name: (*name).into(), value: (*value).into() };
        let declare = DeclareRequest {
            uuid: runner.uuid.clone(),
            version: "1".into(),
            slots: 4,
            os: "linux".into(),
            arch: "amd64".into(),
            properties: properties.iter().map(property).collect(),
            runs_actions: true,
            ..Default::default()
        };
        client.declare(declare).await.expect("declared");
        Self { client, uuid: runner.uuid, token: runner.token }
    }

    /// Waits for an action.
    pub async fn fetch(&self) -> ActionTask {
        within("an action", async {
            loop {
                if let Some(task) = self.poll("", Wants::JobsAndActions, 10_000).await {
                    return task;
                }
            }
        })
        .await
    }

    /// One FetchTask.
    pub async fn poll(&self, request_id: &str, wants: Wants, wait_ms: u32) -> Option<ActionTask> {
        let request =
            FetchTaskRequest { request_id: request_id.into(), wait_ms, wants: wants.into(), ..Default::default() };
        let answer = within("FetchTask", self.client.clone().fetch_task(request)).await.expect("an answer");
        let answer = answer.into_inner();
        assert_eq!(answer.success, answer.action.is_some() || !answer.content.is_empty(), "{answer:?}");
        answer.action
    }

    /// Says what it is doing.
    pub async fn says(&self, task: &ActionTask, stage: Stage) -> Result<UpdateTaskResponse, Status> {
        self.update(task, ActionReport { stage: stage.into(), ..Default::default() }).await
    }

    /// Ends with a response.
    pub async fn ends(&self, task: &ActionTask, response: &re::ExecuteResponse) -> Result<UpdateTaskResponse, Status> {
        self.update(task, ended(response)).await
    }

    /// Ends well, with this on standard output.
    pub async fn succeeds(&self, task: &ActionTask, stdout: &str) {
        self.ends(task, &printed(stdout)).await.expect("taken");
    }

    /// Any report.
    pub async fn update(&self, task: &ActionTask, report: ActionReport) -> Result<UpdateTaskResponse, Status> {
        self.send(update(task, report)).await
    }

    /// Any update.
    pub async fn send(&self, request: UpdateTaskRequest) -> Result<UpdateTaskResponse, Status> {
        Ok(within("UpdateTask", self.client.clone().update_task(request)).await?.into_inner())
    }

    /// Runs every action at once, as `run` says, until the test drops what this gives.
    pub fn serve(&self, run: impl Fn(&ActionTask) -> re::ExecuteResponse + Send + Sync + 'static) -> Serving {
        let runner = self.clone();
        Serving(tokio::spawn(async move {
            loop {
                if let Some(task) = runner.poll("", Wants::JobsAndActions, 5_000).await {
                    runner.ends(&task, &run(&task)).await.expect("taken");
                }
            }
        }))
    }
}

fn registration(name: &str) -> RegisterRequest {
    RegisterRequest { name: name.into(), version: "1".into(), labels: vec!["stock".into()], ..Default::default() }
}

/// A runner that serves as long as this lives.
pub struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An update of an action.
pub fn update(task: &ActionTask, report: ActionReport) -> UpdateTaskRequest {
    UpdateTaskRequest {
        tx_uuid: task.execution_id.clone(),
        epoch: task.epoch,
        action: Some(report),
        ..Default::default()
    }
}

/// The report of an end.
pub fn ended(response: &re::ExecuteResponse) -> ActionReport {
    ActionReport { stage: Stage::Done.into(), response: response.encode_to_vec(), ..Default::default() }
}

/// A good end, with this on standard output.
pub fn printed(stdout: &str) -> re::ExecuteResponse {
    exited(0, stdout)
}

/// An end of the command by itself.
pub fn exited(exit_code: i32, stdout: &str) -> re::ExecuteResponse {
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let (seconds, nanos) = (since.as_secs() as i64, since.subsec_nanos() as i32);
        Some(bazel_remote_apis::google::protobuf::Timestamp { seconds, nanos })
    };
    let metadata = re::ExecutedActionMetadata {
        worker: "fake".into(),
        worker_start_timestamp: now(),
        execution_start_timestamp: now(),
        execution_completed_timestamp: now(),
        worker_completed_timestamp: now(),
        ..Default::default()
    };
    let result = re::ActionResult {
        exit_code,
        stdout_raw: stdout.as_bytes().to_vec(),
        execution_metadata: Some(metadata),
        ..Default::default()
    };
    re::ExecuteResponse { result: Some(result), ..Default::default() }
}

/// An end for another reason.
pub fn failed(code: tonic::Code, message: &str) -> re::ExecuteResponse {
    let status =
        bazel_remote_apis::google::rpc::Status { code: code as i32, message: message.into(), ..Default::default() };
    re::ExecuteResponse { status: Some(status), ..Default::default() }
}

/// The Command of a task.
pub fn command_of(task: &ActionTask) -> re::Command {
    re::Command::decode(task.command.as_slice()).expect("a Command")
}
