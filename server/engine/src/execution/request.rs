//! Reads what a client wants to have run, Action and Command, and refuses what can't be. Whether the inputs are here is
//! asked elsewhere.

use buffa::Message;
use bytes::Bytes;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;
use millrace_proto::platform_properties::Properties;
use millrace_proto::reapi::{self, Action, Command, Platform};

use super::ask::ExecuteAsk;
use super::options::ExecutionOptions;
use super::paths;
use super::spec::Spec;
use crate::blobs::BlobRoom;
use crate::error::{Error, Result};

/// The largest Action and the largest Command, in bytes.
pub const REQUEST_MAX_BYTES: u64 = 3 * 1024 * 1024;
/// How much of a command is kept for people, in characters.
pub const COMMAND_LINE_MAX_CHARS: usize = 200;
/// The longest text that a client says of itself and that is kept, in characters.
pub const SAID_MAX_CHARS: usize = 500;

/// An action that can be run, if its inputs are here.
#[derive(Debug)]
pub struct Request {
    /// What it is.
    pub spec: Spec,
    /// The tree it runs in.
    pub input_root: Digest,
    /// The Action as it is in the CAS.
    pub action_bytes: Bytes,
    /// The Command as it is in the CAS; None: it is not here.
    pub command_bytes: Option<Bytes>,
}

/// Reads Action and Command. What is missing of these is in [`Error::MissingBlobs`] only if it is the Action: then
/// nothing is known of the rest.
pub async fn read(room: &BlobRoom, ask: &ExecuteAsk, options: &ExecutionOptions, now_ms: i64) -> Result<Request> {
    let function = ask.action.function();
    let action_bytes = blob(room, &ask.instance, &ask.action, "action_digest")
        .await?
        .ok_or_else(|| Error::MissingBlobs(vec![ask.action]))?;
    let action = Action::decode(&mut action_bytes.clone())
        .map_err(|error| Error::invalid("action", format!("{} is not an Action message: {error}", ask.action)))?;
    let command = digest(function, action.command_digest.as_option(), "action.command_digest")?;
    let input_root = digest(function, action.input_root_digest.as_option(), "action.input_root_digest")?;
    let timeout_ms = timeout(&action, options)?;
    let mut spec = Spec {
        instance: ask.instance.clone(),
        action: ask.action,
        command,
        properties: Properties::default(),
        timeout_ms,
        do_not_cache: action.do_not_cache,
        invocation_id: cut(&ask.metadata.invocation_id),
        target: cut(&ask.metadata.target),
        mnemonic: cut(&ask.metadata.mnemonic),
        command_line: String::new(),
        queued_ms: now_ms,
    };
    let command_bytes = blob(room, &ask.instance, &command, "action.command_digest").await?;
    if let Some(bytes) = &command_bytes {
        let command = Command::decode(&mut bytes.clone())
            .map_err(|error| Error::invalid("command", format!("{command} is not a Command message: {error}")))?;
        check_command(&command)?;
        let platform = action.platform.as_option();
        spec.properties = match platform {
            Some(platform) => properties(platform, "action.platform.properties")?,
            None => match command.platform.as_option() {
                Some(platform) => properties(platform, "command.platform.properties")?,
                None => Properties::default(),
            },
        };
        spec.command_line = command_line(&command);
    }
    Ok(Request { spec, input_root, action_bytes, command_bytes })
}

async fn blob(room: &BlobRoom, instance: &InstanceName, digest: &Digest, field: &'static str) -> Result<Option<Bytes>> {
    if digest.size() > REQUEST_MAX_BYTES {
        let message = format!("{} bytes; the limit of such a message is {REQUEST_MAX_BYTES}", digest.size());
        return Err(Error::invalid(field, message));
    }
    match room.whole(instance, digest, REQUEST_MAX_BYTES).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn digest(function: DigestFunction, digest: Option<&reapi::Digest>, field: &'static str) -> Result<Digest> {
    let digest = digest.filter(|digest| !digest.hash.is_empty()).ok_or_else(|| Error::invalid(field, "is not set"))?;
    Digest::parse(function, &digest.hash, digest.size_bytes).map_err(|error| Error::invalid(field, error.to_string()))
}

/// A timeout of 0 is none. One above the limit is refused, not cut: the client would not know.
fn timeout(action: &Action, options: &ExecutionOptions) -> Result<u64> {
    let invalid = |message: String| Error::invalid("action.timeout", message);
    let Some(asked) = action.timeout.as_option().filter(|asked| asked.seconds != 0 || asked.nanos != 0) else {
        return Ok(options.timeout_default_ms.min(options.timeout_max_ms));
    };
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(asked.seconds), u64::try_from(asked.nanos)) else {
        return Err(invalid(format!("{} s, {} ns is negative", asked.seconds, asked.nanos)));
    };
    let max = options.timeout_max_ms;
    let ms = seconds.saturating_mul(1_000).saturating_add(nanos.div_ceil(1_000_000));
    if ms > max {
        return Err(invalid(format!("{ms} ms; the limit of this server is {max} ms")));
    }
    Ok(ms)
}

fn check_command(command: &Command) -> Result<()> {
    if command.arguments.is_empty() {
        return Err(Error::invalid("command.arguments", "is empty; the first is the program to run"));
    }
    if command.arguments[0].is_empty() {
        return Err(Error::invalid("command.arguments", "the first, the program to run, is empty"));
    }
    if command.arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(Error::invalid("command.arguments", "one holds a NUL"));
    }
    for variable in &command.environment_variables {
        let (name, value) = (&variable.name, &variable.value);
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            let message = format!("{name:?}: a name must not be empty or hold an equals sign; no NUL anywhere");
            return Err(Error::invalid("command.environment_variables", message));
        }
    }
    let directory = &command.working_directory;
    path("", directory, "command.working_directory")?;
    if !command.output_paths.is_empty() {
        return command.output_paths.iter().try_for_each(|one| path(directory, one, "command.output_paths"));
    }
    command.output_files.iter().try_for_each(|one| path(directory, one, "command.output_files"))?;
    command.output_directories.iter().try_for_each(|one| path(directory, one, "command.output_directories"))
}

fn path(directory: &str, path: &str, field: &'static str) -> Result<()> {
    paths::check(directory, path).map_err(|bad| Error::invalid(field, format!("{path:?} {bad}")))
}

fn properties(platform: &Platform, field: &'static str) -> Result<Properties> {
    let pairs = platform.properties.iter().map(|property| (property.name.as_str(), property.value.as_str()));
    Properties::checked(pairs).map_err(|error| Error::invalid(field, error.to_string()))
}

fn command_line(command: &Command) -> String {
    let mut line = String::new();
    for argument in &command.arguments {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(argument.chars().take(COMMAND_LINE_MAX_CHARS));
        if line.len() >= COMMAND_LINE_MAX_CHARS * 4 {
            break;
        }
    }
    line.chars().take(COMMAND_LINE_MAX_CHARS).collect()
}

fn cut(said: &str) -> String {
    said.chars().take(SAID_MAX_CHARS).collect()
}
