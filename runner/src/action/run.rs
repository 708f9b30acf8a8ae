//! The life of an action on this machine: inputs, a slot, the command, outputs, the last word. Knows nothing of polling.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buffa::Message as _;
use millrace_proto::bytestream::ByteStreamClient;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::{Action, ActionResult, Command, ExecuteResponse};
use millrace_proto::rpc::{Code, Status};
use millrace_proto::runner_v1::action_report::Stage;
use millrace_proto::runner_v1::fetch_task_request::Wants;
use millrace_proto::runner_v1::{ActionReport, ActionTask, FetchTaskResponse};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::disk::Disk;
use super::error::{ActionError, Result};
use super::inputs::{Inputs, Laid};
use super::live::Live;
use super::locate;
use super::outputs::{Finished, Outputs};
use super::process::{self, Bounds, Launch, NotRun, Ran, Stop};
use super::report::{Reporter, Standing};
use super::sandbox::{Ask, Sandbox, Sandboxed};
use super::spool::Spool;
use super::times::Times;
use crate::api::Api;
use crate::data_folder::remove_folder;
use crate::platform::Ended;
use crate::shutdown::Shutdown;
use crate::slots::Slots;
use crate::transport::Transport;

/// How many folders of ended actions may be waiting for their removal.
pub const REMOVALS_MAX: usize = 64;
/// The exit code of a command that a signal ended is this and the signal's number, as shells say.
const SIGNAL_EXIT_CODE: i32 = 128;
/// The longest timeout there is: what the clock can count.
const TIMEOUT_MAX_SECONDS: u64 = 365 * 24 * 60 * 60;
/// How much of what a sandbox says of itself is looked at.
const SANDBOX_WORDS_MAX_BYTES: usize = 4_096;

/// What all actions of a runner share. Cheap to clone.
#[derive(Clone)]
pub struct ActionHost {
    /// The server.
    pub api: Api,
    /// Lays out inputs.
    pub inputs: Inputs,
    /// Stores outputs.
    pub outputs: Outputs,
    /// Takes what is printed while it is printed.
    pub streams: ByteStreamClient<Transport>,
    /// What runs at once.
    pub slots: Slots,
    /// Where commands run, if there is one.
    pub sandbox: Option<Arc<Sandbox>>,
    /// Whether an action may do without it.
    pub sandbox_off_allowed: bool,
    /// The disk.
    pub disk: Disk,
    /// Where input roots are.
    pub work: PathBuf,
    /// Where spools are.
    pub temp: PathBuf,
    /// The runner's name.
    pub runner_name: String,
    /// Told when the runner is to end.
    pub shutdown: Shutdown,
    /// What goes on after the last word.
    pub background: TaskTracker,
    /// The folders that wait for their removal.
    pub removals: Arc<Semaphore>,
    /// Names folders.
    pub last: Arc<AtomicU64>,
}

/// Runs an action; answers the next task, when there is one already. `next` says what the runner could do with one.
pub async fn run(
    host: &ActionHost,
    task: ActionTask,
    next: impl FnOnce() -> Option<Wants>,
) -> Option<FetchTaskResponse> {
    let cancel = host.shutdown.kill_token();
    let reporter = Reporter::start(host.api.clone(), &task, cancel.clone());
    let mut run = Run::new(host, &task, &reporter, cancel);
    let done = run.whole().await;
    let (fetched, cached) = run.bytes;
    run.leave().await;
    if host.shutdown.is_killed() || reporter.standing() == Standing::Lost {
        tracing::warn!("action {}: dropped", task.execution_id);
        reporter.abandon();
        return None;
    }
    let mut report = ActionReport { input_fetched_bytes: fetched, input_cached_bytes: cached, ..Default::default() };
    let response = match done {
        Ok(response) => response,
        Err(error) => {
            let text = format!("action {}: {error}", task.execution_id);
            if error.gives_back() {
                tracing::warn!("{text}");
            } else {
                tracing::debug!("{text}");
            }
            report.give_back = error.gives_back();
            ExecuteResponse { status: error.status().into(), ..Default::default() }
        }
    };
    report.response = response.encode_to_vec();
    tokio::select! {
        next = reporter.finish(report, next()) => next,
        () = host.shutdown.killed() => None,
    }
}

