//! The composition root: opens the stores, wraps them, and hands out what the doors need. All wiring is here.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use connectrpc_health::StaticChecker;
use millrace_engine::clock::{Clock, SystemClock};
use millrace_engine::error::Error;
use millrace_engine::events::{EventOutbox, EventPump, PumpFigures};
use millrace_engine::execution::{Execution, ExecutionOptions, KnownRunner};
use millrace_engine::invocations::Invocations;
use millrace_engine::logs::LogRoom;
use millrace_engine::logs::records::Records;
use millrace_engine::logs::search::{LogSearches, SearchLimits};
use millrace_engine::logs::streams::LogStreams;
use millrace_engine::runners::{Runner, Runners};
use millrace_engine::scheduler::{Dispatch, Run, Scheduler, TICK_MS};
use millrace_store::blobs::disk::{DiskBlobs, DiskBlobsOptions};
use millrace_store::logs::disk::{ArchiveOptions, DiskLogs, DiskLogsOptions};
use millrace_store::sqlite::SqliteStore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::auth::{Caller, Gate, Tokens, stream_key};
use crate::cache::Cache;
use crate::config::{CacheConfig, Config, ExecutionConfig, LogConfig};
use crate::execution_streams::ExecutionStreams;
use crate::log_keeping::{LogKeeping, LogNeighbours};
use crate::log_masks::LogMaskFile;
use crate::metrics::Metrics;

/// The database file below the data folder.
pub const DATABASE_FILE: &str = "millrace.db";
/// The logs below the data folder.
const LOGS_FOLDER: &str = "logs";
/// The remote cache below the data folder.
const BLOBS_FOLDER: &str = "blobs";

/// What a server process is made of.
pub struct App {
    /// Runs, jobs, tasks.
    pub scheduler: Arc<Scheduler>,
    /// Remote execution.
    pub execution: Arc<Execution>,
    /// Its settings.
    pub execution_config: ExecutionConfig,
    /// Gives tasks of both kinds to runners.
    pub dispatch: Dispatch,
    /// Who the runners are.
    pub runners: Arc<Runners>,
    /// The log room.
    pub logs: Arc<LogRoom>,
    /// What is masked in it.
    log_masks: LogMaskFile,
    /// How long what is kept in it, and what that came to.
    pub log_keeping: LogKeeping,
    /// Streams of bytes in the log room.
    pub streams: LogStreams,
    /// Records in the log room.
    pub records: Records,
    /// Searches of logs.
    pub searches: LogSearches,
    /// Takes the platform's own events; a pump brings them into the logs.
    pub events: Arc<dyn EventOutbox>,
    /// What the pump tells of itself.
    pub event_figures: Arc<PumpFigures>,
    /// Builds that are told of by events.
    pub invocations: Arc<Invocations>,
    /// The remote cache.
    pub cache: Cache,
    /// Its settings.
    pub cache_config: CacheConfig,
    /// Who calls.
    pub gate: Arc<Gate>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Metrics,
    store: SqliteStore,
    health: OnceLock<Arc<StaticChecker>>,
    stop: CancellationToken,
}

impl App {
    /// Opens everything a configuration names.
    pub async fn open(config: &Config) -> Result<Arc<Self>> {
        let Config { data, database, open, lease_ms, .. } = config;
        std::fs::create_dir_all(data).with_context(|| format!("cannot make the data folder {}", data.display()))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = SqliteStore::open(database)
            .await
            .with_context(|| format!("cannot open the database {}", database.display()))?;
        let logs = open_logs(config, &clock).await?;
        let own_secrets = config.registration_token.iter().cloned().collect();
        let log_masks = LogMaskFile::open(Arc::clone(&logs), config.logs.mask_file.clone(), own_secrets)?;
        let streams = LogStreams::new(LogRoom::clone(&logs), stream_key::load_or_create(data)?);
        let records = Records::new(LogRoom::clone(&logs));
        let searches = LogSearches::new(LogRoom::clone(&logs), SearchLimits::default());
        let invocations = Arc::new(Invocations::new(
            Arc::new(store.clone()),
            Arc::clone(&logs),
            Arc::clone(&clock),
            config.logs.invocations,
        ));
        let runners = Arc::new(Runners::new(Arc::new(store.clone()), Arc::clone(&clock)));
        let tokens = Arc::new(Tokens::open(data, Arc::new(store.clone()), Arc::clone(&clock))?);
        let gate = Arc::new(Gate { tokens, runners: Arc::clone(&runners), open: *open });
        let scheduler = Scheduler::new(Arc::new(store.clone()), Arc::clone(&logs), Arc::clone(&clock), *lease_ms);
        let scheduler = Arc::new(scheduler);
        let cache = Cache::on(open_blobs(config).await?, Arc::new(store.clone()), &clock, &config.cache);
        let options = ExecutionOptions { lease_ms: *lease_ms, ..config.execution.options.clone() };
        let (blobs, actions) = (Arc::clone(&cache.blobs), Arc::clone(&cache.actions));
        // What an earlier process had queued or given out goes on.
        let execution = Execution::open(Arc::new(store.clone()), blobs, actions, Arc::clone(&clock), options)
            .await
            .context("cannot open the queue of remote execution")?;
        let outputs = ExecutionStreams::new(Arc::clone(&execution), Arc::clone(&cache.blobs));
        streams.set_fallback(Arc::new(outputs));
        let (metrics, events) = (Metrics::new(), Arc::new(store.clone()) as Arc<dyn EventOutbox>);
        let neighbours = LogNeighbours {
            scheduler: Arc::clone(&scheduler),
            execution: Arc::clone(&execution),
            invocations: Arc::clone(&invocations),
            events: Arc::clone(&events),
            metrics: metrics.logs.clone(),
            clock: Arc::clone(&clock),
        };
        let log_keeping = LogKeeping::new(LogRoom::clone(&logs), neighbours, &config.logs);
        let app = Self {
            dispatch: Dispatch::new(Arc::clone(&scheduler), Arc::clone(&execution)),
            scheduler,
            execution,
            execution_config: config.execution.clone(),
            runners,
            logs,
            log_masks,
            log_keeping,
            streams,
            records,
            searches,
            events,
            event_figures: Arc::default(),
            invocations,
            cache,
            cache_config: config.cache.clone(),
            gate,
            clock,
            metrics,
            store,
            health: OnceLock::new(),
            stop: CancellationToken::new(),
        };
        app.runners_changed().await?;
        Ok(Arc::new(app))
    }

