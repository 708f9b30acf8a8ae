//! `millrace logs RUN[/JOB[/STEP]]`: what was printed, and with `-f` what is. Never cuts silently.

use clap::Args;
use futures::StreamExt;
use millrace_proto::millrace::v1::{Run, follow_request::Start};

use super::{
    client::{Server, ServerArgs},
    exit::{CliError, Exit},
    follow::{Follow, Wanted, has_log},
    log_printer::{LineArgs, LogPrinter},
    output::say,
    progress::{Place, Progress},
    state::{is_final, known, word},
    tail::{LogTail, Tail},
    target::{Chosen, Target},
};

/// Arguments of `millrace logs`.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// RUN[/JOB[/STEP]]. RUN: number, id, 8 or more characters of its beginning, or `latest`; JOB: key or id; STEP:
    /// its place from 1, or name
    #[arg(value_name = "RUN[/JOB[/STEP]]", default_value = "latest")]
    pub target: String,
    /// Go on with what comes, until the run ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last N lines of each step (and, with -f, what comes)
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<u64>,
    #[command(flatten)]
    form: LineArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// Prints logs.
pub async fn logs(args: LogsArgs) -> Result<Exit, CliError> {
    let target = Target::parse(&args.target)?;
    let server = Server::new(&args.server)?;
    let run = target.run.find(&server).await?;
    let chosen = target.choose(&run)?;
    let steps: usize = chosen.iter().map(|(_, steps)| steps.len()).sum();
    let start = args.lines.map_or(Start::Offset(0), Start::LastLines);
    let mut printer = LogPrinter::new(args.form.clone(), steps != 1);
    if args.follow && !is_final(known(run.state)) {
        let wanted = wanted(&chosen, target.rest.is_none());
        let follow = Follow::new(&server, run, &mut printer).wanted(wanted).first_start(start);
        follow.show(None).await?;
        return Ok(Exit::Success);
    }
    for (job, steps) in &chosen {
        for step in steps {
            if has_log(step) {
                print_one(&server, &mut printer, &Place::of(job, step), start.clone()).await?;
            } else {
                printer.empty(job, step, known(step.state))?;
            }
        }
    }
    printer.flush()?;
    explain_nothing(&run, &chosen);
    Ok(Exit::Success)
}

/// Steps by job and place: their logs may not have begun.
fn wanted(chosen: &Chosen<'_>, all: bool) -> Wanted {
    let chosen: Vec<_> = chosen
        .iter()
        .map(|(job, steps)| (job.key.clone(), steps.iter().map(|step| step.index).collect::<Vec<_>>()))
        .collect();
    Box::new(move |job, step| all || chosen.iter().any(|(key, steps)| *key == job.key && steps.contains(&step.index)))
}

/// What a log has by now.
async fn print_one(server: &Server, printer: &mut LogPrinter, place: &Place, start: Start) -> Result<(), CliError> {
    let mut tail = LogTail::new(server, &place.log_id, start);
    let mut goal = None;
    while let Some(event) = tail.next().await {
        match event {
            Tail::Hello(log) => {
                let goal = *goal.get_or_insert(log.size_bytes);
                if goal == 0 {
                    printer.header(place, 0)?;
                    break;
                }
            }
            Tail::Lines(data) => {
                let come_to = data.offset + data.data.len() as u64;
                printer.lines(place, &data)?;
                if goal.is_some_and(|goal| come_to >= goal) {
                    break;
                }
            }
            Tail::Gap { bytes, reason } => {
                printer.note(&format!("{place}: {bytes} bytes of the log are gone: {reason}"))?;
            }
            Tail::Away(why) => printer.note(&format!("the connection to the server broke ({why}); trying again"))?,
            Tail::End => break,
            Tail::Failed(error) => return Err(error),
        }
    }
    Ok(())
}

/// An empty answer has a reason.
fn explain_nothing(run: &Run, chosen: &Chosen<'_>) {
    if chosen.iter().flat_map(|(_, steps)| steps).any(|step| has_log(step)) {
        return;
    }
    let state = word(known(run.state));
    let mut text = format!("nothing was printed: run {} is {state}", run.number);
    for (job, _) in chosen {
        let why = if job.message.is_empty() { String::new() } else { format!(": {}", job.message) };
        text = format!("{text}\n  {} is {}{why}", job.key, word(known(job.state)));
    }
    say(&text);
}
