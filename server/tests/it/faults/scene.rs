//! A folder, a server's data in it, and the processes of a test. All processes carry a mark in their environment, so
//! that what is left of them is found. Knows nothing of single tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use millrace_bench::agent::Agent;
use millrace_bench::client::Client;
use millrace_bench::program::{ServerProgram, admin_token};
use millrace_bench::wire::millrace_v1::{GetRunRequest, ReadLinesRequest, Run, RunRequest, State};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;

use crate::app::within;

/// The variable that marks a scene's processes.
const MARK: &str = "FAULT_SCENE";
/// What runners and agents register with.
pub const REGISTRATION_TOKEN: &str = "fault-registration-token";
/// The server, built with these tests.
const MILLRACE: &str = env!("CARGO_BIN_EXE_millrace");
/// Where the server's ports are taken from.
const PORTS: std::ops::Range<u16> = 12_000..32_000;
/// How long a condition may take to become true, in seconds: a busy machine is no failure.
const WAIT_MAX_SECONDS: u64 = 90;
/// How often a condition is looked at, in milliseconds.
const LOOK_MS: u64 = 20;

/// A test's world.
pub struct Scene {
    /// The server's address: from its first start on always the same.
    pub url: String,
    /// Calls as an administrator.
    pub client: Client,
    /// How long a runner may be silent, in seconds.
    pub lease_seconds: u32,
    folder: TempDir,
    mark: String,
    token: String,
    runners: BTreeSet<PathBuf>,
}

impl Scene {
    /// An empty one. The server's port is free and stays its own.
    pub async fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("millrace-fault-").tempdir().expect("a folder");
        for name in ["data", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let token = admin_token(Path::new(MILLRACE), &folder.path().join("data")).await.expect("a token");
        let url = format!("http://127.0.0.1:{}", free_port().await);
        let client = Client::new(&url, &token).expect("an address");
        let mark = uuid::Uuid::new_v4().to_string();
        Self { url, client, lease_seconds: 2, folder, mark, token, runners: BTreeSet::new() }
    }

    /// The test's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's data.
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The administrator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A program of this scene; killed when its handle is dropped.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env(MARK, &self.mark).env("TMPDIR", self.folder().join("tmp"));
        command.env("MILLRACE_TOKEN", &self.token).env("MILLRACE_LOG", "info");
        command.stdin(Stdio::null()).stderr(self.output_file("stderr")).kill_on_drop(true);
        command
    }

    /// `millrace serve`, under a program that is to start it, if one is given.
    pub fn serve_command(&self, under: &[&str]) -> Command {
        let line: Vec<&str> = under.iter().copied().chain([MILLRACE, "serve", "--listen", self.address()]).collect();
        let mut command = self.command(line[0]);
        command.args(&line[1..]).arg("--data").arg(self.data());
        command.env("MILLRACE_REGISTRATION_TOKEN", REGISTRATION_TOKEN);
        command.env("MILLRACE_LEASE_SECONDS", self.lease_seconds.to_string());
        command
    }

    /// Starts the server on the scene's data and port.
    pub async fn serve(&self) -> ServerProgram {
        match ServerProgram::start(self.serve_command(&[])).await {
            Ok(server) => server,
            Err(error) => panic!("{error:#}; it said: {}", self.said()),
        }
    }

    /// Starts a runner with a data folder of its own; one that was there before comes back as the same runner.
    pub async fn runner(&mut self, name: &str) -> Child {
        let url = self.url.clone();
        self.runner_at(name, &url).await
    }

    /// The same, through another address.
    pub async fn runner_at(&mut self, name: &str, url: &str) -> Child {
        let data = self.folder().join(name);
        let mut command = self.command(runner_program().await);
        command.args(["--server", url, "--name", name, "--pass-env", MARK, "--data"]).arg(&data);
        command.env("MILLRACE_REGISTRATION_TOKEN", REGISTRATION_TOKEN);
        self.runners.insert(data);
        command.stdout(Stdio::null()).spawn().expect("the runner starts")
    }

    /// An agent that does what the test says.
    pub async fn agent(&self, name: &str) -> Agent {
        Agent::register(&self.url, REGISTRATION_TOKEN, name, &["self-hosted", name]).await.expect("registers")
    }

    /// The identity that a runner of this scene has, for calls in its name.
    pub fn identity(&self, runner: &str) -> Agent {
        let text = std::fs::read_to_string(self.folder().join(runner).join("identity.json")).expect("an identity");
        let identity: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let field = |name: &str| identity[name].as_str().expect("a string").to_owned();
        let (uuid, token) = (field("uuid"), field("token"));
        Agent { client: Client::new(&self.url, &token).expect("an address"), uuid, token }
    }

    /// A workflow file.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    }

    /// `millrace run --progress json FILE`, and the lines that it prints.
    pub fn millrace_run(&self, file: &Path) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut command = self.command(MILLRACE);
        command.args(["run", "--progress", "json", "--server", &self.url]).arg(file);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("millrace starts");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        (child, lines)
    }

    /// Starts a run.
    pub async fn run(&self, workflow: &str) -> Run {
        let request = RunRequest { workflow: workflow.to_owned(), ..Default::default() };
        self.try_run(request).await.expect("the run starts")
    }

    /// Starts a run, or says why not.
    pub async fn try_run(&self, request: RunRequest) -> Result<Run, tonic::Status> {
        Ok(self.client.pipelines().run(request).await?.into_inner().run.expect("a run"))
    }

    /// A run as it is now; None while the server is away.
    pub async fn get(&self, run: &str) -> Option<Run> {
        let request = GetRunRequest { run_id: run.to_owned() };
        match self.client.pipelines().get_run(request).await {
            Ok(answer) => answer.into_inner().run,
            Err(status) if status.code() == tonic::Code::NotFound => panic!("run {run} is not there: {status}"),
            Err(_) => None,
        }
    }

    /// A run once it is as wanted, over any absence of the server.
    pub async fn until(&self, run: &str, what: &str, wanted: impl Fn(&Run) -> bool) -> Run {
        eventually(what, async || self.get(run).await.filter(|run| wanted(run))).await
    }

    /// A run once it is over.
    pub async fn finished(&self, run: &str) -> Run {
        let over =
            |run: &Run| matches!(run.state(), State::Success | State::Failure | State::Cancelled | State::Skipped);
        self.until(run, "the run is over", over).await
    }

    /// All lines of a log.
    pub async fn log(&self, log_id: &str) -> Vec<String> {
        let mut rows = Vec::new();
        loop {
            let request = ReadLinesRequest {
                log_id: log_id.to_owned(),
                first_line: rows.len() as u64,
                max_lines: 100_000,
                max_bytes: 4 << 20,
                text: true,
                ..Default::default()
            };
            let answer = self.client.logs().read_lines(request).await.expect("the log can be read").into_inner();
            let (got, total) = (answer.rows.len(), answer.total_lines);
            rows.extend(answer.rows);
            if rows.len() as u64 >= total || got == 0 {
                return rows;
            }
        }
    }

    /// The processes of this scene that live.
    pub fn processes(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.mark).into_bytes();
        let marked = |pid: &u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark)
        };
        let names = std::fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.to_str()?.parse().ok()).filter(marked).collect()
    }

    /// What the processes wrote to standard error; for messages of tests that failed.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder().join("stderr")).unwrap_or_default()
    }

    /// Ends what runs, in order, and fails when anything is left over: a process, a workspace, a temporary file.
    pub async fn finish(self, server: ServerProgram, runners: Vec<Child>) {
        for mut runner in runners {
            let status = stop(&mut runner).await;
            assert_eq!(status.code(), Some(0), "the runner's end; it said: {}", self.said());
        }
        let mut server = server;
        signal("-TERM", server.pid().expect("the server runs"));
        let status = within("the server's end", server.ended()).await.expect("ends");
        assert_eq!(status.code(), Some(0), "the server's end; it said: {}", self.said());
        let left = self.processes();
        assert!(left.is_empty(), "left over: {:?}", left.iter().map(|pid| command_line(*pid)).collect::<Vec<_>>());
        for data in &self.runners {
            assert_empty(&data.join("work"));
            assert_empty(&data.join("temp"));
        }
        assert_empty(&self.folder().join("tmp"));
    }

    fn output_file(&self, name: &str) -> std::fs::File {
        let path = self.folder().join(name);
        std::fs::OpenOptions::new().create(true).append(true).open(path).expect("a file")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the processes of this test said:\n{}", self.said());
        }
        // Nothing is left of a test that failed, either. The mark is this scene's alone.
        for pid in self.processes() {
            signal("-KILL", pid);
        }
    }
}

