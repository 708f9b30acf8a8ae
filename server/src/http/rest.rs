//! The REST routes beside the services: `POST /api/v1/pipeline/{state,action,logs,manual,skip,cancel,terminate,stage,
//! validate,download}` with JSON bodies. Each parses, calls what the services call, and answers JSON.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use millrace_engine::error::Error;
use millrace_engine::logs::LogId;
use millrace_engine::scheduler::{Job, Run, State as JobState, Stop};
use millrace_proto::millrace::v1 as api;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{encoding, logs};
use crate::app::App;
use crate::auth::{Caller, Role};
use crate::rpc::follow::Follow;
use crate::rpc::{convert, pipeline};

/// The largest body, in bytes: a workflow file as JSON.
const BODY_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The most rows of one answer.
const ROWS_MAX: u64 = 10_000;
/// The most bytes of rows of one answer.
const ROWS_MAX_BYTES: usize = 4 * 1024 * 1024;
/// So many jobs are in a row of a stage, one after the other.
const STEPS_OF_ROW: u32 = 1;
/// The fields of an address whose names errors begin with.
#[rustfmt::skip]
const ADDRESS_FIELDS: [&str; 15] = [
    "tx_uuid", "txUuid", "run_id", "runId", "stage_idx", "stageIdx", "step_row_idx", "stepRowIdx",
    "step_idx", "stepIdx", "action_idx", "actionIdx", "index", "job_key", "jobKey",
];

/// The routes, below the prefix.
pub fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/state", post(state))
        .route("/action", post(action))
        .route("/logs", post(rows))
        .route("/download", post(download))
        .route("/manual", post(manual))
        .route("/validate", post(validate))
        .route("/skip", post(skip))
        .route("/cancel", post(cancel))
        .route("/terminate", post(terminate))
        .route("/stage", post(stage))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .with_state(app)
}

/// What these routes are asked about: a run, and in it a job by its address or key.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Address {
    /// The run's id or number.
    #[serde(alias = "run_id", alias = "txUuid", alias = "runId")]
    tx_uuid: String,
    /// 0 when it is not said.
    #[serde(alias = "stageIdx", deserialize_with = "number_if_any")]
    stage_idx: Option<u32>,
    #[serde(alias = "stepRowIdx", deserialize_with = "number")]
    step_row_idx: u32,
    #[serde(alias = "stepIdx", deserialize_with = "number")]
    step_idx: u32,
    #[serde(alias = "actionIdx", deserialize_with = "number")]
    action_idx: u32,
    /// The first row.
    #[serde(deserialize_with = "number")]
    index: u64,
    /// The job, instead of its address.
    #[serde(alias = "jobKey")]
    job_key: String,
}

impl Address {
    fn job<'a>(&self, run: &'a Run) -> Result<&'a Job, Error> {
        if self.job_key.is_empty() && self.step_idx >= STEPS_OF_ROW {
            let message = format!("{} is not below {STEPS_OF_ROW}, a row's number of jobs", self.step_idx);
            return Err(Error::invalid("step_idx", message));
        }
        let found = run.jobs.iter().find(|job| {
            if self.job_key.is_empty() {
                job.stage == self.stage_idx.unwrap_or(0) && job.row == self.step_row_idx
            } else {
                job.key == self.job_key
            }
        });
        found.ok_or_else(|| {
            Error::NotFound(match self.job_key.as_str() {
                "" => {
                    format!("job at stage {}, row {} of run {}", self.stage_idx.unwrap_or(0), self.step_row_idx, run.id)
                }
                key => format!("job {key} of run {}", run.id),
            })
        })
    }

    /// The log of the action; None while it has not begun.
    fn log(&self, run: &Run) -> Result<Option<String>, Error> {
        let job = self.job(run)?;
        let index = self.action_idx as usize;
        if index >= job.steps.len() {
            return Err(self.no_action(job.steps.len()));
        }
        Ok(job.log_id(&run.id, index))
    }

    fn no_action(&self, actions: usize) -> Error {
        Error::invalid("action_idx", format!("{} is not below {actions}, the job's number of actions", self.action_idx))
    }
}

/// A request's body, which the layer above limits.
struct Sent(Bytes);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| {
            if rejection.status() != StatusCode::PAYLOAD_TOO_LARGE {
                return Refusal::from(Error::invalid("body", rejection.body_text())).into_response();
            }
            let why = Error::Exhausted(format!("body: is larger than {BODY_MAX_BYTES} bytes, the limit of a request"));
            (StatusCode::PAYLOAD_TOO_LARGE, Refusal::from(why)).into_response()
        })
    }
}

type Answer = Result<Response, Refusal>;

async fn state(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, body: Sent) -> Answer {
    let (_, run) = addressed(&app, &caller, Role::Read, &body).await?;
    Ok(shown(&run))
}

async fn action(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, body: Sent) -> Answer {
    let (address, run) = addressed(&app, &caller, Role::Read, &body).await?;
    let job = convert::job(&run, address.job(&run)?);
    let step = job.steps.get(address.action_idx as usize).ok_or_else(|| address.no_action(job.steps.len()))?;
    Ok(Json(json!({ "action": step, "jobKey": job.key, "jobState": job.state })).into_response())
}

async fn rows(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Sent,
) -> Answer {
    let (address, run) = addressed(&app, &caller, Role::Read, &body).await?;
    let rows = rows_of(&app, &caller, &address, &run).await?;
    Ok(encoding::json(&headers, &rows)?)
}

