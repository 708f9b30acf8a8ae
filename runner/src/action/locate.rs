//! A Command as something that can be started: its environment, its folder, its program found as REAPI says. Knows
//! nothing of sandboxes and of processes.

use std::io;
use std::path::{Component, Path, PathBuf};

use millrace_proto::reapi::Command;

use super::error::{ActionError, Result};
use super::process::Launch;

/// Where programs are looked for when the command's environment has no PATH.
const PATH_DEFAULT: &str = "/bin:/usr/bin";

/// What is to be started in `root`, the program not looked for yet.
pub fn launch(command: &Command, root: &Path) -> Result<Launch> {
    if command.arguments.is_empty() {
        return Err(ActionError::invalid("command.arguments", "empty: there is nothing to run"));
    }
    if let Some(at) = command.arguments.iter().position(|argument| argument.contains('\0')) {
        return Err(ActionError::invalid(format!("command.arguments[{at}]"), "a zero byte in it"));
    }
    let folder = Path::new(&command.working_directory);
    if folder.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(ActionError::invalid("command.working_directory", "it is not below the input root"));
    }
    let mut environment = Vec::with_capacity(command.environment_variables.len());
    for variable in &command.environment_variables {
        if variable.name.is_empty() || variable.name.contains(['=', '\0']) || variable.value.contains('\0') {
            let field = format!("command.environment_variables[{:?}]", variable.name);
            return Err(ActionError::invalid(
                field,
                "no such variable can be: the name is empty, or has = or a zero byte",
            ));
        }
        environment.push((variable.name.clone(), variable.value.clone()));
    }
    let program = PathBuf::from(&command.arguments[0]);
    let folder = root.join(folder);
    Ok(Launch { program, arguments: command.arguments.clone(), environment, folder, has_status: false })
}

/// The file that the first argument means on this machine.
pub fn program(launch: &Launch) -> Result<PathBuf> {
    let name = &launch.arguments[0];
    let is_separator = |character| character == '/' || (cfg!(windows) && character == '\\');
    if name.contains(is_separator) {
        return Ok(launch.folder.join(name));
    }
    let path = launch.environment.iter().find(|(name, _)| is_path(name)).map(|(_, value)| value.as_str());
    let path = path.unwrap_or(if cfg!(windows) { "" } else { PATH_DEFAULT });
    // Relative places are below the working directory, like everything else of the command.
    let places = std::env::split_paths(path).map(|place| launch.folder.join(place));
    let found =
        std::env::join_paths(places).ok().and_then(|path| which::which_in(name, Some(path), &launch.folder).ok());
    found.ok_or_else(|| not_found(name, &format!("not found in the command's PATH, {path:?}")))
}

/// Why a command could not be started, from what the system said.
pub fn not_started(launch: &Launch, error: &io::Error) -> ActionError {
    let name = launch.arguments.first().map_or("", String::as_str);
    if !launch.folder.is_dir() {
        return ActionError::invalid("command.working_directory", "there is no such folder among the inputs");
    }
    match error.kind() {
        io::ErrorKind::NotFound if launch.program.exists() => {
            not_found(name, "the program that would interpret it, or a library's loader, is not on this machine")
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => not_found(name, "no such file"),
        io::ErrorKind::PermissionDenied => not_found(name, "it may not be executed"),
        io::ErrorKind::ArgumentListTooLong => {
            ActionError::invalid("command", "arguments and environment are longer than the system takes")
        }
        _ if launch.program.is_file() => not_found(name, &format!("it cannot be executed: {error}")),
        _ => ActionError::Local(format!("starting {name}: {error}")),
    }
}

/// Why a command could not be started, from what the sandbox printed.
pub fn not_started_in_sandbox(launch: &Launch, printed: &str) -> ActionError {
    let name = launch.arguments.first().map_or("", String::as_str);
    let said = printed.lines().find_map(|line| line.strip_prefix("bwrap: ")).unwrap_or("no word of why");
    if said.starts_with("execvp ") {
        let why = said.rsplit(": ").next().unwrap_or(said);
        return not_found(name, &format!("it could not be started in the sandbox: {why}"));
    }
    if said.starts_with("Can't chdir") {
        return ActionError::invalid("command.working_directory", "there is no such folder among the inputs");
    }
    ActionError::Local(format!("the sandbox could not be made: {said}"))
}

fn not_found(name: &str, why: &str) -> ActionError {
    ActionError::invalid("command.arguments[0]", format!("{name:?}: {why}"))
}

fn is_path(name: &str) -> bool {
    if cfg!(windows) { name.eq_ignore_ascii_case("PATH") } else { name == "PATH" }
}
