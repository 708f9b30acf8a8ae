//! A client of remote execution that shares no code with the server: it stores actions, asks for them, and checks of every
//! message it gets what every message has to be.

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use bazel_remote_apis::google::longrunning as lro;
use bazel_remote_apis::google::longrunning::operations_client::OperationsClient;
use lro::operation::Result as Ending;
use prost::Message;
use re::execution_client::ExecutionClient;
use re::execution_stage::Value as Stage;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status, Streaming};

use crate::app::{TestApp, Wire, within};
use crate::cas_client::Remote;

const METADATA_TYPE: &str = "type.googleapis.com/build.bazel.remote.execution.v2.ExecuteOperationMetadata";
const RESPONSE_TYPE: &str = "type.googleapis.com/build.bazel.remote.execution.v2.ExecuteResponse";
const METADATA_HEADER: &str = "build.bazel.remote.execution.v2.requestmetadata-bin";

/// The clients of one caller in one instance.
#[derive(Clone)]
pub struct Client {
    /// The cache.
    pub remote: Remote,
    /// Execute and WaitExecution.
    pub execution: ExecutionClient<Wire>,
    /// Operations.
    pub operations: OperationsClient<Wire>,
}

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// The command.
    pub command: re::Command,
    /// The action; its digests are filled in.
    pub action: re::Action,
    /// Files of the input root.
    pub files: Vec<(&'static str, &'static [u8])>,
}

impl Work {
    /// A command line.
    pub fn of(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        let path = re::command::EnvironmentVariable { name: "PATH".into(), value: "/usr/bin:/bin".into() };
        let command = re::Command { arguments, environment_variables: vec![path], ..Default::default() };
        Self { command, ..Default::default() }
    }

    /// A script of the shell.
    pub fn script(script: &str) -> Self {
        Self::of(&["/bin/sh", "-c", script])
    }

    /// With outputs.
    pub fn outputs(mut self, paths: &[&str]) -> Self {
        self.command.output_paths = paths.iter().map(|path| (*path).to_owned()).collect();
        self
    }

    /// With what its action asks of the platform.
    pub fn platform(mut self, properties: &[(&str, &str)]) -> Self {
        self.action.platform = Some(platform(properties));
        self
    }

    /// Neither cached nor merged.
    pub fn uncached(mut self) -> Self {
        self.action.do_not_cache = true;
        self
    }
}

/// Properties as messages have them.
pub fn platform(properties: &[(&str, &str)]) -> re::Platform {
    let one = |(name, value): &(&str, &str)| re::platform::Property { name: (*name).into(), value: (*value).into() };
    re::Platform { properties: properties.iter().map(one).collect() }
}

impl Client {
    /// The fixture's caller, in the instance without a name.
    pub fn of(test: &TestApp) -> Self {
        Self::over(test.wire(), Remote::of(test))
    }

    /// The fixture's caller in an instance.
    pub fn within(test: &TestApp, instance: &str) -> Self {
        Self::over(test.wire(), Remote::within(test, instance))
    }

    /// Somebody with a token.
    pub fn with(test: &TestApp, token: &str, instance: &str) -> Self {
        Self::over(test.wire_with(Some(token)), Remote::with(test, token, instance))
    }

    /// Over any connection.
    pub fn through(wire: Wire, instance: &str) -> Self {
        Self::over(wire.clone(), Remote::over(wire, instance))
    }

    fn over(wire: Wire, remote: Remote) -> Self {
        Self { remote, execution: ExecutionClient::new(wire.clone()), operations: OperationsClient::new(wire) }
    }

    /// Stores an action with all it needs; its digest.
    pub async fn store(&self, work: &Work) -> re::Digest {
        let mut root = re::Directory::default();
        for (name, content) in &work.files {
            let digest = Some(self.remote.put_one(content).await);
            root.files.push(re::FileNode { name: (*name).into(), digest, is_executable: true, ..Default::default() });
        }
        let action = re::Action {
            command_digest: Some(self.remote.put_one(&work.command.encode_to_vec()).await),
            input_root_digest: Some(self.remote.put_one(&root.encode_to_vec()).await),
            ..work.action.clone()
        };
        self.remote.put_one(&action.encode_to_vec()).await
    }

    /// The request for an action.
    pub fn request(&self, action: &re::Digest) -> re::ExecuteRequest {
        re::ExecuteRequest {
            instance_name: self.remote.instance.clone(),
            action_digest: Some(action.clone()),
            ..Default::default()
        }
    }