async fn rows_of(app: &Arc<App>, caller: &Caller, address: &Address, run: &Run) -> Result<Value, Error> {
    let Some(id) = address.log(run)? else {
        return Ok(json!({ "index": 0, "rows": [], "nextIndex": 0, "complete": false }));
    };
    let head = Follow::of(app, caller, &id).await?.stat().await?.head;
    if head.lines == 0 {
        return Ok(json!({ "index": 0, "rows": [], "nextIndex": 0, "complete": head.complete }));
    }
    let lines =
        app.logs.read_lines(&LogId::parse(&id)?, address.index.min(head.lines), ROWS_MAX, ROWS_MAX_BYTES).await?;
    let text = String::from_utf8_lossy(&lines.data);
    let rows: Vec<&str> = text.split_terminator('\n').collect();
    let next = lines.end().line;
    let complete = head.complete && next >= head.lines;
    Ok(json!({ "logId": id, "index": lines.place.line, "rows": rows, "nextIndex": next, "complete": complete }))
}

async fn download(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Sent,
) -> Answer {
    let (address, run) = addressed(&app, &caller, Role::Run, &body).await?;
    let id = address.log(&run)?;
    let id = id.ok_or_else(|| Error::Precondition("the action has not begun: it has no log yet".into()))?;
    Ok(logs::download(&app, &caller, &id, &headers).await?)
}

async fn manual(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, body: Sent) -> Answer {
    caller.may(Role::Run)?;
    let request: api::RunRequest = parse(&body)?;
    let run = pipeline::start(&app, &caller, request).await?;
    Ok(shown(&run))
}

async fn validate(Extension(caller): Extension<Caller>, body: Sent) -> Answer {
    caller.may(Role::Run)?;
    let request: api::ValidateRequest = parse(&body)?;
    Ok(Json(pipeline::validate(&request.workflow, &request.file_name)).into_response())
}

async fn skip(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, body: Sent) -> Answer {
    let (address, run) = addressed(&app, &caller, Role::Run, &body).await?;
    let key = address.job(&run)?.key.clone();
    Ok(shown(&app.scheduler.skip(&run.id, &key).await?))
}

async fn cancel(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, body: Sent) -> Answer {
    let (_, run) = addressed(&app, &caller, Role::Run, &body).await?;
    Ok(shown(&app.scheduler.stop(&run.id, Stop::Cancel).await?))
}

async fn terminate(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, body: Sent) -> Answer {
    let (_, run) = addressed(&app, &caller, Role::Run, &body).await?;
    Ok(shown(&app.scheduler.stop(&run.id, Stop::Terminate).await?))
}

async fn stage(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, body: Sent) -> Answer {
    let (address, mut run) = addressed(&app, &caller, Role::Run, &body).await?;
    let Some(stage) = address.stage_idx.filter(|_| address.job_key.is_empty()) else {
        return Ok(shown(&app.scheduler.approve(&run.id, &address.job_key).await?));
    };
    let held = run.jobs.iter().filter(|job| job.stage == stage && job.state == JobState::Held);
    let keys: Vec<String> = held.map(|job| job.key.clone()).collect();
    if keys.is_empty() {
        return Err(Error::Precondition(format!("stage_idx: no job of stage {stage} is held")).into());
    }
    for key in &keys {
        run = app.scheduler.approve(&run.id, key).await?;
    }
    Ok(shown(&run))
}

/// The run a body names, if the caller may do this to it.
async fn addressed(app: &Arc<App>, caller: &Caller, role: Role, body: &Sent) -> Result<(Address, Run), Refusal> {
    caller.may(role)?;
    let address: Address = parse(body)?;
    let run = app.visible_run(caller, &address.tx_uuid).await?;
    Ok((address, run))
}

fn parse<T: DeserializeOwned>(body: &Sent) -> Result<T, Error> {
    let mut json = serde_json::Deserializer::from_slice(&body.0);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        (path, error.into_inner())
    });
    let parsed = parsed.and_then(|parsed| json.end().map(|()| parsed).map_err(|error| (".".to_owned(), error)));
    parsed.map_err(|(path, error)| {
        if let Some(field) = ADDRESS_FIELDS.into_iter().find(|field| *field == path) {
            return Error::invalid(field, error.to_string());
        }
        let place = if path == "." { String::new() } else { format!("{path}: ") };
        Error::invalid("body", format!("is not the JSON this route takes: {place}{error}"))
    })
}

/// A number, refused with its limit.
fn number<'de, D: Deserializer<'de>, N: TryFrom<u64>>(value: D) -> Result<N, D::Error> {
    number_of(&Value::deserialize(value)?)
}

fn number_if_any<'de, D: Deserializer<'de>, N: TryFrom<u64>>(value: D) -> Result<Option<N>, D::Error> {
    let value = Value::deserialize(value)?;
    if value.is_null() { Ok(None) } else { number_of(&value).map(Some) }
}

fn number_of<N: TryFrom<u64>, E: serde::de::Error>(value: &Value) -> Result<N, E> {
    let number = value.as_u64().and_then(|number| N::try_from(number).ok());
    let most = u64::MAX >> (u64::BITS - 8 * size_of::<N>() as u32);
    number.ok_or_else(|| E::custom(format!("{value} is no whole number from 0 to {most}")))
}

fn shown(run: &Run) -> Response {
    let value: Value = serde_json::to_value(convert::run(run)).unwrap_or_default();
    Json(json!({ "run": value })).into_response()
}
