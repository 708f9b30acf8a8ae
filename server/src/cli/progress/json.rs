//! For programs: a JSON object a line. Events are `run`, `job`, `step`, `line`, `note`, `end`; ids are as in the API.

use std::io;

use millrace_proto::millrace::v1::{FollowData, Job, Log, Run, State, Step};
use serde_json::{Value, json};

use super::{Place, Progress};
use crate::cli::{
    line::{Line, lines_of},
    output::Output,
    report::Report,
    state::{utc, word},
    text::clean,
};

/// The display.
pub struct Json {
    output: Output,
}

impl Json {
    /// Onto an output.
    pub fn new(output: Output) -> Self {
        Self { output }
    }
}

impl Progress for Json {
    fn begin(&mut self, run: &Run, url: &str) -> io::Result<()> {
        self.output.json(&run_event(run, url))?;
        self.flush()
    }

    fn job(&mut self, job: &Job, state: State) -> io::Result<()> {
        self.output.json(&json!({
            "event": "job",
            "job": job.key,
            "state": word(state),
            "message": job.message,
            "runner": job.runner_name,
        }))
    }

    fn step(&mut self, job: &Job, step: &Step, state: State) -> io::Result<()> {
        self.output.json(&json!({
            "event": "step",
            "job": job.key,
            "step": step.index + 1,
            "name": step.name,
            "state": word(state),
            "exitCode": step.exit_code,
            "message": step.message,
            "logId": step.log_id,
            "forgiven": step.forgiven,
        }))
    }

    fn hello(&mut self, _place: &Place, _log: &Log) -> io::Result<()> {
        Ok(())
    }

    fn lines(&mut self, place: &Place, data: &FollowData) -> io::Result<()> {
        for line in lines_of(data) {
            self.output.json(&line_event(place, &line))?;
        }
        self.flush()
    }

    fn note(&mut self, text: &str) -> io::Result<()> {
        self.output.json(&json!({ "event": "note", "text": text }))?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn end(&mut self, report: &Report) -> io::Result<()> {
        self.output.json(&report.json())?;
        self.flush()
    }
}

/// The run and where to see it.
pub fn run_event(run: &Run, url: &str) -> Value {
    json!({ "event": "run", "id": run.id, "number": run.number, "name": run.name, "url": url })
}

/// A line of a log; its number is from 1, as people see it.
pub fn line_event(place: &Place, line: &Line<'_>) -> Value {
    let mut event = if place.is_step() {
        json!({ "event": "line", "job": place.job, "step": place.index + 1, "name": place.step })
    } else {
        json!({ "event": "line", "logId": place.log_id })
    };
    event["line"] = (line.number + 1).into();
    event["time"] = if line.time_millis == 0 { Value::Null } else { utc(line.time_millis).into() };
    event["stream"] = if line.stderr { "stderr" } else { "stdout" }.into();
    event["text"] = clean(&line.bytes, false).into();
    if line.continued {
        event["continued"] = true.into();
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_and_when() {
        let place = Place { job: "test (a)".to_owned(), index: 1, step: "Run".to_owned(), log_id: "l".to_owned() };
        let line = Line {
            number: 41,
            time_millis: 1500,
            stderr: true,
            continued: false,
            bytes: b"\x1b[31mhi\x1b[0m\n"[..].into(),
        };
        assert_eq!(
            line_event(&place, &line).to_string(),
            r#"{"event":"line","job":"test (a)","step":2,"name":"Run","line":42,"time":"1970-01-01T00:00:01.500Z","stream":"stderr","text":"hi"}"#
        );
    }
}
