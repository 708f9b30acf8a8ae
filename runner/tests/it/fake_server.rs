//! A server of the runner protocol in memory: hands out the tasks it is given, keeps all it hears, and loses answers,
//! refuses and restarts on command. Knows nothing of what a task should lead to.

#![allow(refining_impl_trait)]

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use millrace_proto::runner_v1 as wire;
use millrace_proto::runner_v1::fetch_task_request::Wants;
use millrace_proto::runner_v1::{RunnerService, RunnerServiceExt};
use millrace_proto::task_content::TaskContent;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::fake_cas::FakeCas;

/// How long a test waits for something that must come.
pub const WAIT_MAX_SECONDS: u64 = 60;

/// One stored row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    pub text: String,
    pub time_ms: i64,
    pub stderr: bool,
    /// Its line goes on in the next row.
    pub goes_on: bool,
}

/// One stored log.
#[derive(Clone, Debug, Default)]
pub struct StoredLog {
    pub rows: Vec<StoredRow>,
    pub no_more: bool,
}

/// All that was heard, and how to answer.
#[derive(Default)]
pub struct Heard {
    pub registrations: Vec<wire::RegisterRequest>,
    pub declarations: Vec<wire::DeclareRequest>,
    pub fetches: Vec<wire::FetchTaskRequest>,
    pub updates: Vec<wire::UpdateTaskRequest>,
    pub log_calls: u64,
    /// So many pieces at the end of an open line are not taken before more has come.
    pub keep_pieces: usize,
    pub logs: BTreeMap<(String, u32), StoredLog>,
    /// Final states by run.
    pub finals: BTreeMap<String, wire::UpdateTaskRequest>,
    /// Every action as it was last reported.
    pub actions: BTreeMap<(String, u32), wire::ActionState>,
    tokens: BTreeSet<String>,
    queue: VecDeque<wire::FetchTaskResponse>,
    handed_out: HashMap<String, wire::FetchTaskResponse>,
    pub cancelled: BTreeSet<String>,
    pub terminated: BTreeSet<String>,
    pub taken_away: BTreeSet<String>,
    pub lose_fetch_answers: u32,
    pub lose_log_answers: u32,
    pub refuse_log_calls: u32,
    pub other_bytes: bool,
    pub hold_log_calls: bool,
    /// Actions that a runner was given, and what it said of each: the stages, and the end.
    pub action_reports: BTreeMap<String, Vec<wire::ActionReport>>,
    pub action_ends: BTreeMap<String, wire::UpdateTaskRequest>,
}

/// The server.
pub struct FakeServer {
    inner: Arc<Inner>,
    address: SocketAddr,
    serving: Option<JoinHandle<()>>,
    /// Where inputs are and outputs go; served at the same address.
    pub cas: Arc<FakeCas>,
}

struct Inner {
    heard: Mutex<Heard>,
    changed: watch::Sender<u64>,
}

impl FakeServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let inner = Arc::new(Inner { heard: Mutex::default(), changed: watch::Sender::new(0) });
        let cas = Arc::new(FakeCas::start().await);
        let serving = Some(serve(Arc::clone(&inner), &cas, listener));
        Self { inner, address, serving, cas }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.inner.heard()
    }

    /// Queues a task; the workspace has the run's name.
    pub fn give(&self, content: &TaskContent) {
        let content_json = serde_json::to_string(content).expect("JSON");
        self.give_raw(content_json, &content.tx_uuid);
    }

    pub fn give_raw(&self, content: String, clean: &str) {
        let task = wire::FetchTaskResponse { success: true, content, clean: clean.to_owned(), ..Default::default() };
        self.heard().queue.push_back(task);
        self.inner.tell();
    }

    /// Queues an action.
    pub fn give_action(&self, action: wire::ActionTask) {
        let task = wire::FetchTaskResponse { success: true, action: action.into(), ..Default::default() };
        self.heard().queue.push_back(task);
        self.inner.tell();
    }

    /// The last word on an action.
    pub async fn action_end(&self, execution: &str) -> wire::ActionReport {
        let what = format!("the end of action {execution}");
        let end = self.wait_for(&what, |heard| heard.action_ends.get(execution).cloned()).await;
        end.action.into_option().expect("a report")
    }

    /// Changes how it answers.
    pub fn set(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.heard());
        self.inner.tell();
    }

    /// Forgets every runner token.
    pub fn forget_runners(&self) {
        self.set(|heard| heard.tokens.clear());
    }

    /// Waits until `look` finds something.
    pub async fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&Heard) -> Option<T>) -> T {
        let mut changed = self.inner.changed.subscribe();
        let found = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = look(&self.heard()) {
                    return found;
                }
                changed.changed().await.expect("the server lives");
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(WAIT_MAX_SECONDS), found).await;
        waited.unwrap_or_else(|_| {
            panic!("waited {WAIT_MAX_SECONDS} s in vain for {what}; logs: {:#?}", self.heard().logs)
        })
    }

    /// The last word on a run.
    pub async fn final_state(&self, run: &str) -> wire::StepState {
        let last = self.wait_for(&format!("the end of {run}"), |heard| heard.finals.get(run).cloned()).await;
        last.state.into_option().expect("has a state")
    }

    /// Waits for a row.
    pub async fn row(&self, run: &str, text: &str) {
        self.wait_for(&format!("row {text:?} of {run}"), |heard| {
            heard
                .logs
                .iter()
                .any(|((of, _), log)| of == run && log.rows.iter().any(|row| row.text == text))
                .then_some(())
        })
        .await;
    }

    /// The rows of an action's log, without the header.
    pub fn rows(&self, run: &str, action: u32) -> Vec<StoredRow> {
        let heard = self.heard();
        let rows = &heard.logs.get(&(run.to_owned(), action)).expect("a log").rows;
        let end = rows.iter().position(|row| row.text == "##[endgroup]").map_or(0, |at| at + 1);
        rows[end..].to_vec()
    }

    pub fn texts(&self, run: &str, action: u32) -> Vec<String> {
        self.rows(run, action).into_iter().map(|row| row.text).collect()
    }

    /// Cuts every connection and refuses new ones.
    pub async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Aborted: the error is the sign that it is gone.
            let _aborted = serving.await;
        }
    }

    /// Serves again at the same address, with all it knew.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("binds again");
        self.serving = Some(serve(Arc::clone(&self.inner), &self.cas, listener));
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

