//! A runner's life: take the data folder, be somebody, declare, serve the slots, end. Knows nothing of how a task is
//! run.

use std::sync::Arc;
use std::time::Duration;

use millrace_proto::runner_v1::fetch_task_request::Wants;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::action::{ActionHost, Berth, Cas, Disk, Inputs, Outputs, REMOVALS_MAX, Sandbox, SandboxMode};
use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::error::{Error, Exit};
use crate::identity::{self, Identity};
use crate::job::JobHost;
use crate::platform;
use crate::shutdown::Shutdown;
use crate::slot::{SlotEnd, Worker};
use crate::slots::{AHEAD_MAX, Slots};
use crate::transport::Transport;

/// An identity that is refused this soon after it was made is not made again.
pub const REGISTER_AGAIN_MIN_SECONDS: u64 = 30;

/// The folder of cached inputs, in the data folder.
const INPUT_CACHE_FOLDER: &str = "inputs";
/// How long a runner that ends waits for folders to be removed and for streams to be whole.
const BACKGROUND_WAIT_SECONDS: u64 = 60;
/// How long it waits when it was killed.
const KILLED_WAIT_SECONDS: u64 = 5;

/// Runs a runner until it is told to end, or cannot go on.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<Exit, Error> {
    let config = config.checked()?;
    let data = DataFolder::open(&config.data)?;
    let config = Config { data: data.root().to_owned(), ..config };
    let transport = Transport::new()?;
    let server = Api::new(&config.server, transport.clone())?;
    let sandbox = find_sandbox(&config).await?;
    let mut registered_at = None;
    loop {
        let identity = match Identity::load(&config.data)? {
            Some(identity) => identity,
            None => {
                registered_at = Some(Instant::now());
                match identity::register(&server, &config, &shutdown).await? {
                    Some(identity) => identity,
                    None => return Ok(Exit::Drained),
                }
            }
        };
        let here =
            Here { config: &config, data: &data, server: &server, transport: &transport, sandbox: sandbox.clone() };
        let refused = match serve(here, &identity, &shutdown).await? {
            Served::Ended(exit) => return Ok(exit),
            Served::Refused(text) => text,
        };
        let again = Duration::from_secs(REGISTER_AGAIN_MIN_SECONDS);
        let too_soon = registered_at.is_some_and(|at: Instant| at.elapsed() < again);
        if config.token.is_none() || too_soon {
            return Err(Error::NotAuthorised(format!(
                "{} does not accept this runner ({}): {refused}; to register anew, start it with a registration token \
                 (--token or MILLRACE_REGISTRATION_TOKEN)",
                config.server, identity.uuid
            )));
        }
        tracing::warn!("{} does not accept this runner any more: {refused}; registering anew", config.server);
        Identity::remove(&config.data)?;
    }
}

enum Served {
    Ended(Exit),
    Refused(String),
}

/// What a runner has, whoever it is.
struct Here<'a> {
    config: &'a Config,
    data: &'a DataFolder,
    server: &'a Api,
    transport: &'a Transport,
    sandbox: Option<Arc<Sandbox>>,
}

async fn serve(here: Here<'_>, identity: &Identity, shutdown: &Shutdown) -> Result<Served, Error> {
    let config = here.config;
    // Tasks of an earlier life of this runner, which was killed.
    let left = platform::sweep(Vec::new(), identity.uuid.clone()).await;
    if left > 0 {
        tracing::warn!("{left} processes of earlier tasks could not be killed");
    }
    let api = here.server.clone().with_identity(identity);
    match declare(&api, config, identity, shutdown).await? {
        Declared::Yes => {}
        Declared::Refused(text) => return Ok(Served::Refused(text)),
        Declared::Ended => return Ok(Served::Ended(Exit::Drained)),
    }
    let (name, slots, labels) = (&config.name, config.slots, config.all_labels().join(", "));
    tracing::info!("{name} serves {} with {slots} slots: {labels}", config.server);
    let slots = Slots::new(berths(config)?);
    let actions =
        if config.actions.enabled { Some(action_host(&here, identity, &api, &slots, shutdown).await?) } else { None };
    let runs_actions = actions.is_some();
    let jobs = JobHost {
        api,
        data: here.data.clone(),
        runner_name: config.name.clone(),
        runner_uuid: identity.uuid.clone(),
        pass_env: config.pass_env.clone(),
        shutdown: shutdown.clone(),
        ephemeral: config.ephemeral,
        slots: slots.clone(),
        wants: if runs_actions { Wants::WANTS_JOBS_AND_ACTIONS } else { Wants::WANTS_UNSPECIFIED },
    };
    let background = actions.as_ref().map(|actions| actions.background.clone());
    let served = work(config, &jobs, actions.as_ref()).await;
    if let Some(background) = background {
        background.close();
        let wait =
            Duration::from_secs(if shutdown.is_killed() { KILLED_WAIT_SECONDS } else { BACKGROUND_WAIT_SECONDS });
        if tokio::time::timeout(wait, background.wait()).await.is_err() {
            tracing::warn!("folders of actions or their streams are left behind");
        }
    }
    slots.end().await;
    Ok(match served? {
        Served::Ended(_) if shutdown.is_killed() => Served::Ended(Exit::Killed),
        Served::Ended(_) if shutdown.is_draining() => Served::Ended(Exit::Drained),
        other => other,
    })
}

