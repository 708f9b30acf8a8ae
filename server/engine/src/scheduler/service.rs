//! What the doors call: start, look at, stop runs; give tasks to runners and take their word. Carries out what a
//! committed transition asks for. Knows neither wire nor SQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

use super::content;
use super::event::{Effects, Event, Report};
use super::run::{Job, Run, State, Stop};
use super::start::{self, NewRun};
use super::store::{Applied, Claim, Claimed, Held, RunEnd, RunQuery, RunStore};
use super::waiters::Waiters;
use super::{CHANGES_BACKLOG_MAX, TICK_RUNS_MAX, rerun};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::logs::{LogError, LogId, LogRoom};
use crate::runners::Runner;

/// Rows of a job that has ended may come for so long, in milliseconds; then what it masked is forgotten.
const LATE_ROWS_MAX_MS: i64 = 600_000;

/// A run that changed; who wants to know more reads it.
#[derive(Clone, Debug)]
pub struct RunChange {
    /// The run.
    pub id: String,
    /// Its project.
    pub project: String,
}

/// The scheduler of one server process.
pub struct Scheduler {
    store: Arc<dyn RunStore>,
    logs: Arc<LogRoom>,
    clock: Arc<dyn Clock>,
    waiters: Arc<Waiters>,
    changes: broadcast::Sender<RunChange>,
    /// Goes up whenever jobs are queued.
    times_queued: AtomicU64,
    lease_ms: i64,
}

/// A task for a runner.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The JSON for the runner.
    pub content: String,
    /// The workspace to remove after it.
    pub clean: String,
    /// What the ids of its logs begin with.
    pub task: String,
    /// Values that must not appear in its logs.
    pub masks: Vec<String>,
}

/// What a runner is told after an update.
#[derive(Clone, Debug)]
pub struct Updated {
    /// How the job is to stop, if it is.
    pub stop: Option<Stop>,
    /// The run's state.
    pub run: State,
    /// The job's state.
    pub job: State,
    /// The job ended by this update.
    pub ended: bool,
}

impl Scheduler {
    /// A scheduler over a store and a log room. A runner that is silent for `lease_ms` loses its job.
    pub fn new(store: Arc<dyn RunStore>, logs: Arc<LogRoom>, clock: Arc<dyn Clock>, lease_ms: i64) -> Self {
        let (changes, _) = broadcast::channel(CHANGES_BACKLOG_MAX);
        Self { store, logs, clock, waiters: Arc::default(), changes, times_queued: AtomicU64::new(0), lease_ms }
    }

    /// Checks the request and starts a run.
    pub async fn run(&self, new: NewRun) -> Result<Run> {
        let now = self.clock.now_ms();
        self.create(start::start(new, now)?).await
    }

    /// Runs a final run again as a new attempt.
    pub async fn rerun(&self, id: &str, failed_only: bool, actor: &str) -> Result<Run> {
        let old = self.get(id).await?;
        let now = self.clock.now_ms();
        self.create(rerun::rerun(&old, failed_only, actor, now)?).await
    }

    /// Stores a run and lets its first jobs become ready. Should the server end in between, `recover` does the rest.
    async fn create(&self, run: Run) -> Result<Run> {
        let id = run.id.clone();
        let run = self.store.create(run).await?;
        // A repeated request gives an older run back: nothing new is queued then.
        if run.id != id {
            return Ok(run);
        }
        Ok(self.apply(&id, Event::Tick).await?.run)
    }

    /// At the start of a server: draws the conclusions that an earlier one could not any more.
    pub async fn recover(&self) -> Result<()> {
        let open = RunQuery {
            states: vec![State::Pending, State::Queued, State::Held, State::Running],
            limit: u32::MAX,
            ..Default::default()
        };
        for run in self.store.list(open).await? {
            let run = self.apply(&run.id, Event::Tick).await?.run;
            // What the tasks mask that runners have in their hands is known to nobody now.
            for job in 0..run.jobs.len() {
                if run.jobs[job].state == State::Running && run.jobs[job].lease.is_some() {
                    let claimed = Claimed { run: run.clone(), job, repeated: true };
                    if let Ok(fetched) = content::fetched(&claimed, self.lease_ms) {
                        self.mask(&fetched);
                    }
                }
            }
        }
        Ok(())
    }

    /// What a task must not show is masked in its logs, should its runner not do so.
    fn mask(&self, fetched: &Fetched) {
        if fetched.masks.is_empty() {
            return;
        }
        let refused = self.logs.masks().begin_task(&fetched.task, fetched.masks.iter().map(String::as_str));
        for refused in refused {
            tracing::warn!(task = fetched.task, "secret {} of the task {}", refused.index + 1, refused.why);
        }
    }

    /// Forgets what tasks mask that are over, when all their rows have come.
    async fn forget_masks(&self) -> Result<()> {
        for task in self.logs.masks().task_ids() {
            if self.is_over(&task).await? {
                self.logs.masks().end_task(&task);
            }
        }
        Ok(())
    }

