//! A reader's way to a log: whether they may see it, and how long a tail waits for it. Shared by `LogService.Follow` and
//! the plain-text route, so that both say the same.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace_engine::error::{Error, Result};
use millrace_engine::logs::records::NamedLog;
use millrace_engine::logs::streams::{FillGuard, StreamId, StreamState};
use millrace_engine::logs::{LogError, LogId, LogStat, LogTail, Missing, Start, TailEvent};
use millrace_proto::instance_name::InstanceName;
use tokio::time::timeout;

use crate::app::App;
use crate::auth::Caller;
use crate::log_keeping::kept_for;

/// How often a quiet tail says that it lives, in milliseconds.
const FOLLOW_HEARTBEAT_MS: u64 = 10_000;
/// How long after a job's end its logs may still grow; then a reader ends them, in milliseconds.
const LOG_LINGER_MS: i64 = 60_000;

/// A log that a caller may read.
pub struct Follow {
    app: Arc<App>,
    /// The log.
    pub id: LogId,
    /// The stream it is of.
    stream: Option<StreamId>,
    /// Sees to it that the log of a stream gets its end while it is followed. Held to put it there.
    fill: Mutex<Option<FillGuard>>,
}

/// What a followed log brings.
pub enum Followed {
    /// Lines, or the end.
    Event(TailEvent),
    /// Nothing new for a while.
    Quiet,
}

impl Follow {
    /// The log, if this caller may see its run. What they may not see is not found.
    pub async fn of(app: &Arc<App>, caller: &Caller, log_id: &str) -> Result<Self> {
        let id = LogId::parse(log_id)?;
        let stream = StreamId::of_log(&id);
        if let (Some(named), Some(project)) = (NamedLog::of_log(&id), caller.project()) {
            // The id of a named log says whose it is by a hash.
            if !named.is_of(project) {
                return Err(Error::NotFound(format!("log {id}")));
            }
        } else if let (Some(stream), Some(project)) = (&stream, caller.project()) {
            // So does the log of a stream: the instance is the project.
            let own = InstanceName::parse(project).is_ok_and(|project| stream.is_of(&project));
            if !own {
                return Err(Error::NotFound(format!("log {id}")));
            }
        } else if app.invocations.of_log(caller.project(), &id).await?.is_some() {
            // What a build printed; it is of a project that they may see.
        } else if caller.project().is_some() {
            let run = log_id.split('.').next().unwrap_or_default();
            app.visible_run(caller, run).await.map_err(|error| match error {
                Error::NotFound(_) => Error::NotFound(format!("log {id}")),
                other => other,
            })?;
        }
        Ok(Self { app: Arc::clone(app), id, stream, fill: Mutex::default() })
    }

    /// Its size and marks; empty while its step has not printed anything.
    pub async fn stat(&self) -> Result<LogStat> {
        match self.app.logs.stat(&self.id).await {
            Err(LogError::NotFound(_)) if self.may_come().await? => Ok(LogStat::default()),
            Err(LogError::NotFound(_)) => Err(self.not_there().await?),
            other => Ok(other?),
        }
    }

    /// What it takes on the disk, in bytes, and whether it is compressed; nothing while it may still come.
    pub async fn stored(&self) -> Result<(u64, bool)> {
        match self.app.logs.stored(&self.id).await {
            Err(LogError::NotFound(_)) if self.may_come().await? => Ok((0, false)),
            other => Ok(other?),
        }
    }

    /// A tail; it waits for a log that may still come.
    pub async fn tail(&self, start: Start) -> Result<LogTail> {
        let missing = self.attend().await?;
        match self.app.logs.tail(&self.id, start, missing).await {
            Err(LogError::NotFound(_)) => Err(self.not_there().await?),
            other => Ok(other?),
        }
    }

