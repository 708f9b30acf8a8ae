//! A task from its content to its last word: folders, actions in order, outputs, cleaning. Knows nothing of where
//! tasks come from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_proto::expression::Status;
use millrace_proto::runner_v1::fetch_task_request::Wants;
use millrace_proto::runner_v1::{ActionState, FetchTaskResponse, UpdateLogRequest, UpdateTaskRequest};
use millrace_proto::task_content::{SCHEMA, TaskContent};
use tokio::task::JoinSet;

use super::action;
use super::contexts::JobContexts;
use super::environment::Environment;
use super::process::Processes;
use super::report::{Final, Reporter};
use super::stop::{Stop, StopSwitch, Verdict};
use crate::api::Api;
use crate::data_folder::{DataFolder, TaskFolders};
use crate::logs::{Budget, LogWriter, Masks, Upload, UploadTarget, not_masked, now_ms};
use crate::shutdown::Shutdown;
use crate::slots::Slots;

/// The grace of a cancelled job where the task names none.
pub const CANCEL_GRACE_DEFAULT_MS: u64 = 10_000;
/// The most that the outputs of a job may take, as JSON; the server's limit.
pub const OUTPUTS_MAX_BYTES: usize = 1024 * 1024;

/// What all jobs of a runner share.
#[derive(Clone)]
pub struct JobHost {
    /// The server.
    pub api: Api,
    /// Where workspaces are.
    pub data: DataFolder,
    /// The runner's name.
    pub runner_name: String,
    /// The runner's identity.
    pub runner_uuid: String,
    /// Variables passed on to jobs beyond the usual ones.
    pub pass_env: Vec<String>,
    /// Told when the runner is to end.
    pub shutdown: Shutdown,
    /// It leaves after one task.
    pub ephemeral: bool,
    /// What runs at once.
    pub slots: Slots,
    /// What it asks for when a job is over.
    pub wants: Wants,
}

/// A job that runs.
pub struct Job {
    pub(super) host: JobHost,
    pub(super) content: TaskContent,
    pub(super) folders: TaskFolders,
    pub(super) stop: StopSwitch,
    pub(super) masks: Arc<Masks>,
    pub(super) contexts: JobContexts,
    pub(super) host_environment: Environment,
    /// What actions left in GITHUB_ENV.
    pub(super) exported: BTreeMap<String, String>,
    /// What actions left in GITHUB_PATH.
    pub(super) paths: Vec<String>,
    pub(super) processes: Processes,
    budget: Budget,
    uploads: Vec<Upload>,
    reporter: Reporter,
    failure: Option<String>,
    /// What to say in the next log that is opened.
    pub(super) warnings: Vec<String>,
}

/// Runs a task; answers the next one, when there is one already.
pub async fn run(host: JobHost, task: FetchTaskResponse) -> Option<FetchTaskResponse> {
    let content = match serde_json::from_str::<TaskContent>(&task.content) {
        Ok(content) => content,
        Err(error) => {
            tracing::error!("a task that cannot be read: content: {error}");
            let address = serde_json::from_str::<Address>(&task.content).ok()?;
            return refuse(host, address.content(), format!("content: {error}")).await;
        }
    };
    if content.schema > SCHEMA {
        let (found, version) = (content.schema, crate::api::VERSION);
        let text = format!("the task has schema {found}; this runner ({version}) knows up to {SCHEMA}: update it");
        return refuse(host, content, text).await;
    }
    let name = format!("{} {}", content.tx_uuid, content.key);
    tracing::info!("{name}: starts");
    let fallback = workspace_name(&content);
    let folders = match host.data.task(&task.clean, &fallback) {
        Ok(folders) => folders,
        Err(error) => return refuse(host, content, format!("the workspace could not be made: {error}")).await,
    };
    let mut job = Job::new(host, content, folders);
    let mut timers = job.start_timers();
    // It has its lease and is heard of; should its slot have been taken by an action meanwhile, it waits for that one.
    let slot = tokio::select! {
        slot = job.host.slots.job() => Some(slot),
        () = job.stopped() => None,
    };
    job.run_actions().await;
    drop(slot);
    let next = job.finish(&name).await;
    timers.abort_all();
    next
}