/// Ends a program with SIGTERM and waits for it.
pub async fn stop(program: &mut Child) -> ExitStatus {
    signal("-TERM", program.id().expect("it runs"));
    within("the program's end", program.wait()).await.expect("ends")
}

/// Sends a signal to a process.
pub fn signal(signal: &str, pid: u32) {
    // It may have ended by itself in this moment.
    let _ended = std::process::Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Looks again and again until there is something.
pub async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(WAIT_MAX_SECONDS), found).await;
    found.unwrap_or_else(|_| panic!("waited {WAIT_MAX_SECONDS} s until {what}"))
}

/// A workflow of one job that prints `line 1` to `line N`, some each time, with a pause after it.
pub fn counting(lines: u32, each: u32, pause: &str) -> String {
    format!(
        "on: workflow_dispatch\njobs:\n  count:\n    runs-on: self-hosted\n    steps:\n      - shell: bash\n        run: |\n          \
         for ((i = 1; i <= {lines}; i++)); do\n            echo \"line $i\"\n            \
         if ((i % {each} == 0)); then sleep {pause}; fi\n          done\n"
    )
}

/// `line 1` to `line N`.
pub fn counted(lines: u32) -> Vec<String> {
    (1..=lines).map(|line| format!("line {line}")).collect()
}

/// The same, without what differs in thousands of lines when it is not.
pub fn assert_counted(what: &str, rows: &[String], lines: u32) {
    let rows: Vec<&String> = rows.iter().filter(|row| row.starts_with("line ")).collect();
    let wrong = rows.iter().zip(counted(lines)).position(|(row, wanted)| **row != wanted);
    assert!(
        wrong.is_none() && rows.len() == lines as usize,
        "{what}: {} lines of {lines}, the first that is wrong: {:?}",
        rows.len(),
        wrong.map(|place| rows[place.saturating_sub(2)..].iter().take(6).collect::<Vec<_>>()),
    );
}

/// A port that was free a moment ago, below those that the system gives to connections: while the server is away,
/// nobody else comes to have it.
async fn free_port() -> u16 {
    loop {
        let port = rand::random_range(PORTS);
        if tokio::net::TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return port;
        }
    }
}

/// The runner, built beside the server; built now when only the server's tests were asked for.
async fn runner_program() -> &'static Path {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    PROGRAM
        .get_or_init(|| async {
            let path = Path::new(MILLRACE).with_file_name("millrace-runner");
            if !path.is_file() {
                let build = Command::new(env!("CARGO")).args(["build", "-p", "millrace-runner"]).status().await;
                assert!(build.expect("cargo").success(), "the runner could not be built");
            }
            path
        })
        .await
}

fn command_line(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

fn assert_empty(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let left: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "left over: {left:?}");
}