    /// Why there is no such log: it was removed, or there never was one.
    async fn not_there(&self) -> Result<Error> {
        let was_there = match self.app.invocations.of_log(None, &self.id).await {
            Ok(Some(invocation)) => invocation.complete,
            Ok(None) | Err(Error::NotFound(_)) => self.step_had_run().await?,
            Err(error) => return Err(error),
        };
        Ok(Error::NotFound(if was_there {
            let kept = kept_for(self.app.log_keeping.reaper.retention());
            format!("log {} was removed by retention (logs are kept {kept}) and is", self.id)
        } else {
            format!("log {}", self.id)
        }))
    }

    /// Whether the log is of a step that has run.
    async fn step_had_run(&self) -> Result<bool> {
        let action = self.id.as_str().rsplit_once('.').and_then(|(_, action)| action.parse::<usize>().ok());
        let job = self.job().await?.filter(|job| job.state.is_final());
        let step = job.as_ref().zip(action).and_then(|(job, action)| job.steps.get(action));
        Ok(step.is_some_and(|step| step.started_ms.is_some()))
    }

    /// Sees to it that the log gets its end as long as this lives; says what to do while there is none.
    pub async fn attend(&self) -> Result<Missing> {
        let Some(stream) = &self.stream else { return self.missing().await };
        let fill = self.app.streams.attend(stream).await?;
        *self.fill.lock().unwrap_or_else(PoisonError::into_inner) = Some(fill);
        Ok(Missing::Wait)
    }

    /// What to do where there is no log: one that may still come is waited for.
    pub async fn missing(&self) -> Result<Missing> {
        Ok(if self.may_come().await? { Missing::Wait } else { Missing::Refuse })
    }

    /// The next thing of a tail, or `Quiet` after a while.
    pub async fn next(&self, tail: &mut LogTail) -> Result<Followed> {
        match self.wait(tail.next()).await? {
            Some(event) => Ok(Followed::Event(event?)),
            None => Ok(Followed::Quiet),
        }
    }

    /// What a reader of this log waits for; none when nothing came for a while.
    pub async fn wait<T>(&self, next: impl Future<Output = T>) -> Result<Option<T>> {
        if let Ok(next) = timeout(Duration::from_millis(FOLLOW_HEARTBEAT_MS), next).await {
            return Ok(Some(next));
        }
        self.end_if_abandoned().await?;
        Ok(None)
    }

    /// An agent may have forgotten to end its log: long after its job's end, nothing comes any more.
    async fn end_if_abandoned(&self) -> Result<()> {
        let finished = self.job().await?.and_then(|job| job.finished_ms.filter(|_| job.state.is_final()));
        let lingers = finished.is_none_or(|finished| self.app.clock.now_ms() - finished <= LOG_LINGER_MS);
        // A reader makes no log where there is none.
        if !lingers && self.app.logs.head(&self.id).await.is_ok() {
            self.app.logs.close(&self.id).await?;
        }
        Ok(())
    }

    async fn may_come(&self) -> Result<bool> {
        if let Some(stream) = &self.stream {
            return Ok(self.app.streams.state(stream).await != StreamState::Unknown);
        }
        if let Some(invocation) = self.app.invocations.of_log(None, &self.id).await? {
            return Ok(!invocation.complete);
        }
        Ok(self.job().await?.is_some_and(|job| !job.state.is_final()))
    }

    /// The job the log is of: its id says which (see `scheduler::log_id`).
    async fn job(&self) -> Result<Option<millrace_engine::scheduler::Job>> {
        if self.stream.is_some() {
            return Ok(None);
        }
        let parts: Vec<&str> = self.id.as_str().split('.').collect();
        let [run, stage, row, step, epoch, action] = parts[..] else { return Ok(None) };
        let (Ok(stage), Ok(row), Ok(action)) = (stage.parse(), row.parse(), action.parse::<usize>()) else {
            return Ok(None);
        };
        if step != "0" || epoch.parse::<u64>().is_err() {
            return Ok(None);
        }
        let job = self.app.scheduler.job_at(run, stage, row).await?;
        Ok(job.filter(|job| action < job.steps.len()))
    }
}
