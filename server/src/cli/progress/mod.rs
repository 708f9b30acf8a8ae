//! How a run is shown while it runs: the events a display gets, and which display there is for whom.

mod json;
mod plain;
mod tty;

pub use json::line_event;

use std::{fmt, io};

use clap::ValueEnum;
use millrace_proto::millrace::v1::{FollowData, Job, Log, Run, SearchHit, State, Step};

use super::{
    output::{Output, stdout_is_terminal},
    report::Report,
};

/// What `--progress` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressKind {
    /// tty on a terminal, else plain
    Auto,
    /// Append-only lines: job / step | text
    Plain,
    /// A line for each step that runs, redrawn in place
    Tty,
    /// A JSON object for each event and each line
    Json,
}

impl ProgressKind {
    /// The display for standard output.
    pub fn display(self) -> Box<dyn Progress> {
        let is_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        match self {
            Self::Auto if stdout_is_terminal() && !is_ci => Box::new(tty::Tty::new()),
            Self::Auto | Self::Plain => Box::new(plain::Plain::new(Output::stdout())),
            Self::Tty => Box::new(tty::Tty::new()),
            Self::Json => Box::new(json::Json::new(Output::stdout())),
        }
    }
}

/// A display of a run. Methods are called in the order in which things are to be seen.
pub trait Progress {
    /// The run exists; first.
    fn begin(&mut self, run: &Run, url: &str) -> io::Result<()>;
    /// A job's state or message changed.
    fn job(&mut self, job: &Job, state: State) -> io::Result<()>;
    /// A step's state changed. `state` may be behind the step's own while its log still comes.
    fn step(&mut self, job: &Job, step: &Step, state: State) -> io::Result<()>;
    /// A connection to a log stands.
    fn hello(&mut self, place: &Place, log: &Log) -> io::Result<()>;
    /// A log said something.
    fn lines(&mut self, place: &Place, data: &FollowData) -> io::Result<()>;
    /// Lines of a log with what was searched for; only a display that is used for searches gets them.
    fn found(&mut self, _place: &Place, _hits: &[SearchHit]) -> io::Result<()> {
        Ok(())
    }
    /// Something to know that is no part of the run.
    fn note(&mut self, text: &str) -> io::Result<()>;
    /// Show what was told so far.
    fn flush(&mut self) -> io::Result<()>;
    /// The run is over; last.
    fn end(&mut self, report: &Report) -> io::Result<()>;
}

/// Where a line was said: in a step of a run, or in a log that is no step's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The job's key; empty for a log by its id.
    pub job: String,
    /// The step's place, from 0.
    pub index: u32,
    /// The step's name.
    pub step: String,
    /// The log.
    pub log_id: String,
}

impl Place {
    /// Of a step.
    pub fn of(job: &Job, step: &Step) -> Self {
        Self { job: job.key.clone(), index: step.index, step: step.name.clone(), log_id: step.log_id.clone() }
    }

    /// Of a log by its id.
    pub fn log(log_id: &str) -> Self {
        Self { log_id: log_id.to_owned(), ..Self::default() }
    }

    /// Whether it is a step's.
    pub fn is_step(&self) -> bool {
        !self.job.is_empty()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_step() { write!(f, "{} / {}", self.job, self.step) } else { f.write_str(&self.log_id) }
    }
}

/// What a finished step has to add to its state: "exit code 1", "forgiven".
fn step_detail(step: &Step) -> String {
    let mut parts = Vec::new();
    if !step.message.is_empty() {
        parts.push(step.message.clone());
    } else if let Some(code) = step.exit_code.filter(|code| *code != 0) {
        parts.push(format!("exit code {code}"));
    }
    if step.forgiven {
        parts.push("forgiven by continue-on-error".to_owned());
    }
    parts.join(", ")
}
