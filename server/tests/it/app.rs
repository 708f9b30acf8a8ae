//! A real server in this process, on a free port, with a data folder of its own; and, where a test wants them, real
//! runners. Ends with `close`, which fails when anything is left over.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millrace_bench::wire::millrace_v1::log_service_client::LogServiceClient;
use millrace_bench::wire::millrace_v1::pipeline_service_client::PipelineServiceClient;
use millrace_bench::wire::millrace_v1::runner_service_client::RunnerServiceClient as AdminClient;
use millrace_bench::wire::millrace_v1::{GetRunRequest, Run, RunRequest, State, WatchRunRequest};
use millrace_bench::wire::runner_v1::runner_service_client::RunnerServiceClient as AgentClient;
use millrace_runner::{Config as RunnerConfig, Shutdown};
use millrace_server::app::App;
use millrace_server::auth::{Issue, Role};
use millrace_server::config::{Config, RawCacheConfig, RawExecutionConfig, RawLogConfig, TlsFiles};
use millrace_server::serve;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

/// The longest any single thing may take, in seconds: a busy machine is no failure, a hang is.
const WAIT_MAX_SECONDS: u64 = 60;
/// A server that takes longer to end has waited for somebody who did not go, in seconds.
const END_MAX_SECONDS: u64 = 9;
const HOUR_MS: i64 = 3_600_000;

/// What a test server is to be.
pub struct Options {
    /// As `millrace dev`: anybody may do anything.
    pub open: bool,
    /// How long a runner may be silent, in milliseconds.
    pub lease_ms: i64,
    /// A preset registration token.
    pub registration_token: Option<String>,
    /// Certificate and key.
    pub tls: Option<TlsFiles>,
    /// The remote cache.
    pub cache: RawCacheConfig,
    /// Remote execution.
    pub execution: RawExecutionConfig,
    /// The log room.
    pub logs: RawLogConfig,
    /// What a named log is shortened by, in bytes; None: as in earnest.
    pub log_segment_bytes: Option<u64>,
    /// How long a stream of operations says nothing at most, in milliseconds; None: as in earnest.
    pub keep_alive_ms: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            open: true,
            lease_ms: 45_000,
            registration_token: None,
            tls: None,
            cache: RawCacheConfig::default(),
            execution: RawExecutionConfig::default(),
            logs: RawLogConfig::default(),
            log_segment_bytes: None,
            keep_alive_ms: None,
        }
    }
}

/// A server under test.
pub struct TestApp {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// What it is made of.
    pub app: Arc<App>,
    /// What clients of this fixture send as their token; none on an open server.
    pub admin: Option<String>,
    channel: Channel,
    folder: Option<TempDir>,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
    runners: Vec<TestRunner>,
}

/// A runner in this process.
pub struct TestRunner {
    /// Its data folder.
    pub data: PathBuf,
    /// Its switch.
    pub shutdown: Shutdown,
    running: JoinHandle<Result<millrace_runner::Exit, millrace_runner::Error>>,
}

/// A tonic channel that sends a token.
pub type Wire = InterceptedService<Channel, Bearer>;

impl TestApp {
    /// As `millrace dev` is, without its runner.
    pub async fn open() -> Self {
        Self::start(Options::default()).await
    }

    /// As `millrace serve` is: everybody needs a token.
    pub async fn with_tokens() -> Self {
        Self::start(Options { open: false, ..Options::default() }).await
    }