    async fn is_over(&self, task: &str) -> Result<bool> {
        let Some((run_id, stage, row, epoch)) = super::run::task_of_id(task) else { return Ok(true) };
        let Some(job) = self.store.job_at(run_id, stage, row).await? else { return Ok(true) };
        if job.lease.as_ref().is_none_or(|lease| lease.epoch != epoch) {
            return Ok(true);
        }
        if !job.state.is_final() {
            return Ok(false);
        }
        let late = job.finished_ms.is_none_or(|ended| ended + LATE_ROWS_MAX_MS < self.clock.now_ms());
        for step in 0..job.steps.len() {
            let Some(id) = job.log_id(run_id, step) else { continue };
            match self.logs.head(&LogId::parse(&id)?).await {
                Ok(head) if head.complete || late => {}
                // The rows of a step may come after the word on its end.
                Err(LogError::NotFound(_)) if late || job.steps[step].started_ms.is_none() => {}
                Ok(_) | Err(LogError::NotFound(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// A run by its id, its number, or `latest`.
    pub async fn get(&self, name: &str) -> Result<Run> {
        self.get_in(None, name).await
    }

    /// The same in one project: numbers are counted there, and other projects' runs are not found.
    pub async fn get_in(&self, project: Option<&str>, name: &str) -> Result<Run> {
        let id = self.resolve(project, name).await?;
        let run = self.store.get(&id).await?.filter(|run| project.is_none_or(|project| project == run.project));
        run.ok_or_else(|| Error::NotFound(format!("run {name}")))
    }

    async fn resolve(&self, project: Option<&str>, name: &str) -> Result<String> {
        if name.is_empty() {
            return Err(Error::invalid("run_id", "is empty: give a run's id or number"));
        }
        if name == "latest" {
            let project = project.map(ToOwned::to_owned);
            let newest = self.store.list(RunQuery { project, limit: 1, ..Default::default() }).await?;
            return newest.into_iter().next().map(|run| run.id).ok_or_else(|| Error::NotFound("any run".into()));
        }
        match name.parse::<u64>() {
            Ok(number) => self.store.find(project, number).await?.ok_or_else(|| Error::NotFound(format!("run {name}"))),
            Err(_) => Ok(name.to_owned()),
        }
    }

    /// Runs without their jobs, newest first.
    pub async fn list(&self, query: RunQuery) -> Result<Vec<Run>> {
        self.store.list(query).await
    }

    /// All changes from now on.
    pub fn changes(&self) -> broadcast::Receiver<RunChange> {
        self.changes.subscribe()
    }

    /// Asks a run to stop.
    pub async fn stop(&self, name: &str, how: Stop) -> Result<Run> {
        self.event(name, Event::Stop(how)).await
    }

    /// Leaves a job out.
    pub async fn skip(&self, name: &str, key: &str) -> Result<Run> {
        self.event(name, Event::Skip { key: key.to_owned() }).await
    }

    /// Starts held jobs; an empty key means all.
    pub async fn approve(&self, name: &str, key: &str) -> Result<Run> {
        let key = (!key.is_empty()).then(|| key.to_owned());
        self.event(name, Event::Approve { key }).await
    }

    async fn event(&self, name: &str, event: Event) -> Result<Run> {
        let id = self.resolve(None, name).await?;
        Ok(self.apply(&id, event).await?.run)
    }

    async fn apply(&self, id: &str, event: Event) -> Result<Applied> {
        let applied = self.store.apply(id, event, self.clock.now_ms()).await?;
        self.carry_out(&applied.run, applied.effects.clone()).await;
        Ok(applied)
    }

    /// Gives a runner the first job that it serves.
    pub(super) async fn claim(&self, runner: &Runner, labels: &[String], request_id: &str) -> Result<Option<Fetched>> {
        let now = self.clock.now_ms();
        let claim = self.claim_of(runner, labels, request_id, now);
        let Some(claimed) = self.store.claim(claim, now).await? else {
            return Ok(None);
        };
        if !claimed.repeated {
            self.announce(&claimed.run);
        }
        match content::fetched(&claimed, self.lease_ms) {
            Ok(fetched) => {
                self.mask(&fetched);
                Ok(Some(fetched))
            }
            Err(error) => {
                self.refuse(&claimed, error).await?;
                Ok(None)
            }
        }
    }

    /// The priority of the job that [`Self::claim`] would give, and since when it waits.
    pub(super) async fn first_queued(
        &self,
        runner: &Runner,
        labels: &[String],
        request_id: &str,
    ) -> Result<Option<(i64, i64)>> {
        let claim = self.claim_of(runner, labels, request_id, self.clock.now_ms());
        self.store.first_queued(&claim).await
    }

    /// How often jobs were queued. As long as it is the same, who found none will find none.
    pub(super) fn times_queued(&self) -> u64 {
        self.times_queued.load(Ordering::Acquire)
    }

    /// Those who wait for work.
    pub(super) fn waiters(&self) -> &Arc<Waiters> {
        &self.waiters
    }

    fn claim_of(&self, runner: &Runner, labels: &[String], request_id: &str, now_ms: i64) -> Claim {
        Claim {
            runner_uuid: runner.uuid.clone(),
            runner_name: runner.name.clone(),
            labels: labels.to_vec(),
            request_id: request_id.to_owned(),
            expires_ms: now_ms + self.lease_ms,
        }
    }

    /// A job whose content can't be made (an expression that fails) ends here, with the reason.
    async fn refuse(&self, claimed: &Claimed, error: Error) -> Result<()> {
        let job = &claimed.run.jobs[claimed.job];
        let report = Report {
            stage: job.stage,
            row: job.row,
            state: Some(State::Failure),
            message: error.to_string(),
            ..Default::default()
        };
        self.apply(&claimed.run.id, Event::Reported(report)).await.map(drop)
    }

    /// Takes a runner's word about its job.
    pub async fn update(&self, run_id: &str, mut report: Report) -> Result<Updated> {
        report.lease_expires_ms = self.clock.now_ms() + self.lease_ms;
        let (stage, row) = (report.stage, report.row);
        let ends = report.state.is_some_and(State::is_final);
        let applied = match self.apply(run_id, Event::Reported(report)).await {
            // Who asks about a run that is not there is told the same as about one that is not theirs.
            Err(Error::NotFound(_)) => {
                return Err(Error::Denied(format!("run {run_id} has no step of this runner's")));
            }
            other => other?,
        };
        let run = applied.run;
        let job = run.jobs.iter().find(|job| job.stage == stage && job.row == row);
        let job = job.ok_or_else(|| Error::internal("the job is gone"))?;
        Ok(Updated {
            stop: job.stop.map(|stop| stop.how),
            run: run.state,
            job: job.state,
            ended: ends && job.state.is_final(),
        })
    }

    /// The job a log belongs to, if this caller may write to it.
    pub async fn owned_job(&self, run_id: &str, report: &Report) -> Result<Job> {
        let job = self.store.job_at(run_id, report.stage, report.row).await?;
        let job = job.ok_or_else(|| {
            Error::Denied(format!(
                "run {run_id} has no step of this runner's at stage {}, row {}",
                report.stage, report.row
            ))
        })?;
        super::transition::check_owner(&job, report.runner_uuid.as_deref(), report.epoch)?;
        Ok(job)
    }

    /// The job at an address, without the rest of its run.
    pub async fn job_at(&self, run_id: &str, stage: u32, row: u32) -> Result<Option<Job>> {
        self.store.job_at(run_id, stage, row).await
    }

    /// How the newest attempt at this run's number ended; None: there is no such run.
    pub async fn end(&self, run_id: &str) -> Result<Option<RunEnd>> {
        self.store.end(run_id).await
    }

    /// What runners have in their hands.
    pub async fn held(&self) -> Result<Vec<Held>> {
        self.store.held().await
    }

    /// How many tasks are queued, by label set.
    pub async fn queue_depth(&self) -> Result<Vec<(Vec<String>, u64)>> {
        self.store.queue_depth().await
    }

    /// How many FetchTask calls wait.
    pub fn waiting(&self) -> usize {
        self.waiters.count()
    }

    /// Lets all waiting FetchTask calls look once more: at shutdown.
    pub fn wake_all(&self) {
        self.waiters.wake_all();
    }

    /// A runner is gone for good: what it held is given to others.
    pub async fn runner_removed(&self, uuid: &str) -> Result<()> {
        for held in self.store.held().await?.into_iter().filter(|held| held.runner_uuid == uuid) {
            self.apply(&held.run_id, Event::RunnerRemoved { runner_uuid: uuid.to_owned() }).await?;
        }
        Ok(())
    }

    /// Looks at deadlines once. The caller does so every [`super::TICK_MS`].
    pub async fn tick(&self) -> Result<()> {
        for id in self.store.overdue(self.clock.now_ms(), TICK_RUNS_MAX).await? {
            self.apply(&id, Event::Tick).await?;
        }
        self.forget_masks().await
    }

    async fn carry_out(&self, run: &Run, effects: Effects) {
        if !effects.queued.is_empty() {
            self.times_queued.fetch_add(1, Ordering::Release);
        }
        for labels in &effects.queued {
            self.waiters.wake(labels);
        }
        for log in &effects.abandoned_logs {
            if let Err(error) = self.end_log(log).await {
                tracing::warn!(%log, %error, "an abandoned log could not be ended");
            }
        }
        if effects.visible {
            self.announce(run);
        }
    }

    async fn end_log(&self, id: &str) -> Result<()> {
        self.logs.close(&LogId::parse(id)?).await?;
        Ok(())
    }

    fn announce(&self, run: &Run) {
        // Nobody listening is fine.
        let _ = self.changes.send(RunChange { id: run.id.clone(), project: run.project.clone() });
    }
}