struct Run<'a> {
    host: &'a ActionHost,
    task: &'a ActionTask,
    reporter: &'a Reporter,
    cancel: CancellationToken,
    root: PathBuf,
    out: Arc<Spool>,
    error: Arc<Spool>,
    times: Times,
    /// Inputs that were fetched, and that were here.
    bytes: (u64, u64),
}

/// The task's messages, read.
struct Asked {
    instance: InstanceName,
    function: DigestFunction,
    input_root: Digest,
    command: Command,
}

impl<'a> Run<'a> {
    fn new(host: &'a ActionHost, task: &'a ActionTask, reporter: &'a Reporter, cancel: CancellationToken) -> Self {
        let number = host.last.fetch_add(1, Ordering::Relaxed);
        let spool = |kind: &str| Arc::new(Spool::new(host.temp.join(format!("action-{number}.{kind}"))));
        let root = host.work.join(format!("action-{number}"));
        let times = Times::begin(task.queued_at_ms);
        Self { host, task, reporter, cancel, root, out: spool("out"), error: spool("err"), times, bytes: (0, 0) }
    }

    async fn whole(&mut self) -> Result<ExecuteResponse> {
        let asked = Asked::read(self.task)?;
        let properties = self.task.properties.iter().map(|property| (property.name.as_str(), property.value.as_str()));
        let ask = Ask::of(properties)?;
        let sandbox = self.host.sandbox.as_deref();
        let is_used = ask.decide(sandbox.is_some(), self.host.sandbox_off_allowed)?;
        let sandbox = sandbox.filter(|_| is_used);
        let launch = locate::launch(&asked.command, &self.root)?;
        let inputs = &self.host.inputs;
        let laid =
            inputs.materialise(&asked.instance, asked.input_root, &asked.command, &self.root, &self.cancel).await?;
        self.bytes = (laid.fetched_bytes, laid.cached_bytes);
        self.times.inputs_are_there();
        let ran = self.execute(launch, sandbox, &asked, ask).await?;
        self.conclude(&asked, &laid, ran).await
    }

    /// Waits for a slot and runs the command in it.
    async fn execute(
        &mut self,
        mut launch: Launch,
        sandbox: Option<&Sandbox>,
        asked: &Asked,
        ask: Ask,
    ) -> Result<(Ran, Live)> {
        let mut makes = Vec::new();
        let given = launch.clone();
        match sandbox {
            Some(sandbox) => {
                let wrapped = sandbox.wrap(launch, &self.root, &asked.command.working_directory, ask);
                (launch, makes) = (wrapped.launch, wrapped.makes);
            }
            None => launch.program = locate::program(&launch)?,
        }
        let mut slot = tokio::select! {
            slot = self.host.slots.action() => slot,
            () = self.cancel.cancelled() => return Err(ActionError::Cancelled),
        };
        self.reporter.stage(Stage::STAGE_EXECUTING);
        self.times.command_starts();
        let names =
            [(self.task.stdout_write_name.as_str(), &self.out), (self.task.stderr_write_name.as_str(), &self.error)];
        let live = Live::start(&self.host.streams, names);
        let share = self.host.disk.share(&self.root);
        let bounds = Bounds {
            timeout: timeout(self.task.timeout_ms),
            printed_max_bytes: self.host.disk.action_max_bytes(),
            cancel: &self.cancel,
            disk: &share,
        };
        let berth = slot.berth().ok_or_else(|| ActionError::Local("the slot has no place to run in".into()))?;
        let ran = process::run(berth, &launch, bounds, &self.out, &self.error).await;
        let has_started = !launch.has_status || Sandboxed::has_started(&berth.status());
        let took = self.times.command_has_ended();
        slot.took(took);
        drop(slot);
        Sandboxed::tidy(&makes);
        let failed = match ran {
            Ok(ran) => {
                let is_code = matches!(ran.over.ended, Some(Ended::Code(code)) if code != 0);
                if has_started || ran.stop.is_some() || !is_code {
                    return Ok((ran, live));
                }
                let printed = self.error.read(0, SANDBOX_WORDS_MAX_BYTES).unwrap_or_default();
                locate::not_started_in_sandbox(&given, &String::from_utf8_lossy(&printed))
            }
            Err(NotRun::NotStarted(error)) if sandbox.is_none() => locate::not_started(&launch, &error),
            Err(NotRun::NotStarted(error) | NotRun::Local(error)) => {
                ActionError::Local(format!("running the command: {error}"))
            }
        };
        self.let_go(live);
        Err(failed)
    }