impl Job {
    fn new(host: JobHost, content: TaskContent, folders: TaskFolders) -> Self {
        let stop = StopSwitch::default();
        let masks = Arc::new(Masks::default());
        let refused = masks.add_all(content.masks.iter().map(String::as_str));
        let mut warnings = refused.into_iter().map(not_masked).collect::<Vec<_>>();
        warnings.dedup();
        let mark = format!("{}/{}", host.runner_uuid, uuid::Uuid::new_v4().simple());
        let grace = grace_ms(&content);
        let reporter = Reporter::start(host.api.clone(), address(&content), content.lease_ms, now_ms(), stop.clone());
        let contexts = content.contexts.clone();
        Self {
            contexts: JobContexts::new(contexts, &host.runner_name, &folders.workspace, &folders.runner_temp),
            host_environment: Environment::of_host(&host.pass_env),
            processes: Processes::new(mark, stop.clone(), grace),
            exported: BTreeMap::new(),
            paths: Vec::new(),
            budget: Budget::default(),
            uploads: Vec::new(),
            failure: None,
            host,
            content,
            folders,
            stop,
            masks,
            reporter,
            warnings,
        }
    }

    /// Opens the log of an action.
    pub(super) fn open_log(&mut self, action: u32) -> LogWriter {
        let content = &self.content;
        let address = UpdateLogRequest {
            tx_uuid: content.tx_uuid.clone(),
            stage_idx: content.stage_idx,
            step_row_idx: content.step_row_idx,
            step_idx: content.step_idx,
            action_idx: action,
            epoch: content.epoch,
            ..Default::default()
        };
        let target = UploadTarget { api: self.host.api.clone(), address, stop: self.stop.clone() };
        let (log, upload) = LogWriter::open(target, self.budget.clone(), Arc::clone(&self.masks));
        self.uploads.push(upload);
        log
    }

    /// Tells the server of an action.
    pub(super) fn report(&self, state: ActionState) {
        self.reporter.action(state);
    }

    /// An action failed, and nothing forgave it.
    pub(super) fn failed(&mut self, message: String) {
        self.failure.get_or_insert(message);
    }

    /// What ends the job from outside: its timeout, the end of the grace, the end of the runner.
    fn start_timers(&self) -> JoinSet<()> {
        let mut timers = JoinSet::new();
        if let Some(ms) = self.content.timeout_ms {
            let (stop, limit) = (self.stop.clone(), Duration::from_millis(ms));
            timers.spawn(async move {
                tokio::time::sleep(limit).await;
                let text = format!("the job took longer than its limit of {}", action::shown(limit));
                stop.raise(Stop::Cancel, Verdict::Failure, &text);
            });
        }
        let (stop, grace) = (self.stop.clone(), Duration::from_millis(grace_ms(&self.content)));
        timers.spawn(async move {
            stop.subscribe().reached(Stop::Cancel).await;
            tokio::time::sleep(grace).await;
            stop.raise(Stop::Kill, Verdict::Cancelled, "its grace is over");
        });
        let (stop, shutdown) = (self.stop.clone(), self.host.shutdown.clone());
        timers.spawn(async move {
            shutdown.killed().await;
            stop.raise(Stop::Lost, Verdict::Failure, "the runner was killed");
        });
        timers
    }

    async fn stopped(&self) {
        self.stop.subscribe().reached(Stop::Cancel).await;
    }

    async fn run_actions(&mut self) {
        for action in std::mem::take(&mut self.content.actions) {
            self.contexts.set_status(if self.stop.now() >= Stop::Cancel {
                Status::CANCELLED
            } else if self.failure.is_some() {
                Status::FAILURE
            } else {
                Status::SUCCESS
            });
            action::run(self, &action).await;
            if self.stop.now() >= Stop::Lost {
                return;
            }
        }
    }

