//! Who this runner is: uuid and runner token, kept in the data folder for its owner's eyes only. Knows nothing of
//! tasks.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::config::Config;
use crate::error::Error;
use crate::shutdown::Shutdown;

/// The file in the data folder.
pub const IDENTITY_FILE: &str = "identity.json";
/// How long registering is tried while the server cannot be reached.
pub const REGISTER_GIVE_UP_SECONDS: u64 = 30;

/// What the server knows this runner by.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub struct Identity {
    /// The lasting identity.
    pub uuid: String,
    /// The secret that proves it.
    pub token: String,
    /// The server that gave it.
    pub server: String,
}

impl Identity {
    /// What is in the data folder, if anything.
    pub fn load(data: &Path) -> Result<Option<Self>, Error> {
        let path = data.join(IDENTITY_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::local(format!("reading {}", path.display()))(error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            let path = path.display();
            Error::Usage(format!("{path}: not a runner's identity ({error}); remove it to register anew"))
        })
    }

    /// Writes it whole or not at all, readable by its owner only.
    pub fn save(&self, data: &Path) -> Result<(), Error> {
        let path = data.join(IDENTITY_FILE);
        let temporary = data.join(format!("{IDENTITY_FILE}.new"));
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        let write = || {
            let mut file = crate::platform::create_private(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            crate::platform::sync_folder(data)
        };
        write().map_err(Error::local(format!("writing {}", path.display())))
    }

    /// Forgets it.
    pub fn remove(data: &Path) -> Result<(), Error> {
        match std::fs::remove_file(data.join(IDENTITY_FILE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::local("removing the identity")(error)),
            _ => Ok(()),
        }
    }
}

/// Registers with the registration token and keeps what comes of it. `None`: told to end before it worked.
pub async fn register(api: &Api, config: &Config, shutdown: &Shutdown) -> Result<Option<Identity>, Error> {
    let Some(token) = &config.token else {
        return Err(Error::NotAuthorised(format!(
            "no identity in {}: a registration token is needed once (--token or MILLRACE_REGISTRATION_TOKEN)",
            config.data.display()
        )));
    };
    let give_up = Instant::now() + Duration::from_secs(REGISTER_GIVE_UP_SECONDS);
    let mut backoff = Backoff::default();
    let runner = loop {
        let answer = tokio::select! {
            answer = api.register(config, token) => answer,
            () = shutdown.drained() => return Ok(None),
        };
        match answer {
            Ok(runner) => break runner,
            Err(ApiError::Unavailable(text)) if Instant::now() < give_up => {
                tracing::warn!("registering at {}: {text}; trying again", config.server);
            }
            Err(ApiError::Unavailable(text)) => return Err(Error::Unreachable(text)),
            Err(ApiError::Refused(text)) => return Err(Error::Usage(format!("registering: {text}"))),
            Err(error) => return Err(Error::NotAuthorised(format!("registering: {error}"))),
        }
        tokio::select! {
            () = backoff.wait() => {}
            () = shutdown.drained() => return Ok(None),
        }
    };
    if runner.uuid.is_empty() || runner.token.is_empty() {
        return Err(Error::Usage(format!("{} answered Register without uuid and token", config.server)));
    }
    let identity = Identity { uuid: runner.uuid, token: runner.token, server: config.server.clone() };
    identity.save(&config.data)?;
    tracing::info!("registered at {} as {} ({})", config.server, config.name, identity.uuid);
    Ok(Some(identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_kept_for_its_owner_only() {
        let data = tempfile::tempdir().expect("a folder");
        assert_eq!(Identity::load(data.path()).expect("loads"), None);
        let identity = Identity { uuid: "u".into(), token: "t".into(), server: "http://s".into() };
        identity.save(data.path()).expect("saves");
        assert_eq!(Identity::load(data.path()).expect("loads"), Some(identity));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let meta = std::fs::metadata(data.path().join(IDENTITY_FILE)).expect("there");
            assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        }
        Identity::remove(data.path()).expect("removes");
        Identity::remove(data.path()).expect("removes nothing");
        assert_eq!(Identity::load(data.path()).expect("loads"), None);
    }

    #[test]
    fn says_when_the_file_is_not_one() {
        let data = tempfile::tempdir().expect("a folder");
        std::fs::write(data.path().join(IDENTITY_FILE), "{").expect("writes");
        let error = Identity::load(data.path()).expect_err("not an identity");
        assert_eq!(error.exit_code(), 2);
    }
}