    /// Ends streams that began, but nobody waits for that.
    fn let_go(&self, live: Live) {
        self.host.background.spawn(async move {
            if let Some(streams) = live.finish().await {
                Live::linger(streams).await;
            }
        });
    }

    /// From the command's end to the response.
    async fn conclude(&mut self, asked: &Asked, laid: &Laid, (ran, live): (Ran, Live)) -> Result<ExecuteResponse> {
        if ran.over.left > 0 {
            tracing::warn!("action {}: {} processes could not be killed", self.task.execution_id, ran.over.left);
        }
        let failed = match &ran.stop {
            Some(Stop::Cancelled) => Err(ActionError::Cancelled),
            Some(Stop::Exhausted(why)) => Err(ActionError::Exhausted(why.clone())),
            _ => self.host.inputs.check_untouched(laid).await,
        };
        if let Err(error) = failed {
            self.let_go(live);
            return Err(error);
        }
        let status = match ran.stop {
            Some(Stop::TimedOut) => Some(Status {
                code: Code::DEADLINE_EXCEEDED as i32,
                message: format!(
                    "the command ran longer than its timeout of {} ms and was killed",
                    self.task.timeout_ms
                ),
                ..Default::default()
            }),
            _ => None,
        };
        self.reporter.stage(Stage::STAGE_OUTPUT_UPLOAD);
        let finished = Finished {
            root: &self.root,
            command: &asked.command,
            instance: &asked.instance,
            function: asked.function,
            stdout: &self.out,
            stderr: &self.error,
        };
        let (result, lingering) = tokio::join!(self.host.outputs.store(finished, &self.cancel), live.finish());
        if let Some(streams) = lingering {
            self.host.background.spawn(Live::linger(streams));
        }
        let (exit_code, message) = exit(ran.over.ended);
        let metadata = self.times.metadata(&self.host.runner_name);
        let result = ActionResult { exit_code, execution_metadata: metadata.into(), ..result? };
        Ok(ExecuteResponse { result: result.into(), status: status.into(), message, ..Default::default() })
    }

    /// The folder goes, but nobody waits for that.
    async fn leave(self) {
        let Ok(permit) = Arc::clone(&self.host.removals).acquire_owned().await else { return };
        let root = self.root;
        self.host.background.spawn_blocking(move || {
            if let Err(error) = remove_folder(&root) {
                tracing::warn!("{}: could not be removed: {error}", root.display());
            }
            drop(permit);
        });
    }
}

impl Asked {
    fn read(task: &ActionTask) -> Result<Self> {
        let unread = |field: &str, error: &dyn std::fmt::Display| ActionError::invalid(field, error.to_string());
        let instance = InstanceName::parse(&task.instance_name).map_err(|error| unread("instance_name", &error))?;
        let function = DigestFunction::from_wire_or_infer(task.digest_function, task.action_hash.len());
        let function = function.map_err(|error| unread("digest_function", &error))?;
        let action = Action::decode_from_slice(&task.action).map_err(|error| unread("action", &error))?;
        let command = Command::decode_from_slice(&task.command).map_err(|error| unread("command", &error))?;
        let root = action.input_root_digest.as_option();
        let root = root.ok_or_else(|| ActionError::invalid("action.input_root_digest", "it is not set"))?;
        let input_root = Digest::parse(function, &root.hash, root.size_bytes);
        let input_root = input_root.map_err(|error| unread("action.input_root_digest", &error))?;
        Ok(Self { instance, function, input_root, command })
    }
}

/// How long a command may run; no limit is a long one.
fn timeout(ms: u64) -> Duration {
    let longest = Duration::from_secs(TIMEOUT_MAX_SECONDS);
    if ms == 0 { longest } else { Duration::from_millis(ms).min(longest) }
}

/// Exit code and message of an end.
fn exit(ended: Option<Ended>) -> (i32, String) {
    match ended {
        Some(Ended::Code(code)) => (code, String::new()),
        Some(Ended::Signal(signal)) => (SIGNAL_EXIT_CODE + signal, format!("the command was ended by signal {signal}")),
        None => (SIGNAL_EXIT_CODE + 9, "the command was killed and did not end".to_owned()),
    }
}