    /// Nothing is left running, every row is with the server, then the last word; then the folders go.
    async fn finish(mut self, name: &str) -> Option<FetchTaskResponse> {
        let left = self.processes.sweep().await;
        for upload in std::mem::take(&mut self.uploads) {
            upload.finished().await;
        }
        if self.stop.now() >= Stop::Lost {
            let why = self.stop.cause().map(|(_, reason)| reason).unwrap_or_default();
            tracing::warn!("{name}: dropped: {why}");
            self.reporter.abandon().await;
            self.folders.remove().await;
            return None;
        }
        let (state, mut messages) = match (self.stop.cause(), self.failure.take()) {
            (Some((Verdict::Cancelled, reason)), _) => ("cancelled", vec![reason]),
            (Some((Verdict::Failure, reason)), _) => ("failure", vec![reason]),
            (None, Some(message)) => ("failure", vec![message]),
            (None, None) => ("success", Vec::new()),
        };
        if left > 0 {
            messages.push(format!("{left} processes of the job could not be killed"));
        }
        let (outputs, wrong) = self.outputs();
        let state = if state == "success" && wrong.iter().any(|one| one.fails) { "failure" } else { state };
        messages.extend(wrong.into_iter().map(|one| one.text));
        let last = Final {
            state,
            end_time: now_ms(),
            message: self.masks.text(&messages.join("\n")),
            outputs,
            do_next: !self.host.ephemeral && !self.host.shutdown.is_draining(),
            wants: self.host.wants,
        };
        let next = self.reporter.finish(last).await;
        self.folders.remove().await;
        tracing::info!("{name}: {state}");
        next
    }

    /// The job's outputs as JSON, and what is wrong with some.
    fn outputs(&mut self) -> (String, Vec<Wrong>) {
        let (mut outputs, mut wrong) = (BTreeMap::new(), Vec::new());
        for (name, template) in &self.content.outputs {
            match self.contexts.text(template) {
                Ok(value) if self.masks.is_in(&value) => {
                    let text = format!("output `{name}` was left out: it holds a masked value");
                    wrong.push(Wrong { text, fails: false });
                }
                Ok(value) => {
                    outputs.insert(name, value);
                }
                Err(error) => wrong.push(Wrong { text: format!("output `{name}`: {error}"), fails: true }),
            }
        }
        if outputs.is_empty() {
            return (String::new(), wrong);
        }
        let json = serde_json::to_string(&outputs).unwrap_or_default();
        if json.len() > OUTPUTS_MAX_BYTES {
            let text = format!("the job's outputs have {} bytes, over the limit of {OUTPUTS_MAX_BYTES}", json.len());
            wrong.push(Wrong { text, fails: true });
            return (String::new(), wrong);
        }
        (json, wrong)
    }
}

struct Wrong {
    text: String,
    fails: bool,
}

/// The part of a task that even an unreadable one may have.
#[derive(serde::Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Address {
    tx_uuid: String,
    stage_idx: u32,
    step_row_idx: u32,
    step_idx: u32,
    epoch: u64,
}

impl Address {
    fn content(self) -> TaskContent {
        TaskContent {
            tx_uuid: self.tx_uuid,
            stage_idx: self.stage_idx,
            step_row_idx: self.step_row_idx,
            step_idx: self.step_idx,
            epoch: self.epoch,
            ..Default::default()
        }
    }
}

/// Fails a task that cannot be run at all.
async fn refuse(host: JobHost, content: TaskContent, text: String) -> Option<FetchTaskResponse> {
    tracing::error!("{} {}: {text}", content.tx_uuid, content.key);
    let now = now_ms();
    let reporter = Reporter::start(host.api.clone(), address(&content), content.lease_ms, now, StopSwitch::default());
    let last = Final {
        state: "failure",
        end_time: now,
        message: text,
        outputs: String::new(),
        do_next: false,
        wants: Wants::WANTS_UNSPECIFIED,
    };
    let shutdown = host.shutdown;
    tokio::select! {
        next = reporter.finish(last) => next,
        () = shutdown.killed() => None,
    }
}

fn address(content: &TaskContent) -> UpdateTaskRequest {
    UpdateTaskRequest {
        tx_uuid: content.tx_uuid.clone(),
        stage_idx: content.stage_idx,
        step_row_idx: content.step_row_idx,
        step_idx: content.step_idx,
        epoch: content.epoch,
        ..Default::default()
    }
}

fn workspace_name(content: &TaskContent) -> String {
    let run = content.tx_uuid.chars().filter(char::is_ascii_alphanumeric).take(64).collect::<String>();
    format!("{run}-{}-{}-{}-{}", content.stage_idx, content.step_row_idx, content.step_idx, content.epoch)
}

fn grace_ms(content: &TaskContent) -> u64 {
    if content.cancel_grace_ms == 0 { CANCEL_GRACE_DEFAULT_MS } else { content.cancel_grace_ms }
}
