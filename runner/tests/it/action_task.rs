//! Actions of remote execution to give to a runner, and what came of them. Knows nothing of single tests.

use std::time::Duration;

use buffa::Message as _;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::reapi::{self, ActionResult, ExecuteResponse};
use millrace_proto::rpc::Code;
use millrace_proto::runner_v1::{ActionReport, ActionTask, Property};

use crate::fake_server::{FakeServer, WAIT_MAX_SECONDS};

const FUNCTION: DigestFunction = DigestFunction::Sha256;

/// An action in the making.
pub struct Act {
    command: reapi::Command,
    files: Vec<(String, Vec<u8>, bool)>,
    properties: Vec<Property>,
    timeout: Duration,
    lease: Duration,
    follows: bool,
}

/// How it ended.
#[derive(Debug)]
pub struct Done {
    pub report: ActionReport,
    pub response: ExecuteResponse,
}

impl Act {
    pub fn new<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Self {
            command: reapi::Command { arguments, ..Default::default() },
            files: Vec::new(),
            properties: Vec::new(),
            timeout: Duration::from_secs(WAIT_MAX_SECONDS),
            lease: Duration::from_millis(600),
            follows: false,
        }
    }

    /// A script for sh, with the system's programs.
    pub fn sh(script: &str) -> Self {
        Self::new(["/bin/sh", "-c", script]).env("PATH", "/usr/bin:/bin")
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        let variable = reapi::command::EnvironmentVariable { name, value, ..Default::default() };
        self.command.environment_variables.push(variable);
        self
    }

    /// A file in the input root.
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>, executable: bool) -> Self {
        self.files.push((name.to_owned(), content.into(), executable));
        self
    }

    pub fn output(mut self, path: &str) -> Self {
        self.command.output_paths.push(path.to_owned());
        self
    }

    pub fn folder(mut self, path: &str) -> Self {
        path.clone_into(&mut self.command.working_directory);
        self
    }

    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push(Property { name: name.to_owned(), value: value.to_owned(), ..Default::default() });
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With names for the streams of what it prints.
    pub fn followed(mut self) -> Self {
        self.follows = true;
        self
    }

    /// Puts what it needs into the CAS and queues it; answers its execution's id.
    pub fn give(self, server: &FakeServer) -> String {
        let mut root = reapi::Directory::default();
        for (name, content, is_executable) in self.files {
            let digest = wire(&server.cas.put(FUNCTION, content));
            let node = reapi::FileNode { name, digest: digest.into(), is_executable, ..Default::default() };
            root.files.push(node);
        }
        root.files.sort_by(|one, other| one.name.cmp(&other.name));
        let root = server.cas.put(FUNCTION, root.encode_to_vec());
        let command = self.command.encode_to_vec();
        let action = reapi::Action {
            command_digest: wire(&Digest::of(FUNCTION, &command)).into(),
            input_root_digest: wire(&root).into(),
            ..Default::default()
        };
        let action = action.encode_to_vec();
        let digest = Digest::of(FUNCTION, &action);
        let id = uuid::Uuid::new_v4().to_string();
        let stream = |kind: &str| if self.follows { format!("logstreams/{id}.{kind}/secret") } else { String::new() };
        server.give_action(ActionTask {
            execution_id: id.clone(),
            epoch: 3,
            lease_ms: self.lease.as_millis() as u64,
            digest_function: FUNCTION.wire(),
            action_hash: digest.hex(),
            action_size_bytes: digest.size_wire(),
            action,
            command,
            properties: self.properties,
            timeout_ms: self.timeout.as_millis() as u64,
            stdout_write_name: stream("stdout"),
            stderr_write_name: stream("stderr"),
            queued_at_ms: 1_700_000_000_123,
            ..Default::default()
        });
        id
    }

    /// Gives it and waits for its end.
    pub async fn run(self, server: &FakeServer) -> Done {
        let id = self.give(server);
        done(server, &id).await
    }
}

/// Waits for the end of an action.
pub async fn done(server: &FakeServer, id: &str) -> Done {
    let report = server.action_end(id).await;
    let response = ExecuteResponse::decode_from_slice(&report.response).expect("an ExecuteResponse");
    Done { report, response }
}

impl Done {
    pub fn result(&self) -> &ActionResult {
        self.response.result.as_option().unwrap_or_else(|| panic!("no result: {:?}", self.response.status))
    }

    /// The status: its code by number, OK when there is none, and its message.
    pub fn status(&self) -> (i32, String) {
        let status = self.response.status.as_option();
        status.map_or((Code::OK as i32, String::new()), |status| (status.code, status.message.clone()))
    }

    pub fn is(&self, code: Code) -> bool {
        self.status().0 == code as i32
    }

    /// What it printed to standard output, where that is little.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.result().stdout_raw).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.result().stderr_raw).into_owned()
    }
}

fn wire(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hex(), size_bytes: digest.size_wire(), ..Default::default() }
}
