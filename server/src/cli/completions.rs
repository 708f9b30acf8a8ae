//! `millrace completions SHELL`: the script that makes a shell complete `millrace` commands.

use clap::{Args, Command};
use clap_complete::Shell;

use super::{
    exit::{CliError, Exit},
    output::Output,
};

/// Arguments of `millrace completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Prints the script for `command`, the whole command line as clap knows it.
pub fn completions(args: &CompletionsArgs, command: &mut Command) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "millrace", &mut script);
    let mut output = Output::stdout();
    output.bytes(&script)?;
    output.flush()?;
    Ok(Exit::Success)
}
