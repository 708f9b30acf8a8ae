//! A server, a runner in this process, and tasks to give it. Knows nothing of single tests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use millrace_proto::task_content::{Action, TaskContent};
use millrace_runner::{Config, Error, Exit, SandboxMode, Shutdown};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::fake_server::{FakeServer, WAIT_MAX_SECONDS};

/// The variable by which a task's processes are known.
pub const MARK: &str = "MILLRACE_TASK_MARK=";

/// A server with a runner.
pub struct Fixture {
    pub server: FakeServer,
    pub shutdown: Shutdown,
    pub data: TempDir,
    running: JoinHandle<Result<Exit, Error>>,
}

impl Fixture {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let (server, data, shutdown) = (FakeServer::start().await, folder(), Shutdown::new());
        let mut config = config(&server, &data);
        change(&mut config);
        let running = tokio::spawn(millrace_runner::run(config, shutdown.clone()));
        Self { server, shutdown, data, running }
    }

    pub fn work(&self) -> PathBuf {
        self.data.path().join("work")
    }

    /// Gives a task and waits for its end.
    pub async fn run(&self, content: &TaskContent) -> Finished {
        self.server.give(content);
        let state = self.server.final_state(&content.tx_uuid).await;
        let heard = self.server.heard();
        let outputs = &heard.finals[&content.tx_uuid].outputs;
        let outputs = if outputs.is_empty() { "{}" } else { outputs };
        Finished {
            state: state.state,
            message: state.message,
            outputs: serde_json::from_str(outputs).expect("an object of strings"),
        }
    }

    /// How an action ended.
    pub fn action(&self, run: &str, action: u32) -> millrace_proto::runner_v1::ActionState {
        self.server.heard().actions.get(&(run.to_owned(), action)).expect("reported").clone()
    }

    /// Waits for the runner to end.
    pub async fn ended(&mut self) -> Result<Exit, Error> {
        let ended = tokio::time::timeout(Duration::from_secs(WAIT_MAX_SECONDS), &mut self.running).await;
        ended.expect("the runner ends").expect("no panic")
    }

    /// Drains, and looks whether anything is left over.
    pub async fn finish(mut self) {
        self.shutdown.drain();
        let exit = self.ended().await.expect("ends well");
        assert_eq!(exit, Exit::Drained);
        self.assert_clean();
    }

    /// No process and no file of any task is left.
    pub fn assert_clean(&self) {
        for folder in ["work", "temp"] {
            let left = std::fs::read_dir(self.data.path().join(folder)).expect("there").count();
            assert_eq!(left, 0, "left in {folder}");
        }
        assert_eq!(marked_processes(&self.runner_uuid()), Vec::<u32>::new(), "processes left");
    }

    pub fn runner_uuid(&self) -> String {
        let text = std::fs::read_to_string(self.data.path().join("identity.json")).expect("an identity");
        let identity = serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        identity["uuid"].as_str().expect("a uuid").to_owned()
    }
}

/// How a task ended.
#[derive(Debug)]
pub struct Finished {
    pub state: String,
    pub message: String,
    pub outputs: BTreeMap<String, String>,
}

pub fn folder() -> TempDir {
    tempfile::Builder::new().prefix("millrace-runner-test").tempdir().expect("a folder")
}

pub fn config(server: &FakeServer, data: &TempDir) -> Config {
    let mut config = Config::new(server.url(), data.path());
    config.token = Some("registration".to_owned());
    "test-runner".clone_into(&mut config.name);
    config.actions.program = Some(env!("CARGO_BIN_EXE_millrace-runner").into());
    config.actions.sandbox = SandboxMode::Off;
    config
}

/// A task of these actions, numbered; its run has a name of its own.
pub fn task(actions: impl IntoIterator<Item = Action>) -> TaskContent {
    let actions = actions.into_iter().enumerate();
    let actions = actions.map(|(at, action)| Action { index: at as u32, ..action });
    TaskContent {
        schema: 1,
        tx_uuid: uuid::Uuid::new_v4().to_string(),
        epoch: 7,
        lease_ms: 3_000,
        cancel_grace_ms: 20_000,
        key: "job".to_owned(),
        name: "job".to_owned(),
        actions: actions.collect(),
        ..Default::default()
    }
}

/// An action that runs a script in sh.
pub fn sh(script: &str) -> Action {
    Action {
        name: script.lines().next().unwrap_or_default().to_owned(),
        command: script.to_owned(),
        template: script.contains("${{").then(|| script.to_owned()),
        shell: "sh".to_owned(),
        condition: true,
        ..Default::default()
    }
}

/// Living processes that carry the mark of a runner.
pub fn marked_processes(runner: &str) -> Vec<u32> {
    let marked = |pid: u32| -> bool {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let dead = status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        !dead && environment.split('\0').any(|variable| variable.starts_with(MARK) && variable.contains(runner))
    };
    let entries = std::fs::read_dir("/proc").expect("Linux");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| marked(*pid)).collect()
}

/// Whether a process lives.
pub fn is_alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X'])) && !status.is_empty()
}