    /// Stores and asks.
    pub async fn start(&self, work: &Work) -> Running {
        let action = self.store(work).await;
        self.ask(self.request(&action)).await.expect("taken")
    }

    /// Asks; the first message has come.
    pub async fn ask(&self, request: re::ExecuteRequest) -> Result<Running, Status> {
        self.ask_as(request, "").await
    }

    /// Asks as part of an invocation.
    pub async fn ask_as(&self, request: re::ExecuteRequest, invocation: &str) -> Result<Running, Status> {
        let mut request = Request::new(request);
        if !invocation.is_empty() {
            let metadata = re::RequestMetadata { tool_invocation_id: invocation.into(), ..Default::default() };
            let value = MetadataValue::from_bytes(&metadata.encode_to_vec());
            request.metadata_mut().insert_bin(METADATA_HEADER, value);
        }
        Running::of(within("Execute", self.execution.clone().execute(request)).await?.into_inner()).await
    }

    /// Goes on with an operation.
    pub async fn wait(&self, name: &str) -> Result<Running, Status> {
        let request = re::WaitExecutionRequest { name: name.into() };
        Running::of(within("WaitExecution", self.execution.clone().wait_execution(request)).await?.into_inner()).await
    }

    /// An operation as it is.
    pub async fn get(&self, name: &str) -> Result<Seen, Status> {
        let request = lro::GetOperationRequest { name: name.into() };
        Ok(Seen::of(within("GetOperation", self.operations.clone().get_operation(request)).await?.into_inner()))
    }

    /// Gives an operation up.
    pub async fn cancel(&self, name: &str) -> Result<(), Status> {
        let request = lro::CancelOperationRequest { name: name.into() };
        within("CancelOperation", self.operations.clone().cancel_operation(request)).await.map(drop)
    }
}

/// A stream of operations, of which one message has come.
pub struct Running {
    /// The newest message.
    pub now: Seen,
    stream: Streaming<lro::Operation>,
}

impl Running {
    async fn of(mut stream: Streaming<lro::Operation>) -> Result<Self, Status> {
        let first = within("the first message", stream.message()).await?.expect("a message");
        Ok(Self { now: Seen::of(first), stream })
    }

    /// The next message; None at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Seen>, Status> {
        let Some(next) = within("the next message", self.stream.message()).await? else { return Ok(None) };
        let next = Seen::of(next);
        assert!(!self.now.done, "{next:?} came after the end");
        assert_eq!(next.name, self.now.name, "one stream, one operation");
        self.now = next.clone();
        Ok(Some(next))
    }

    /// Messages until one is as wanted.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        while !wanted(&self.now) {
            let next = self.next().await.expect("the stream goes on");
            assert!(next.is_some(), "the stream ended and was never {what}: {:?}", self.now);
        }
        self.now.clone()
    }

    /// The response; after it the stream is over.
    pub async fn done(mut self) -> re::ExecuteResponse {
        let last = self.until("done", |seen| seen.done).await;
        assert!(self.next().await.expect("a clean end").is_none());
        last.response.expect("a response")
    }
}

/// An operation, checked.
#[derive(Clone, Debug)]
pub struct Seen {
    pub name: String,
    pub done: bool,
    pub metadata: re::ExecuteOperationMetadata,
    pub response: Option<re::ExecuteResponse>,
}

impl Seen {
    /// Decodes an operation; fails when it is not what every operation has to be.
    pub fn of(operation: lro::Operation) -> Self {
        let any = operation.metadata.expect("every message has metadata");
        assert_eq!(any.type_url, METADATA_TYPE);
        let metadata = re::ExecuteOperationMetadata::decode(any.value.as_slice()).expect("ExecuteOperationMetadata");
        assert_eq!(operation.done, metadata.stage() == Stage::Completed, "done exactly at COMPLETED");
        let response = match operation.result {
            None => None,
            Some(Ending::Response(any)) => {
                assert_eq!(any.type_url, RESPONSE_TYPE);
                Some(re::ExecuteResponse::decode(any.value.as_slice()).expect("an ExecuteResponse"))
            }
            Some(Ending::Error(error)) => panic!("error is set: {error:?}"),
        };
        assert_eq!(operation.done, response.is_some(), "{:?}", operation.name);
        Self { name: operation.name, done: operation.done, metadata, response }
    }

    /// The stage.
    pub fn stage(&self) -> Stage {
        self.metadata.stage()
    }
}

/// The code and message of a response's status.
pub fn status(response: &re::ExecuteResponse) -> (i32, String) {
    response.status.clone().map_or((0, String::new()), |status| (status.code, status.message))
}