fn serve(inner: Arc<Inner>, cas: &FakeCas, listener: TcpListener) -> JoinHandle<()> {
    let router = Arc::new(Service(inner));
    let router = cas.routes(RunnerServiceExt::register(router, connectrpc::Router::new()));
    let limits = connectrpc::Limits::default().with_max_request_body_size(1 << 30).with_max_message_size(16 << 20);
    let app = axum::Router::new().fallback_service(router.into_axum_service().with_limits(limits));
    tokio::spawn(async move {
        // Dropped with this task: every connection is cut.
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let service = TowerToHyperService::new(app.clone());
            connections.spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                // A connection that is cut is what some tests are about.
                let _cut = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

impl Inner {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_modify(|generation| *generation += 1);
    }

    fn authorise(&self, ctx: &RequestContext, token: &str) -> Result<(), ConnectError> {
        let header = ctx.header("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let header = header.strip_prefix("Bearer ").unwrap_or_default();
        let token = if token.is_empty() { header } else { token };
        if self.heard().tokens.contains(token) {
            return Ok(());
        }
        Err(ConnectError::unauthenticated("no such runner"))
    }
}

struct Service(Arc<Inner>);

fn lost() -> ConnectError {
    ConnectError::unavailable("the answer was lost")
}

impl RunnerService for Service {
    async fn ping(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::PingRequest>,
    ) -> ServiceResult<wire::PingResponse> {
        Response::ok(wire::PingResponse { data: request.data.to_owned(), ..Default::default() })
    }

    async fn register(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::RegisterRequest>,
    ) -> ServiceResult<wire::RegisterResponse> {
        let request = request.to_owned_message();
        if request.token != "registration" {
            return Err(ConnectError::unauthenticated("token: not known"));
        }
        let uuid = uuid::Uuid::new_v4().to_string();
        let token = format!("runner-{uuid}");
        let mut heard = self.0.heard();
        heard.tokens.insert(token.clone());
        let runner = wire::RunnerResponse { uuid, token, name: request.name.clone(), ..Default::default() };
        heard.registrations.push(request);
        drop(heard);
        self.0.tell();
        Response::ok(wire::RegisterResponse { runner: runner.into(), ..Default::default() })
    }

    async fn declare(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::DeclareRequest>,
    ) -> ServiceResult<wire::DeclareResponse> {
        self.0.authorise(&ctx, request.token)?;
        self.0.heard().declarations.push(request.to_owned_message());
        self.0.tell();
        Response::ok(wire::DeclareResponse::default())
    }

    async fn fetch_task(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::FetchTaskRequest>,
    ) -> ServiceResult<wire::FetchTaskResponse> {
        self.0.authorise(&ctx, request.token)?;
        let request = request.to_owned_message();
        let mut changed = self.0.changed.subscribe();
        self.0.heard().fetches.push(request.clone());
        self.0.tell();
        let until = tokio::time::Instant::now() + Duration::from_millis(u64::from(request.wait_ms));
        loop {
            changed.borrow_and_update();
            {
                let mut heard = self.0.heard();
                if !heard.tokens.contains(&request.token) {
                    return Err(ConnectError::unauthenticated("no such runner"));
                }
                if let Some(task) = heard.next(&request) {
                    if heard.lose_fetch_answers > 0 {
                        heard.lose_fetch_answers -= 1;
                        return Err(lost());
                    }
                    return Response::ok(task);
                }
            }
            if request.draining || tokio::time::timeout_at(until, changed.changed()).await.is_err() {
                return Response::ok(wire::FetchTaskResponse { message: "no task".into(), ..Default::default() });
            }
        }
    }

    async fn update_task(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::UpdateTaskRequest>,
    ) -> ServiceResult<wire::UpdateTaskResponse> {
        self.0.authorise(&ctx, request.token)?;
        let request = request.to_owned_message();
        let run = request.tx_uuid.clone();
        let answer = self.0.heard().update(&request);
        self.0.tell();
        answer.map(Response::from).map_err(|text| ConnectError::permission_denied(format!("{run}: {text}")))
    }

    async fn update_log(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::UpdateLogRequest>,
    ) -> ServiceResult<wire::UpdateLogResponse> {
        self.0.authorise(&ctx, request.token)?;
        let request = request.to_owned_message();
        let mut changed = self.0.changed.subscribe();
        while self.0.heard().hold_log_calls {
            changed.changed().await.map_err(|_| lost())?;
        }
        let answer = self.0.heard().store(&request);
        self.0.tell();
        Response::ok(wire::UpdateLogResponse { ack_index: answer?, ..Default::default() })
    }
}

impl Heard {
    fn next(&mut self, request: &wire::FetchTaskRequest) -> Option<wire::FetchTaskResponse> {
        if let Some(task) = self.handed_out.get(&request.request_id) {
            return Some(task.clone());
        }
        if request.draining {
            return None;
        }
        let task = self.take(request.wants.to_i32())?;
        self.handed_out.insert(request.request_id.clone(), task.clone());
        Some(task)
    }

    /// The first that a poll may have.
    fn take(&mut self, wants: i32) -> Option<wire::FetchTaskResponse> {
        let unwanted = |task: &wire::FetchTaskResponse| match task.action.as_option() {
            Some(_) => Wants::WANTS_UNSPECIFIED,
            None => Wants::WANTS_ACTIONS_AHEAD,
        };
        let fits = |task: &wire::FetchTaskResponse| wants != unwanted(task) as i32;
        let at = self.queue.iter().position(fits)?;
        self.queue.remove(at)
    }

    fn update(&mut self, request: &wire::UpdateTaskRequest) -> Result<wire::UpdateTaskResponse, &'static str> {
        let run = request.tx_uuid.clone();
        if self.taken_away.contains(&run) {
            return Err("the task is another runner's");
        }
        self.updates.push(request.clone());
        if let Some(report) = request.action.as_option() {
            self.action_reports.entry(run.clone()).or_default().push(report.clone());
            if !report.response.is_empty() {
                self.action_ends.insert(run.clone(), request.clone());
            }
        }
        if let Some(state) = request.state.as_option() {
            for action in &state.actions {
                self.actions.insert((run.clone(), action.index), action.clone());
            }
            if matches!(state.state.as_str(), "success" | "failure" | "cancelled") {
                self.finals.insert(run.clone(), request.clone());
            }
        }
        let next = if request.do_next { self.take(request.wants.to_i32()) } else { None };
        let stopped = self.cancelled.contains(&run) || self.terminated.contains(&run);
        Ok(wire::UpdateTaskResponse {
            pipeline_state: if stopped { "cancelled" } else { "running" }.to_owned(),
            success: true,
            terminate: self.terminated.contains(&run),
            next: next.into(),
            ..Default::default()
        })
    }

    fn store(&mut self, request: &wire::UpdateLogRequest) -> Result<i64, ConnectError> {
        self.log_calls += 1;
        if self.refuse_log_calls > 0 {
            self.refuse_log_calls -= 1;
            return Err(ConnectError::unavailable("refused for now"));
        }
        if self.other_bytes {
            return Err(ConnectError::aborted("index 0: other bytes are stored there"));
        }
        assert!(request.rows.len() == request.times.len(), "a time for each row");
        assert!(request.stderr_bits.len() == request.rows.len().div_ceil(8), "a bit for each row");
        let is_set = |bits: &[u8], at: usize| bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
        let goes_on = |at: &usize| is_set(&request.continued_bits, *at);
        // As one that looks for masked values: the last pieces of an open line are taken when more has come.
        let mut taken = request.rows.len();
        if self.keep_pieces > 0 && !request.no_more && (0..taken).next_back().as_ref().is_some_and(goes_on) {
            taken = taken.saturating_sub(self.keep_pieces);
        }
        let log = self.logs.entry((request.tx_uuid.clone(), request.action_idx)).or_default();
        let stored = log.rows.len();
        let index = usize::try_from(request.index).expect("not negative");
        assert!(index <= stored, "a gap: {index} after {stored}");
        for (at, text) in request.rows.iter().enumerate().take(taken) {
            let row = StoredRow {
                text: text.clone(),
                time_ms: request.times[at],
                stderr: is_set(&request.stderr_bits, at),
                goes_on: goes_on(&at),
            };
            match log.rows.get(index + at) {
                Some(old) => assert_eq!(*old, row, "a row was sent again and is another"),
                None => log.rows.push(row),
            }
        }
        if request.no_more {
            assert_eq!(log.rows.len(), index + request.rows.len());
            log.no_more = true;
        } else {
            assert!(!log.no_more, "rows after the end");
        }
        let stored = log.rows.len() as i64;
        if self.lose_log_answers > 0 {
            self.lose_log_answers -= 1;
            return Err(lost());
        }
        Ok(stored)
    }
}
