//! `millrace logs RUN[/JOB[/STEP]]`: what was printed, and with `-f` what is; of any log, or only the lines with some text.
//! Never cuts silently.

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
    search_tail::Search,
    since::Since,
    state::{is_final, known, word},
    tail::{Reading, Tail},
    target::{Chosen, Target},
};

/// Arguments of `millrace logs`.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// RUN[/JOB[/STEP]]. RUN: number, id, 8 or more characters of its beginning, or `latest`; JOB: key or id; STEP:
    /// its place from 1, or name
    #[arg(value_name = "RUN[/JOB[/STEP]]", default_value = "latest")]
    pub target: String,
    /// A log by its id, in place of a run's: a stream, what a build printed, a named log
    #[arg(long, value_name = "LOG_ID", conflicts_with = "target")]
    pub id: Option<String>,
    /// Go on with what comes, until the run (or the log) ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last N lines of each log (and, with -f, what comes); with --grep those of them with the text
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "since")]
    pub lines: Option<u64>,
    /// Only lines of this time or later: so long ago (90s, 10m, 2h, 3d, 1w), or a time like 2026-11-22T14:31:07Z
    #[arg(long, value_name = "TIME", value_parser = Since::parse)]
    pub since: Option<Since>,
    #[command(flatten)]
    grep: GrepArgs,
    #[command(flatten)]
    form: LineArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// Which lines.
#[derive(Args, Debug)]
struct GrepArgs {
    /// Only lines with this text; the server searches, escape sequences are looked past. No such line is no error
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// The text of --grep is a regular expression (no look-around, no back-references)
    #[arg(long, requires = "grep")]
    regex: bool,
    /// For --grep, upper and lower case are the same
    #[arg(short, long, requires = "grep")]
    ignore_case: bool,
}

/// Prints logs.
pub async fn logs(args: LogsArgs) -> Result<Exit, CliError> {
    if let Some(id) = &args.id {
        return one_log(&args, id).await;
    }
    let target = Target::parse(&args.target)?;
    let server = Server::new(&args.server)?;
    let run = target.run.find(&server).await?;
    let chosen = target.choose(&run)?;
    let steps: usize = chosen.iter().map(|(_, steps)| steps.len()).sum();
    let reading = args.reading();
    let mut printer = LogPrinter::new(args.form.clone(), steps != 1);
    if args.follow && !is_final(known(run.state)) {
        let wanted = wanted(&chosen, target.rest.is_none());
        let follow = Follow::new(&server, run, &mut printer).wanted(wanted).reading(reading);
        follow.show(None).await?;
        args.say_if_nothing(&printer);
        return Ok(Exit::Success);
    }
    for (job, steps) in &chosen {
        for step in steps {
            if has_log(step) {
                print_one(&server, &mut printer, &Place::of(job, step), &reading, false).await?;
            } else if args.grep.grep.is_none() {
                printer.empty(job, step, known(step.state))?;
            }
        }
    }
    printer.flush()?;
    explain_nothing(&run, &chosen);
    args.say_if_nothing(&printer);
    Ok(Exit::Success)
}

/// A log that was named by its id.
async fn one_log(args: &LogsArgs, id: &str) -> Result<Exit, CliError> {
    let server = Server::new(&args.server)?;
    let mut printer = LogPrinter::new(args.form.clone(), false);
    print_one(&server, &mut printer, &Place::log(id), &args.reading(), args.follow).await?;
    printer.flush()?;
    args.say_if_nothing(&printer);
    Ok(Exit::Success)
}

impl LogsArgs {
    fn reading(&self) -> Reading {
        let since = self.since.map(Since::millis);
        match &self.grep.grep {
            Some(pattern) => Reading::Found(Search {
                pattern: pattern.clone(),
                regex: self.grep.regex,
                ignore_case: self.grep.ignore_case,
                last_lines: self.lines,
                since_millis: since.unwrap_or_default(),
            }),
            None => Reading::Lines(match (since, self.lines) {
                (Some(millis), _) => Start::SinceMillis(millis),
                (None, Some(lines)) => Start::LastLines(lines),
                (None, None) => Start::Offset(0),
            }),
        }
    }

    fn say_if_nothing(&self, printer: &LogPrinter) {
        if let Some(pattern) = self.grep.grep.as_ref().filter(|_| !printer.has_found()) {
            say(&format!("no line has {pattern:?}"));
        }
    }
}

/// Steps by job and place: their logs may not have begun.
fn wanted(chosen: &Chosen<'_>, all: bool) -> Wanted {
    let chosen: Vec<_> = chosen
        .iter()
        .map(|(job, steps)| (job.key.clone(), steps.iter().map(|step| step.index).collect::<Vec<_>>()))
        .collect();
    Box::new(move |job, step| all || chosen.iter().any(|(key, steps)| *key == job.key && steps.contains(&step.index)))
}

/// What a log has by now; with `follow` all that comes, too.
async fn print_one(
    server: &Server,
    printer: &mut LogPrinter,
    place: &Place,
    reading: &Reading,
    follow: bool,
) -> Result<(), CliError> {
    let mut tail = reading.start(server, &place.log_id, follow);
    while let Some(event) = tail.next().await {
        match event {
            Tail::Hello(log) => {
                if log.size_bytes == 0 {
                    printer.header(place, 0)?;
                }
            }
            Tail::Lines(data) => printer.lines(place, &data)?,
            Tail::Found(hits) => printer.found(place, &hits)?,
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