/// All workers, until the last has ended.
async fn work(config: &Config, jobs: &JobHost, actions: Option<&ActionHost>) -> Result<Served, Error> {
    let mut workers = JoinSet::new();
    let refused = CancellationToken::new();
    let worker = |number, ahead| {
        let (jobs, actions, refused) = (jobs.clone(), actions.cloned(), refused.clone());
        Worker { jobs, actions, number, ahead, refused }
    };
    for number in 0..config.slots {
        workers.spawn(worker(number, None).run());
    }
    if actions.is_some() && !config.ephemeral && config.actions.prefetch > 0 {
        for number in 0..AHEAD_MAX {
            workers.spawn(worker(config.slots + number, Some((number, config.actions.prefetch))).run());
        }
    }
    let mut served = Served::Ended(if config.ephemeral { Exit::Ephemeral } else { Exit::Drained });
    while let Some(ended) = workers.join_next().await {
        match ended {
            Ok(SlotEnd::Drained) => {}
            Ok(SlotEnd::Refused(text)) => {
                served = Served::Refused(text);
                refused.cancel();
            }
            Err(panic) => return Err(Error::local("a worker")(std::io::Error::other(panic))),
        }
    }
    Ok(served)
}

/// The sandbox of this machine, if there is one and it is wanted.
async fn find_sandbox(config: &Config) -> Result<Option<Arc<Sandbox>>, Error> {
    if !config.actions.enabled || config.actions.sandbox == SandboxMode::Off {
        return Ok(None);
    }
    match (Sandbox::find().await, config.actions.sandbox) {
        (Ok(sandbox), _) => Ok(Some(Arc::new(sandbox))),
        (Err(why), SandboxMode::On) => Err(Error::Usage(format!("sandbox: on, and {why}"))),
        (Err(why), _) => {
            tracing::warn!("actions of remote execution run without a sandbox: {why}");
            Ok(None)
        }
    }
}

async fn action_host(
    here: &Here<'_>,
    identity: &Identity,
    api: &Api,
    slots: &Slots,
    shutdown: &Shutdown,
) -> Result<ActionHost, Error> {
    let config = &here.config.actions;
    let cas = Cas::new(&here.config.server, here.transport.clone(), &identity.token)?;
    let cache = config.input_cache.clone().unwrap_or_else(|| here.data.root().join(INPUT_CACHE_FOLDER));
    let inputs = Inputs::open(&cache, config.input_cache_max_bytes, cas.clone()).await;
    let inputs = inputs.map_err(|error| Error::local("the input cache")(std::io::Error::other(error)))?;
    let work = here.data.work();
    Ok(ActionHost {
        api: api.clone(),
        inputs,
        outputs: Outputs::new(cas),
        streams: api.streams(&here.config.server, here.transport.clone())?,
        slots: slots.clone(),
        sandbox: here.sandbox.clone(),
        sandbox_off_allowed: config.allow_sandbox_off,
        disk: Disk::new(&work, config.disk_max_bytes),
        work,
        temp: here.data.temp(),
        runner_name: here.config.name.clone(),
        shutdown: shutdown.clone(),
        background: TaskTracker::new(),
        removals: Arc::new(Semaphore::new(REMOVALS_MAX)),
        last: Arc::default(),
    })
}

/// A place for each slot.
fn berths(config: &Config) -> Result<Vec<Berth>, Error> {
    Berth::all(config).map_err(Error::local("the runner's own program"))
}

enum Declared {
    Yes,
    Refused(String),
    Ended,
}

/// Declares until the server has heard it: a server that is down at our start will come.
async fn declare(api: &Api, config: &Config, identity: &Identity, shutdown: &Shutdown) -> Result<Declared, Error> {
    let mut backoff = Backoff::default();
    loop {
        let declared = tokio::select! {
            declared = api.declare(config, identity) => declared,
            () = shutdown.drained() => return Ok(Declared::Ended),
        };
        match declared {
            Ok(()) => return Ok(Declared::Yes),
            Err(ApiError::Unavailable(text)) => {
                tracing::warn!("{} cannot be reached: {text}; trying again", config.server);
            }
            Err(ApiError::Refused(text)) => return Err(Error::Usage(format!("{}: {text}", config.server))),
            Err(error) => return Ok(Declared::Refused(error.to_string())),
        }
        tokio::select! {
            () = backoff.wait() => {}
            () = shutdown.drained() => return Ok(Declared::Ended),
        }
    }
}
