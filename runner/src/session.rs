//! A runner's life: take the data folder, be somebody, declare, serve the slots, end. Knows nothing of how a task is
//! run.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::error::{Error, Exit};
use crate::identity::{self, Identity};
use crate::job::JobHost;
use crate::platform;
use crate::shutdown::Shutdown;
use crate::slot::{self, SlotEnd};
use crate::transport::Transport;

/// An identity that is refused this soon after it was made is not made again.
pub const REGISTER_AGAIN_MIN_SECONDS: u64 = 30;

/// Runs a runner until it is told to end, or cannot go on.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<Exit, Error> {
    let config = config.checked()?;
    let data = DataFolder::open(&config.data)?;
    let config = Config { data: data.root().to_owned(), ..config };
    let server = Api::new(&config.server, Transport::new()?)?;
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
        let refused = match serve(&config, &data, &server, &identity, &shutdown).await? {
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

async fn serve(
    config: &Config,
    data: &DataFolder,
    server: &Api,
    identity: &Identity,
    shutdown: &Shutdown,
) -> Result<Served, Error> {
    // Tasks of an earlier life of this runner, which was killed.
    let left = platform::sweep(Vec::new(), identity.uuid.clone()).await;
    if left > 0 {
        tracing::warn!("{left} processes of earlier tasks could not be killed");
    }
    let api = server.clone().with_identity(identity);
    match declare(&api, config, identity, shutdown).await? {
        Declared::Yes => {}
        Declared::Refused(text) => return Ok(Served::Refused(text)),
        Declared::Ended => return Ok(Served::Ended(Exit::Drained)),
    }
    tracing::info!(
        "{} serves {} with {} slots: {}",
        config.name,
        config.server,
        config.slots,
        config.all_labels().join(", ")
    );
    let host = JobHost {
        api,
        data: data.clone(),
        runner_name: config.name.clone(),
        runner_uuid: identity.uuid.clone(),
        pass_env: config.pass_env.clone(),
        shutdown: shutdown.clone(),
        ephemeral: config.ephemeral,
    };
    let mut slots = JoinSet::new();
    for number in 0..config.slots {
        slots.spawn(slot::run(host.clone(), number));
    }
    let mut served = Served::Ended(if config.ephemeral { Exit::Ephemeral } else { Exit::Drained });
    while let Some(ended) = slots.join_next().await {
        match ended {
            Ok(SlotEnd::Drained) => {}
            Ok(SlotEnd::Refused(text)) => served = Served::Refused(text),
            Err(panic) => return Err(Error::local("a slot")(std::io::Error::other(panic))),
        }
    }
    Ok(match served {
        Served::Ended(_) if shutdown.is_killed() => Served::Ended(Exit::Killed),
        Served::Ended(_) if shutdown.is_draining() => Served::Ended(Exit::Drained),
        other => other,
    })
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
