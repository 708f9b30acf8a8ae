//! The binary `millrace`: reads the command line and hands over to the command. Knows nothing of what the commands do.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use millrace_server::auth::cli::TokenArgs;
use millrace_server::cli::{
    completions::{CompletionsArgs, completions},
    doctor::{DoctorArgs, doctor},
    exit::{CliError, Exit},
    logs::{LogsArgs, logs},
    run::{RunArgs, run},
    runs::{RunsArgs, runs},
    validate::{ValidateArgs, validate},
};
use millrace_server::dev::DevArgs;
use millrace_server::serve::ServeArgs;
use millrace_server::{auth, dev, serve, telemetry};

/// Small calls are mostly allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One server for CI and Bazel remote execution, with live logs.
#[derive(Parser)]
#[command(name = "millrace", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Server and runner in one process, on this machine, without configuration
    Dev(Box<DevArgs>),
    /// The server by itself, where tokens are needed
    Serve(Box<ServeArgs>),
    /// Start a run of a workflow and watch it
    Run(RunArgs),
    /// Print the logs of a run, and go on with what comes
    Logs(LogsArgs),
    /// List runs
    Runs(RunsArgs),
    /// Check a workflow file
    Validate(ValidateArgs),
    /// Find out why something does not work
    Doctor(DoctorArgs),
    /// Make, list and take back tokens, in the server's data folder
    Token(TokenArgs),
    /// Print a shell's completion script
    Completions(CompletionsArgs),
}

fn main() -> ExitCode {
    // The nurseries of `millrace dev`'s runner are this program.
    if let Some(code) = millrace_runner::nursery_if_asked() {
        return code;
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return report(Err(CliError::new(Exit::Internal, format!("the runtime can't start: {error}"))));
        }
    };
    let result = runtime.block_on(dispatch(arguments.command));
    // What still runs in the background (a connection, a read of standard input) is not waited for.
    runtime.shutdown_background();
    report(result)
}

async fn dispatch(command: Command) -> Result<Exit, CliError> {
    match command {
        Command::Dev(args) => {
            telemetry::start("warn");
            served(dev::dev(*args).await)
        }
        Command::Serve(args) => {
            telemetry::start("info");
            served(serve::serve(*args).await)
        }
        Command::Token(args) => served(auth::cli::token(args).await),
        Command::Run(args) => run(args).await,
        Command::Logs(args) => logs(args).await,
        Command::Runs(args) => runs(args).await,
        Command::Validate(args) => validate(args).await,
        Command::Doctor(args) => doctor(args).await,
        Command::Completions(args) => completions(&args, &mut Arguments::command()),
    }
}

/// How a command of the server's side ends.
fn served(result: anyhow::Result<()>) -> Result<Exit, CliError> {
    match result {
        Ok(()) => Ok(Exit::Success),
        Err(error) => Err(CliError::new(Exit::Internal, format!("{error:#}"))),
    }
}

fn report(result: Result<Exit, CliError>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        // `millrace logs ... | head`: the reader has what it wanted.
        Err(error) if error.is_closed_pipe() => Exit::Success.into(),
        Err(error) => {
            eprintln!("{error}");
            error.exit.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