    /// Starts what runs by itself: the look at deadlines, and the keeping of the cache's activity.
    pub fn start(self: &Arc<Self>) -> JoinHandle<()> {
        let app = Arc::clone(self);
        tokio::spawn(async move { app.cache.activity.keep_flushing(app.stopping()).await });
        let app = Arc::clone(self);
        tokio::spawn(async move { app.log_masks.keep_reading(app.stopping()).await });
        let app = Arc::clone(self);
        let keeping = tokio::spawn(async move { app.log_keeping.run(app.stopping()).await });
        let (app, pump) = (Arc::clone(self), self.pump());
        let pumping = tokio::spawn(async move { pump.run(app.stopping()).await });
        let app = Arc::clone(self);
        tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(TICK_MS));
            every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = every.tick() => {}
                    () = app.stop.cancelled() => break,
                }
                app.cache.blobs.expire_uploads();
                if let Err(error) = app.tick().await {
                    tracing::warn!(%error, "deadlines could not be looked at; trying again");
                }
            }
            // What happened until now is told.
            let _ = keeping.await;
            let _ = pumping.await;
        })
    }

    fn pump(&self) -> EventPump {
        let (events, clock, figures) = (&self.events, &self.clock, &self.event_figures);
        EventPump::new(Arc::clone(events), LogRoom::clone(&self.logs), Arc::clone(clock), Arc::clone(figures))
    }

    async fn tick(&self) -> Result<(), Error> {
        self.scheduler.tick().await?;
        // Runners come and go by being heard of or not, too.
        self.runners_changed().await?;
        self.invocations.tick().await?;
        self.execution.tick().await
    }

    /// Tells remote execution which runners there are. Called after each change of them.
    pub async fn runners_changed(&self) -> Result<(), Error> {
        let mut runners = self.runners.list().await?;
        self.runners.tell_presence(&runners).await?;
        runners.retain(|runner| runner.runs_actions);
        let known = |runner: Runner| KnownRunner {
            online: self.runners.is_online(&runner),
            uuid: runner.uuid,
            name: runner.name,
            properties: runner.properties,
            draining: runner.draining,
            slots: runner.slots,
        };
        self.execution.set_runners(runners.into_iter().map(known).collect());
        Ok(())
    }

    /// A run that this caller may see; what they may not see is not found.
    pub async fn visible_run(&self, caller: &Caller, name: &str) -> Result<Run, Error> {
        self.scheduler.get_in(caller.project(), name).await
    }

    /// Whether requests can be served.
    pub async fn ready(&self) -> Result<(), Error> {
        if self.stop.is_cancelled() {
            return Err(Error::Unavailable("the server is stopping".into()));
        }
        self.store.ping().await
    }

    /// Keeps the health service, to tell it of the end.
    pub fn set_health(&self, health: Arc<StaticChecker>) {
        // Set once, while the router is built; a second router of the same app keeps the first.
        let _ = self.health.set(health);
    }

    /// Begins the end: waiting calls are answered, streams end, no new work is given out.
    pub fn begin_stop(&self) {
        if let Some(health) = self.health.get() {
            health.shutdown();
        }
        self.stop.cancel();
        self.scheduler.wake_all();
    }

    /// Ends when the server begins to stop.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Closes the stores; the last thing.
    pub async fn close(&self) {
        // What the last requests counted.
        if let Err(error) = self.cache.activity.flush().await {
            tracing::warn!(%error, "the cache's last activity could not be stored");
        }
        self.execution.close().await;
        self.store.close().await;
    }
}

fn log_options(config: &LogConfig) -> DiskLogsOptions {
    let archive = config.archive.as_ref();
    DiskLogsOptions {
        file_segment_bytes: config.segment_bytes,
        archive: archive.map(|to| ArchiveOptions { folder: to.folder.clone(), after_ms: to.after_ms }),
        ..DiskLogsOptions::default()
    }
}

async fn open_logs(config: &Config, clock: &Arc<dyn Clock>) -> Result<Arc<LogRoom>> {
    let (folder, options) = (config.data.join(LOGS_FOLDER), log_options(&config.logs));
    // It reads the journal of an earlier process: that blocks.
    let disk = tokio::task::spawn_blocking(move || DiskLogs::open(&folder, &options))
        .await?
        .context("cannot open the logs")?;
    Ok(Arc::new(LogRoom::new(Arc::new(disk), Arc::clone(clock), config.logs.limits)))
}

async fn open_blobs(config: &Config) -> Result<Arc<DiskBlobs>> {
    let (folder, options) = (config.data.join(BLOBS_FOLDER), blob_options(&config.cache));
    let blobs = tokio::task::spawn_blocking(move || DiskBlobs::open(&folder, options))
        .await?
        .context("cannot open the blobs")?;
    Ok(Arc::new(blobs))
}

fn blob_options(config: &CacheConfig) -> DiskBlobsOptions {
    DiskBlobsOptions { limit_bytes: config.limit_bytes, lease_ms: config.lease_ms, ..DiskBlobsOptions::default() }
}