    /// A server with these options and an empty data folder.
    pub async fn start(options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut execution = options.execution.resolve().expect("settings of remote execution");
        if let Some(ms) = options.keep_alive_ms {
            execution.keep_alive = Duration::from_millis(ms);
        }
        let mut logs = options.logs.resolve().expect("settings of the log room");
        if let Some(bytes) = options.log_segment_bytes {
            logs.segment_bytes = bytes;
        }
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: folder.path().join("data"),
            database: folder.path().join("data").join(millrace_server::app::DATABASE_FILE),
            tls: options.tls,
            registration_token: options.registration_token,
            open: options.open,
            lease_ms: options.lease_ms,
            cache: options.cache.resolve().expect("settings of the cache"),
            execution,
            logs,
        };
        let server = serve::open(&config).await.expect("the server opens");
        let (url, app) = (server.url.clone(), Arc::clone(&server.app));
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.run(stop.clone()));
        let channel = Endpoint::from_shared(url.clone()).expect("an address").connect_lazy();
        let mut test = Self {
            url,
            app,
            admin: None,
            channel,
            folder: Some(folder),
            stop,
            serving: Some(serving),
            runners: Vec::new(),
        };
        if !options.open {
            test.admin = Some(test.token(Role::Admin).await);
        }
        test
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.url.split_once("://").expect("a scheme").1
    }

    /// The server's data folder.
    pub fn data(&self) -> PathBuf {
        self.scratch().join("data")
    }

    /// A folder that goes when the test ends.
    pub fn scratch(&self) -> &Path {
        self.folder.as_ref().expect("not closed").path()
    }

    /// An API token with this role, for all projects.
    pub async fn token(&self, role: Role) -> String {
        self.token_for(role, "").await
    }

    /// An API token with this role, for one project.
    pub async fn token_for(&self, role: Role, project: &str) -> String {
        let issue =
            Issue { label: format!("test {}", role.word()), role, project: project.to_owned(), ttl_ms: HOUR_MS };
        self.app.gate.tokens.issue(issue).await.expect("a token")
    }

    /// A registration token for one runner, as `millrace token create --role runner` makes.
    pub async fn registration_token(&self) -> String {
        self.app.runners.create_registration_token(false, HOUR_MS).await.expect("a registration token").0
    }

    /// What the fixture's clients talk through, with the administrator's token if one is needed.
    pub fn wire(&self) -> Wire {
        self.wire_with(self.admin.as_deref())
    }

    /// The same with another token, or none.
    pub fn wire_with(&self, token: Option<&str>) -> Wire {
        InterceptedService::new(self.channel.clone(), Bearer(token.map(ToOwned::to_owned)))
    }

    /// Runs, by gRPC.
    pub fn pipelines(&self) -> PipelineServiceClient<Wire> {
        PipelineServiceClient::new(self.wire()).accept_compressed(tonic::codec::CompressionEncoding::Gzip)
    }

    /// Logs, by gRPC.
    pub fn logs(&self) -> LogServiceClient<Wire> {
        LogServiceClient::new(self.wire())
    }

    /// Administration of runners, by gRPC.
    pub fn runner_admin(&self) -> AdminClient<Wire> {
        AdminClient::new(self.wire())
    }

    /// The runner protocol, by gRPC, with a runner token or none.
    pub fn agent(&self, token: Option<&str>) -> AgentClient<Wire> {
        AgentClient::new(self.wire_with(token))
    }

    /// Starts a run of a workflow.
    pub async fn run(&self, workflow: &str) -> Run {
        self.try_run(RunRequest { workflow: workflow.into(), ..Default::default() }).await.expect("the run starts")
    }

    /// Starts a run, or says why not.
    pub async fn try_run(&self, request: RunRequest) -> Result<Run, tonic::Status> {
        Ok(self.pipelines().run(request).await?.into_inner().run.expect("a run"))
    }

    /// A run as it is now.
    pub async fn get(&self, id: &str) -> Run {
        let request = GetRunRequest { run_id: id.into() };
        self.pipelines().get_run(request).await.expect("the run").into_inner().run.expect("a run")
    }

    /// A run once it is as wanted; WatchRun tells.
    pub async fn wait(&self, id: &str, what: &str, wanted: impl Fn(&Run) -> bool) -> Run {
        let watched = async {
            let request = WatchRunRequest { run_id: id.into() };
            let mut stream = self.pipelines().watch_run(request).await.expect("a watch").into_inner();
            let mut last = None;
            while let Some(message) = stream.message().await.expect("the watch goes on") {
                let Some(run) = message.run else { continue };
                if wanted(&run) {
                    return run;
                }
                last = Some(run);
            }
            panic!("the run ended and was never {what}: {last:#?}");
        };
        within(what, watched).await
    }

    /// A run once it is final.
    pub async fn finished(&self, id: &str) -> Run {
        let is_final = |state| matches!(state, State::Success | State::Failure | State::Cancelled | State::Skipped);
        self.wait(id, "finished", |run| is_final(run.state())).await
    }

    /// Starts a real runner in this process and waits until the server knows it.
    pub async fn start_runner(&mut self, slots: u32, labels: &[&str]) -> &TestRunner {
        let data = self.scratch().join(format!("runner-{}", self.runners.len()));
        let mut config = RunnerConfig::new(self.url.clone(), &data);
        config.token = Some(self.registration_token().await);
        config.name = format!("test-{}", self.runners.len());
        config.labels = labels.iter().map(|label| (*label).to_owned()).collect();
        config.slots = slots;
        // The nurseries of actions are a program of their own; this test is none.
        config.actions.program = Some(env!("CARGO_BIN_EXE_millrace").into());
        let shutdown = Shutdown::new();
        let running = tokio::spawn(millrace_runner::run(config, shutdown.clone()));
        self.runners.push(TestRunner { data, shutdown, running });
        self.runners.last().expect("just pushed")
    }

    /// Stops the server as SIGTERM would, without waiting for its end.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Ends runners and server in order; fails when anything is left over.
    pub async fn close(mut self) {
        for runner in std::mem::take(&mut self.runners) {
            runner.shutdown.drain();
            let ended = within("the runner's end", runner.running).await.expect("no panic in the runner");
            ended.expect("the runner ends well");
            assert_empty(&runner.data.join("work"));
            assert_empty(&runner.data.join("temp"));
        }
        self.stop.cancel();
        let serving = self.serving.take().expect("not closed yet");
        let ended = tokio::time::timeout(Duration::from_secs(END_MAX_SECONDS), serving).await;
        ended.expect("the server ends within the time").expect("no panic in the server");
        let folder = self.folder.take().expect("not closed yet");
        assert_no_process_in(folder.path());
        let path = folder.path().to_owned();
        folder.close().expect("the folder can be removed");
        assert!(!path.exists());
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        for runner in &self.runners {
            runner.shutdown.kill();
        }
        let closed = self.folder.is_none();
        assert!(closed || std::thread::panicking(), "the test did not close its server");
    }
}

/// The same to any server: it connects with the first call, and again after a connection was lost.
pub fn wire_to(url: &str, token: &str) -> Wire {
    let channel = Endpoint::from_shared(url.to_owned()).expect("an address").connect_lazy();
    InterceptedService::new(channel, Bearer(Some(token.to_owned())))
}

/// Sends a token with each call.
#[derive(Clone)]
pub struct Bearer(Option<String>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(token) = &self.0 {
            let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a header value");
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// What a future gives, which must not take forever.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(WAIT_MAX_SECONDS), future).await;
    waited.unwrap_or_else(|_| panic!("waited {WAIT_MAX_SECONDS} s for: {what}"))
}

/// Waits until something is so that nobody tells of.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    within(what, async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while !is_so() {
            look.tick().await;
        }
    })
    .await;
}

fn assert_empty(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let left: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "left over: {left:?}");
}

/// No process works in the folder any more. (Where /proc is, which is where this suite runs.)
fn assert_no_process_in(folder: &Path) {
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        let cwd = std::fs::read_link(process.path().join("cwd"));
        if cwd.is_ok_and(|cwd| cwd.starts_with(folder)) {
            let command = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            panic!("left over: process {}: {}", process.path().display(), command.replace('\0', " "));
        }
    }
}
