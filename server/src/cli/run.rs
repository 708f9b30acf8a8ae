//! `millrace run FILE`: checks a workflow, starts a run of it and shows it until it ends.

use std::{collections::HashMap, io::Read, path::PathBuf, time::Instant};

use clap::Args;
use millrace_proto::millrace::v1::{Run, RunRequest};

use super::{
    client::{Server, ServerArgs},
    exit::{CliError, Exit},
    follow::Follow,
    interrupt::Interrupts,
    output::say,
    progress::ProgressKind,
    retry::{Backoff, may_pass},
    source,
    validate::check,
};

/// The largest workflow file that the server takes.
pub const WORKFLOW_MAX_BYTES: u64 = 1 << 20;
/// The action that wants a source.
const CHECKOUT: &str = "actions/checkout";
const PRIORITY_MIN: i64 = -100;
const PRIORITY_MAX: i64 = 100;

/// Arguments of `millrace run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The workflow file; - reads standard input
    pub file: PathBuf,
    /// How the run is shown
    #[arg(long, value_enum, default_value_t = ProgressKind::Auto, value_name = "KIND")]
    pub progress: ProgressKind,
    /// A value for an input of workflow_dispatch
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub inputs: Vec<(String, String)>,
    /// A value for the vars context
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub vars: Vec<(String, String)>,
    /// Where actions/checkout gets the files: a folder, or a git address with an optional #ref. Without it: the git
    /// repository of the workflow file, as it is on disk for a server on this machine, else its commit
    #[arg(long, value_name = "DIR|GIT_URL[#REF]")]
    pub source: Option<String>,
    /// Start it and leave it alone
    #[arg(long)]
    pub detach: bool,
    /// The project
    #[arg(long, default_value = "default")]
    pub project: String,
    /// Jobs of a higher priority are taken first
    #[arg(long, default_value_t = 0, allow_hyphen_values = true,
          value_parser = clap::value_parser!(i32).range(PRIORITY_MIN..=PRIORITY_MAX))]
    pub priority: i32,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs a workflow.
pub async fn run(args: RunArgs) -> Result<Exit, CliError> {
    let server = Server::new(&args.server)?;
    let workflow = read_workflow(&args.file)?;
    let checked = check(&server, &args.file, &workflow).await?;
    for line in &checked.lines {
        say(line);
    }
    if !checked.valid {
        return Ok(Exit::Usage);
    }
    let source = match &args.source {
        Some(text) => source::given(text, server.is_loopback())?,
        None => source::default_for(&args.file, server.is_loopback())?,
    };
    // Who checks nothing out needs no source.
    let warnings = source.warnings.iter().filter(|_| workflow.contains(CHECKOUT));
    for warning in warnings {
        say(&format!("warning: {warning}"));
    }
    let request = RunRequest {
        project: args.project,
        workflow,
        file_name: args.file.display().to_string(),
        source: source.source.into(),
        inputs: args.inputs.into_iter().collect::<HashMap<_, _, _>>(),
        vars: args.vars.into_iter().collect::<HashMap<_, _, _>>(),
        request_id: uuid::Uuid::new_v4().to_string(),
        priority: args.priority,
        ..Default::default()
    };
    let mut display = args.progress.display();
    let run = start(&server, request).await?;
    display.begin(&run, &server.run_url(&run.id))?;
    if args.detach {
        return Ok(Exit::Success);
    }
    let report = Follow::new(&server, run, display.as_mut()).show(Some(Interrupts::watch())).await?;
    display.end(&report)?;
    Ok(report.exit)
}

/// Starts the run once, however often it has to be asked for: the server knows the request by its id.
async fn start(server: &Server, request: RunRequest) -> Result<Run, CliError> {
    let mut backoff = Backoff::default();
    loop {
        let error = match server.pipelines().run(request.clone()).await {
            Ok(answer) => {
                let run = answer.into_owned().run.into_option();
                return run.ok_or_else(|| CliError::new(Exit::Internal, "the server answered without a run"));
            }
            Err(error) => error,
        };
        let wait = if may_pass(&error) { backoff.failed(Instant::now()) } else { None };
        let Some(wait) = wait.filter(|_| error.code == connectrpc::ErrorCode::Unavailable) else {
            return Err(server.explain(&error));
        };
        tokio::time::sleep(wait).await;
    }
}

/// The text of a workflow file.
pub fn read_workflow(file: &std::path::Path) -> Result<String, CliError> {
    let wrong = |why: String| CliError::usage(format!("{}: {why}", file.display()));
    let mut bytes = Vec::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().take(WORKFLOW_MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(WORKFLOW_MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > WORKFLOW_MAX_BYTES {
        return Err(wrong(format!("larger than {WORKFLOW_MAX_BYTES} bytes, the limit for a workflow file")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        CliError::usage(format!("{}:{line}:{column}: not UTF-8 text", file.display()))
    })
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn values_may_have_equals_signs() {
        assert_eq!(name_and_value("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(name_and_value("a="), Ok(("a".to_owned(), String::new())));
        assert!(name_and_value("a").is_err());
        assert!(name_and_value("=b").is_err());
    }

    #[test]
    fn a_file_that_is_no_workflow_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.yml");
        assert_eq!(read_workflow(&file).unwrap_err().exit, Exit::Usage);
        fs::write(&file, b"name: x\njobs\xff").unwrap();
        assert!(read_workflow(&file).unwrap_err().message.ends_with("x.yml:2:5: not UTF-8 text"));
        fs::write(&file, vec![b' '; WORKFLOW_MAX_BYTES as usize + 1]).unwrap();
        assert!(read_workflow(&file).unwrap_err().message.contains("larger than 1048576 bytes"));
        fs::write(&file, "name: ü\n").unwrap();
        assert_eq!(read_workflow(&file).unwrap(), "name: ü\n");
    }
}
